"""Activations, and arithmetic of an activation with a constant or with another activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, prod

import numpy as np

from norcim.frontend.call import Array, Call, Handler
from norcim.frontend.moving import emit_pieces
from norcim.frontend.ops_linear import affine
from norcim.frontend.ops_move import broadcast
from norcim.frontend.values import Const, MovesBatch, Unsupported, Value, View, contiguous
from norcim.ir.functions import table_attrs
from norcim.ir.moves import Piece
from norcim.ir.window import NO_PADS

_ONE = np.ones((), np.float64)
_ZERO = np.zeros((), np.float64)


def add(call: Call) -> Value:
    """Sum with a constant or of two activations."""
    x, constant, _ = _operands(call)
    if constant is None:
        return binary(call, "add", call.real(0), call.real(1))
    return affine(call, x, _ONE, constant)


def sum_(call: Call) -> Value:
    """Sum of any number of activations and constants."""
    return _fold_pairs(call, add)


def sub(call: Call) -> Value:
    """Difference; of two activations as a sum with the second one negated."""
    x, constant, first = _operands(call)
    if constant is None:
        negated = affine(call, call.real(1), -_ONE, _ZERO)
        return binary(call, "add", call.real(0), negated)
    return affine(call, x, -_ONE, constant) if first else affine(call, x, _ONE, -constant)


def mul(call: Call) -> Value:
    """Product with a constant or of two activations."""
    x, constant, _ = _operands(call)
    if constant is None:
        return binary(call, "mul", call.real(0), call.real(1))
    return affine(call, x, constant, _ZERO)


def div(call: Call) -> Value:
    """Quotient; by an activation as a product with a table of reciprocals."""
    x, constant, first = _operands(call)
    if constant is None:
        return binary(call, "mul", call.real(0), scalar(call, call.real(1), "reciprocal"))
    if first:
        return affine(call, scalar(call, x, "reciprocal"), constant, _ZERO)
    with np.errstate(divide="ignore"):
        return affine(call, x, call.finite(1.0 / constant), _ZERO)


def neg(call: Call) -> Value:
    """Negation."""
    return affine(call, call.real(0), -_ONE, _ZERO)


def _operands(call: Call) -> tuple[View, Array | None, bool]:
    """(activation, constant or None if both are activations, True if the constant is first)."""
    if len(call.values) != 2:
        raise Unsupported(f"{len(call.values)} operands; two are supported", "nest pairs")
    first = isinstance(call.value(0), Const)
    if not first and not isinstance(call.value(1), Const):
        return call.real(0), None, False
    numbers = call.numbers(0 if first else 1)
    assert numbers is not None
    return call.real(1 if first else 0), numbers.astype(np.float64), first


def binary(call: Call, kind: str, a: View, b: View) -> View:
    """An elementwise operation on two activations; the smaller one is repeated."""
    a, b = _same_shape(call, a, b)
    builder, node = call.builder, call.node.name
    if a.axes != b.axes:
        a, b = _one_layout(call, a, b)
    shape = builder.tensors[a.tensor].shape
    right = builder.reshape(b.tensor, shape, node)
    output = builder.emit(
        kind, node, [a.tensor, right], shape, {"clamp": None}, name=call.node.outputs[0]
    )
    return View(output, a.axes)


def _same_shape(call: Call, a: View, b: View) -> tuple[View, View]:
    rank = max(len(a.shape), len(b.shape))
    wide = [replace(v, axes=((),) * (rank - len(v.axes)) + v.axes) for v in (a, b)]
    pairs = list(zip(wide[0].shape, wide[1].shape, strict=True))
    if any(m != n and 1 not in (m, n) for m, n in pairs):
        raise Unsupported(f"two activations of shapes {a.shape} and {b.shape}")
    shape = [max(pair) for pair in pairs]
    order = max(wide, key=lambda v: prod(v.shape)).by_stride()
    return broadcast(call, wide[0], shape, order), broadcast(call, wide[1], shape, order)


def _one_layout(call: Call, a: View, b: View) -> tuple[View, View]:
    """Both views as tensors that lie alike: as the first one lies, if that is possible."""
    whole = all(len(axis) <= 1 for axis in a.axes)
    order = list(a.by_stride()) if whole else list(range(len(a.axes)))
    split = max(0, len(order) - 2)
    groups = (order[:split], order[split:-1], order[-1:])
    inverse = [int(axis) for axis in np.argsort(order)]
    sizes = [a.shape[axis] for axis in order]
    views = []
    for view in (a, b):
        tensor = call.builder.materialise(view, groups, call.node.name)
        views.append(contiguous(tensor, sizes).permuted(inverse))
    return views[0], views[1]


def clamped(call: Call, x: View, lo: float, hi: float) -> View:
    """The activation clamped to a range."""
    if np.isnan(lo) or np.isnan(hi):
        raise ValueError("a limit is NaN")
    clamp = (min(lo, hi), hi)
    name = call.node.outputs[0]
    return call.builder.emit_elementwise("clip", call.node.name, x, {"clamp": clamp}, name=name)


def relu(call: Call) -> Value:
    """max(x, 0)."""
    return clamped(call, call.real(0), 0.0, inf)


def clip(call: Call) -> Value:
    """Clip; limits that are activations as Max and Min."""
    x = call.real(0)
    lower, upper = (call.value(index) for index in (1, 2))
    if not isinstance(lower, View) and not isinstance(upper, View):
        return clamped(call, x, _limit(call, "min", 1, -inf), _limit(call, "max", 2, inf))
    y: Value = x
    for index, (bound, pair) in enumerate(((lower, _larger), (upper, _smaller)), 1):
        if isinstance(bound, View):
            y = pair(replace(call, values=(y, bound)))
        elif bound is not None:
            limit = _limit(call, "", index, 0.0)
            lo, hi = (limit, inf) if index == 1 else (-inf, limit)
            assert isinstance(y, View)
            y = clamped(call, y, lo, hi)
    return y


def _limit(call: Call, name: str, index: int, default: float) -> float:
    const = call.const(index)
    return float(call.attr(name, default) if const is None else const.array.reshape(()))


def maximum(call: Call) -> Value:
    """Largest of activations and constants; of x and alpha * x a leaky ReLU."""
    return _fold_pairs(call, _larger)


def _fold_pairs(call: Call, pair: Callable[[Call], Value]) -> Value:
    """An operation of any number of inputs as one of pairs; constants come last."""
    values = sorted(call.values, key=lambda value: isinstance(value, Const))
    total = values[0]
    for value in values[1:]:
        total = pair(replace(call, values=(total, value)))
    return total


def _larger(call: Call) -> Value:
    x, constant, _ = _operands(call)
    if constant is not None and np.unique(constant).size == 1:
        return clamped(call, x, _single(constant), inf)
    if constant is not None:  # one bound a channel: max(x, k) = max(x - k, 0) + k
        return affine(
            call, clamped(call, affine(call, x, _ONE, -constant), 0.0, inf), _ONE, constant
        )
    a, b = call.real(0), call.real(1)
    for plain, scaled in ((a, b), (b, a)):
        slope = _slope(call, plain, scaled)
        if slope is not None:
            return scalar(call, plain, "leaky_relu", slope)
    return _stacked_max(call, *_same_shape(call, a, b))


def _stacked_max(call: Call, a: View, b: View) -> View:
    """The larger of two activations: both one after the other, and a pool over the pair."""
    builder, node, name = call.builder, call.node.name, call.node.outputs[0]
    if a.axes != b.axes:
        a, b = _one_layout(call, a, b)
    if a.tensor == b.tensor:
        return a
    h, w, c = shape = builder.tensors[a.tensor].shape
    strides = (w * c, c, 1)
    pieces = [
        Piece(source, 0, strides, (h, w), (0, 0), source * h * w * c, strides, shape)
        for source in (0, 1)
    ]
    tensors = [a.tensor, builder.reshape(b.tensor, shape, node)]
    pair = emit_pieces(builder, node, f"{name}~pair", tensors, pieces, (2, h * w, c))
    attrs = {"kernel": (2, 1), "stride": (1, 1), "dilation": (1, 1), "pads": NO_PADS}
    largest = builder.emit("maxpool", node, [pair], (1, h * w, c), attrs, name=name)
    return View(builder.reshape(largest, shape, node), a.axes)


def minimum(call: Call) -> Value:
    """Smallest of activations and constants."""
    return _fold_pairs(call, _smaller)


def _smaller(call: Call) -> Value:
    x, constant, _ = _operands(call)
    if constant is not None and np.unique(constant).size == 1:
        return clamped(call, x, -inf, _single(constant))
    if constant is not None:
        below = clamped(call, affine(call, x, _ONE, -constant), -inf, 0.0)
        return affine(call, below, _ONE, constant)
    a, b = _same_shape(call, call.real(0), call.real(1))
    negated = [affine(call, view, -_ONE, _ZERO) for view in (a, b)]
    return affine(call, _stacked_max(call, negated[0], negated[1]), -_ONE, _ZERO)


def mean(call: Call) -> Value:
    """Mean of any number of activations and constants."""
    total = sum_(call)
    assert isinstance(total, View)
    return affine(call, total, _ONE / len(call.values), _ZERO)


def _slope(call: Call, plain: View, scaled: View) -> float | None:
    """alpha in 0..1 if `scaled` is alpha * `plain`, else None."""
    op = next((op for op in call.builder.ops if op.output == scaled.tensor), None)
    if op is None or op.weight is None or op.bias is not None or scaled.axes != plain.axes:
        return None
    scale = op.weight.reshape(-1)
    alike = op.inputs == (plain.tensor,) and op.weight.shape[:3] == (1, 1, 1)
    single = alike and op.attrs["groups"] == len(scale) and (scale == scale[0]).all()
    return float(scale[0]) if single and 0.0 <= scale[0] <= 1.0 else None


def _single(constant: Array) -> float:
    values = np.unique(constant)
    if len(values) != 1:
        raise Unsupported("one value per channel; a single value is supported")
    return float(values[0])


def scalar(call: Call, x: View, function: str, alpha: float = 0.0, beta: float = 0.0) -> View:
    """One of TABLE_FUNCTIONS on every element."""
    return call.builder.emit_elementwise(
        "table", call.node.name, x, table_attrs(function, alpha, beta), name=call.node.outputs[0]
    )


def table_handler(function: str, alpha: float = 0.0, beta: float = 0.0) -> Handler:
    """The handler of a function with ONNX's default parameters."""

    def handle(call: Call) -> Value:
        parameters = float(call.attr("alpha", alpha)), float(call.attr("beta", beta))
        return scalar(call, call.real(0), function, *parameters)

    handle.__doc__ = f"{function.replace('_', ' ').capitalize()} of every element."
    return handle


