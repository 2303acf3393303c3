"""The table of legal IR operations: what each means, which attributes it has.

Attributes (all tuples are (y, x)):
  conv     stride, dilation: (int, int); pads: (top, left, bottom, right); groups: int;
           clamp: (lo, hi) floats or None, the fused activation (an open side is -inf or inf)
  add, mul clamp as above (two inputs of one shape)
  maxpool  kernel, stride, dilation, pads
  avgpool  kernel, stride, pads, count_include_pad: bool
  clip     clamp (an activation that could not be fused); None is the identity, used where a QDQ
           model changes the quantisation parameters of a tensor
  table    function: name in TABLE_FUNCTIONS, alpha, beta: float (parameters, 0.0 if unused);
           expression: () or what is computed instead, see `norcim.ir.functions.Expression`
  reshape  none; row-major (h, w, c) order is kept, only the shape changes (free)
  transpose perm: order of (h, w, c)
  pad      pads: (top, left, bottom, right); value: float
  softmax  none; over channels
  argmax   none; over channels, of which one stays
  widen    none; (1, 1, c), whose values are those of the input
  update   none; gates (2, 1, c): what lets in, what keeps; what comes in (1, 1, c); the old state
           (1, 1, c), which a widen or an update wrote. WIDE lists the kinds that write states of 16
           bits; who else reads one gets it rounded to 8
  move     pieces: tuple of `norcim.ir.moves.Piece`, which cover the output once
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from norcim.ir import kernels, moves
from norcim.ir.functions import TABLE_FUNCTIONS
from norcim.ir.graph import Floats, Op, Shape
from norcim.ir.window import out_sizes

__all__ = ["OPS", "TABLE_FUNCTIONS", "WIDE", "OpKind"]


@dataclass(frozen=True)
class OpKind:
    """One row of the table.

    doc       what the operation computes
    attrs     names of its attributes, all of them required
    n_inputs  number of tensor inputs, 0 for any
    shape     (op, input shapes, declared output shape) -> output shape; ValueError if illegal
    evaluate  (op, float32 (n, h, w, c) inputs, output shape) -> float32 (n, h, w, c)
    weighted  True if the operation has a weight
    """

    doc: str
    attrs: tuple[str, ...]
    n_inputs: int
    shape: Callable[[Op, Sequence[Shape], Shape], Shape]
    evaluate: Callable[[Op, Sequence[Floats], Shape], Floats]
    weighted: bool = False


def _conv_shape(op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    h, w, c = shapes[0]
    if op.weight is None or op.weight.ndim != 4:
        raise ValueError("weight of shape (kh, kw, c_in / groups, c_out) needed")
    kh, kw, c_group, c_out = op.weight.shape
    groups = op.attrs["groups"]
    if c_group * groups != c or c_out % groups:
        raise ValueError(f"weight {op.weight.shape} does not fit {c} channels in {groups} groups")
    if op.bias is not None and op.bias.shape != (c_out,):
        raise ValueError(f"bias of shape ({c_out},) needed, got {op.bias.shape}")
    attrs = op.attrs
    out = out_sizes((h, w), (kh, kw), attrs["stride"], attrs["dilation"], attrs["pads"])
    return (*out, c_out)


def _pool_shape(op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    h, w, c = shapes[0]
    attrs = op.attrs
    dilation = attrs.get("dilation", (1, 1))
    return (*out_sizes((h, w), attrs["kernel"], attrs["stride"], dilation, attrs["pads"]), c)


def _same_shape(_op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"inputs of one shape needed, got {list(shapes)}")
    return shapes[0]


def _index_shape(_op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    return (*shapes[0][:2], 1)


def _update_shape(_op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    gates, new, state = shapes
    c = state[2]
    if (gates, new, state) != ((2, 1, c), (1, 1, c), (1, 1, c)):
        raise ValueError(f"gates {gates}, what comes in {new} and the state {state} do not fit")
    return state


def _reshape_shape(_op: Op, shapes: Sequence[Shape], declared: Shape) -> Shape:
    if prod(shapes[0]) != prod(declared):
        raise ValueError(f"{shapes[0]} and {declared} differ in size")
    return declared


def _transpose_shape(op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    perm = op.attrs["perm"]
    if sorted(perm) != [0, 1, 2]:
        raise ValueError(f"perm {perm} is not an order of (0, 1, 2)")
    return (shapes[0][perm[0]], shapes[0][perm[1]], shapes[0][perm[2]])


def _pad_shape(op: Op, shapes: Sequence[Shape], _declared: Shape) -> Shape:
    top, left, bottom, right = op.attrs["pads"]
    h, w, c = shapes[0]
    return (h + top + bottom, w + left + right, c)


WIDE = ("widen", "update")

_CONV = ("stride", "dilation", "pads", "groups", "clamp")
_MAXPOOL = ("kernel", "stride", "dilation", "pads")
_AVGPOOL = ("kernel", "stride", "pads", "count_include_pad")

OPS: Mapping[str, OpKind] = MappingProxyType(
    {
        "conv": OpKind(
            "Convolution, depthwise convolution, or matrix product of a (1, 1, K) vector.",
            _CONV, 1, _conv_shape, kernels.conv, weighted=True,
        ),
        "add": OpKind("Elementwise sum.", ("clamp",), 2, _same_shape, kernels.add),
        "mul": OpKind("Elementwise product.", ("clamp",), 2, _same_shape, kernels.mul),
        "maxpool": OpKind("Largest of each window.", _MAXPOOL, 1, _pool_shape, kernels.maxpool),
        "avgpool": OpKind("Mean of each window.", _AVGPOOL, 1, _pool_shape, kernels.avgpool),
        "clip": OpKind("Clamp to a range.", ("clamp",), 1, _same_shape, kernels.clip),
        "table": OpKind(
            "A scalar function on every element.",
            ("function", "alpha", "beta", "expression"), 1, _same_shape, kernels.table,
        ),
        "reshape": OpKind(
            "Another shape of the same elements.", (), 1, _reshape_shape, kernels.reshape
        ),
        "transpose": OpKind(
            "Another order of (h, w, c).", ("perm",), 1, _transpose_shape, kernels.transpose
        ),
        "pad": OpKind("A constant border.", ("pads", "value"), 1, _pad_shape, kernels.pad),
        "move": OpKind(
            "Boxes of elements put elsewhere.", ("pieces",), 0, moves.move_shape, moves.move
        ),
        "argmax": OpKind("Index of the largest channel.", (), 1, _index_shape, kernels.argmax),
        "widen": OpKind("A state of 16 bits begins.", (), 1, _same_shape, kernels.widen),
        "update": OpKind(
            "A state of 16 bits goes on: take * new + keep * old.",
            (), 3, _update_shape, kernels.update,
        ),
        "softmax": OpKind("Softmax over channels.", (), 1, _same_shape, kernels.softmax),
    }
)  # fmt: skip
