"""Models of batch 1 that move their batch axis: the axis of size 1 becomes one like any other.

Handlers take views whose batch is implied, in front. Where a model moves, drops or doubles that
axis, a view holds all of its axes (`View.whole`), and the node is rewritten for values with one
more, implied axis in front of them: every axis that it names counts one more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from norcim.frontend.load import Node
from norcim.frontend.values import BATCH, Const, Unsupported, Value, View

Shifted = tuple[Node, tuple[Value, ...]]
_Rule = Callable[[Node, tuple[Value, ...], int], Shifted]


def whole(value: Value) -> Value:
    """A value with its batch axis among its axes."""
    if not isinstance(value, View) or value.whole:
        return value
    return replace(value, axes=((), *value.axes), whole=True)


def settled(value: Value) -> Value:
    """What a rewritten node gives: an axis of size 1 in front is the implied batch again."""
    if not isinstance(value, View):
        return value
    if value.axes and not value.axes[0]:
        return replace(value, axes=value.axes[1:], whole=False)
    return replace(value, whole=True)


def shift(node: Node, values: tuple[Value, ...], opset: int) -> Shifted:
    """The node for values with one more axis in front.

    Raises Unsupported for an operation that needs the batch in front of its input.
    """
    values = tuple(whole(value) for value in values)
    rule = _RULES.get(node.op)
    if rule is None:
        if node.op in _NEEDS_BATCH:
            raise Unsupported("its input's first axis is not a batch of 1", "keep axis 0 the batch")
        return node, values
    return rule(node, values, opset)


def _attrs(node: Node, changes: Mapping[str, Any]) -> Node:
    return replace(node, attrs={**node.attrs, **changes})


def _more(axis: int) -> int:
    return axis + 1 if axis >= 0 else axis


def _with_const(values: tuple[Value, ...], index: int, array: Any) -> tuple[Value, ...]:
    changed = list(values)
    changed[index] = Const(np.asarray(array))
    return tuple(changed)


def _integers(values: tuple[Value, ...], index: int) -> list[int] | None:
    value = values[index] if index < len(values) else None
    if value is None:
        return None
    if not isinstance(value, Const):
        raise Unsupported(f"input {index} must be a constant, it is computed from the input")
    return [int(v) for v in value.array.reshape(-1)]


def _rank(values: tuple[Value, ...]) -> int:
    """Axes of the first activation as the model shows it."""
    return len(next(value for value in values if isinstance(value, View)).axes)


def _axis(default: int) -> _Rule:
    def rule(node: Node, values: tuple[Value, ...], _opset: int) -> Shifted:
        return _attrs(node, {"axis": _more(int(node.attrs.get("axis", default)))}), values

    return rule


def _softmax(node: Node, values: tuple[Value, ...], opset: int) -> Shifted:
    return _axis(-1 if opset >= 13 else 1)(node, values, opset)


def _axes(index: int, every: bool = False) -> _Rule:
    """`axes` as an attribute or as input `index`; absent ones mean all axes if `every`."""

    def rule(node: Node, values: tuple[Value, ...], _opset: int) -> Shifted:
        axes = node.attrs.get("axes")
        if axes is not None:
            return _attrs(node, {"axes": [_more(int(axis)) for axis in axes]}), values
        given = _integers(values, index)
        if given:
            return node, _with_const(values, index, [_more(axis) for axis in given])
        if every and not node.attrs.get("noop_with_empty_axes"):
            axes = list(range(1, _rank(values) + 1))
            return _attrs(node, {"axes": axes}), values[:1]
        return node, values

    return rule


def _squeeze(node: Node, values: tuple[Value, ...], opset: int) -> Shifted:
    if node.attrs.get("axes") is None and len(values) < 2:
        view = next(value for value in values if isinstance(value, View))
        axes = [axis + 1 for axis, size in enumerate(view.shape) if size == 1]
        return _attrs(node, {"axes": axes}), values
    return _axes(1)(node, values, opset)


def _slice(node: Node, values: tuple[Value, ...], opset: int) -> Shifted:
    if node.attrs.get("axes") is not None or len(values) > 3:
        return _axes(3)(node, values, opset)
    starts = node.attrs.get("starts") or _integers(values, 1) or []
    return _attrs(node, {"axes": list(range(1, len(starts) + 1))}), values


def _transpose(node: Node, values: tuple[Value, ...], _opset: int) -> Shifted:
    order = node.attrs.get("perm")
    perm = list(range(_rank(values)))[::-1] if order is None else [int(axis) for axis in order]
    return _attrs(node, {"perm": [0, *(axis + 1 for axis in perm)]}), values


def _prepend(name: str, index: int, first: int) -> _Rule:
    """A list with one number an axis, as an attribute or an input, gets one more in front."""

    def rule(node: Node, values: tuple[Value, ...], _opset: int) -> Shifted:
        if node.attrs.get(name) is not None:
            return _attrs(node, {name: [first, *node.attrs[name]]}), values
        given = _integers(values, index)
        if given is None:
            return node, values
        return node, _with_const(values, index, [first, *given])

    return rule


def _reshape(node: Node, values: tuple[Value, ...], opset: int) -> Shifted:
    node, values = _prepend("shape", 1, 1)(node, values, opset)
    given = _integers(values, 1)
    if given is not None and BATCH in given:
        values = _with_const(values, 1, [1 if d == BATCH else d for d in given])
    return node, values


def _expand(node: Node, values: tuple[Value, ...], _opset: int) -> Shifted:
    given = [1 if d == BATCH else d for d in _integers(values, 1) or []]
    missing = _rank(values) - len(given)
    return node, _with_const(values, 1, [1] * (missing + 1) + given)


def _flatten(node: Node, values: tuple[Value, ...], _opset: int) -> Shifted:
    shape = next(value for value in values if isinstance(value, View)).shape
    axis = int(node.attrs.get("axis", 1)) % (len(shape) + 1)
    target = Const(np.array([1, prod(shape[:axis]), prod(shape[axis:])]))
    return replace(node, op="Reshape", attrs={}), (values[0], target)


def _pad(node: Node, values: tuple[Value, ...], opset: int) -> Shifted:
    if len(values) > 3 and values[3] is not None:
        return _axes(3)(node, values, opset)
    pads = node.attrs.get("pads") or _integers(values, 1) or []
    half = len(pads) // 2
    wide = [0, *pads[:half], 0, *pads[half:]]
    if node.attrs.get("pads") is not None:
        return _attrs(node, {"pads": wide}), values
    return node, _with_const(values, 1, wide)


_REDUCTIONS = """
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum
    ReduceSumSquare
"""
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_REDUCTIONS.split(), _axes(1, every=True)),
    "ArgMax": _axis(0),
    "ArgMin": _axis(0),
    "Concat": _axis(0),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _axis(0),
    "LayerNormalization": _axis(-1),
    "LogSoftmax": _softmax,
    "LpNormalization": _axis(-1),
    "RMSNormalization": _axis(-1),
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _axis(0),
    "Squeeze": _squeeze,
    "Tile": _prepend("", 1, 1),
    "Transpose": _transpose,
    "Unsqueeze": _axes(1),
}
_NEEDS_BATCH = frozenset(
    {
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "MaxPool",
        "QLinearConv",
        "Resize",
        "SpaceToDepth",
        "Upsample",
    }
)