def prelu(call: Call) -> Value:
    """PRelu; with a slope a channel as the sum of both halves."""
    x, slope = call.real(0), call.numbers(1)
    if slope is None:
        raise ValueError("input 1 is missing")
    if np.unique(slope).size == 1:
        return scalar(call, x, "leaky_relu", _single(slope))
    below = affine(call, clamped(call, x, -inf, 0.0), slope.astype(np.float64), _ZERO)
    return binary(call, "add", clamped(call, x, 0.0, inf), below)


def power(call: Call) -> Value:
    """Pow of an activation and a single constant."""
    x, constant, first = _operands(call)
    if constant is None:
        raise Unsupported("the power of two activations", "make one of them constant")
    return scalar(call, x, "base_power" if first else "power", _single(constant))


def gelu(call: Call) -> Value:
    """Gelu, exact or approximated by tanh."""
    return scalar(call, call.real(0), "gelu", float(call.attr("approximate", "none") == "tanh"))


def shrink(call: Call) -> Value:
    """Shrink."""
    lambd, bias = float(call.attr("lambd", 0.5)), float(call.attr("bias", 0.0))
    return scalar(call, call.real(0), "shrink", lambd, bias)


def selu(call: Call) -> Value:
    """Selu."""
    alpha = float(call.attr("alpha", 1.67326319217681884765625))
    return scalar(call, call.real(0), "selu", alpha, float(call.attr("gamma", 1.0507010221481323)))


def softmax(call: Call) -> Value:
    """Softmax over one axis, or before opset 13 over all from an axis on."""
    x = call.real(0)
    rank = len(x.shape) + 1
    axis = int(call.attr("axis", -1 if call.opset >= 13 else 1)) % rank - 1
    if axis < 0:
        raise MovesBatch("it normalises over the batch", "set its axis to the channels")
    over = [axis] if call.opset >= 13 else list(range(axis, rank - 1))
    rest = [a for a in x.by_stride() if a not in over]
    order = [*rest, *over]
    tensor = call.builder.materialise(x, (rest, [], over), call.node.name)
    shape = call.builder.tensors[tensor].shape
    output = call.builder.emit(
        "softmax", call.node.name, [tensor], shape, name=call.node.outputs[0]
    )
    stored = contiguous(output, [x.shape[a] for a in order])
    return stored.permuted([int(a) for a in np.argsort(order)])
