"""Activations, and arithmetic of an activation with a constant or with another activation."""

from __future__ import annotations

from math import inf

import numpy as np

from norcim.frontend.call import Array, Call, Handler
from norcim.frontend.ops_linear import affine
from norcim.frontend.values import Const, Unsupported, Value, View, contiguous

_ONE = np.ones((), np.float64)
_ZERO = np.zeros((), np.float64)


def add(call: Call) -> Value:
    """Sum with a constant or of two activations."""
    x, constant, _ = _operands(call)
    if constant is None:
        return binary(call, "add", call.real(0), call.real(1))
    return affine(call, x, _ONE, constant)


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
    """Quotient by a constant."""
    x, constant, first = _operands(call)
    if constant is None or first:
        raise Unsupported("it divides by an activation", "divide by a constant only")
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
    """An elementwise operation on two activations of one shape."""
    if a.shape != b.shape:
        raise Unsupported(
            f"two activations of different shapes, {a.shape} and {b.shape}",
            "tile the smaller one, or fold the scale into the weights",
        )
    builder, node = call.builder, call.node.name
    if a.axes != b.axes:
        a, b = _one_layout(call, a, b)
    shape = builder.tensors[a.tensor].shape
    right = builder.reshape(b.tensor, shape, node)
    output = builder.emit(
        kind, node, [a.tensor, right], shape, {"clamp": None}, name=call.node.outputs[0]
    )
    return View(output, a.axes)


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


def _clip(call: Call, x: View, lo: float, hi: float) -> View:
    if np.isnan(lo) or np.isnan(hi):
        raise ValueError("a limit is NaN")
    clamp = (min(lo, hi), hi)
    name = call.node.outputs[0]
    return call.builder.emit_elementwise("clip", call.node.name, x, {"clamp": clamp}, name=name)


def relu(call: Call) -> Value:
    """max(x, 0)."""
    return _clip(call, call.real(0), 0.0, inf)


def clip(call: Call) -> Value:
    """Clip, with limits as attributes (opset 6) or constant inputs (opset 11)."""
    return _clip(call, call.real(0), _limit(call, "min", 1, -inf), _limit(call, "max", 2, inf))


def _limit(call: Call, name: str, index: int, default: float) -> float:
    const = call.const(index)
    return float(call.attr(name, default) if const is None else const.array.reshape(()))


def maximum(call: Call) -> Value:
    """Max with a constant, or of x and alpha * x (a leaky ReLU)."""
    x, constant, _ = _operands(call)
    if constant is not None:
        return _clip(call, x, _single(constant), inf)
    a, b = call.real(0), call.real(1)
    for plain, scaled in ((a, b), (b, a)):
        slope = _slope(call, plain, scaled)
        if slope is not None:
            return _table(call, plain, "leaky_relu", slope)
    raise Unsupported("the larger of two activations", "Max with a constant is supported")


def minimum(call: Call) -> Value:
    """Min with a constant."""
    x, constant, _ = _operands(call)
    if constant is None:
        raise Unsupported("the smaller of two activations", "Min with a constant is supported")
    return _clip(call, x, -inf, _single(constant))


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


def _table(call: Call, x: View, function: str, alpha: float = 0.0, beta: float = 0.0) -> View:
    attrs = {"function": function, "alpha": alpha, "beta": beta}
    return call.builder.emit_elementwise(
        "table", call.node.name, x, attrs, name=call.node.outputs[0]
    )


def table_handler(function: str, alpha: float = 0.0, beta: float = 0.0) -> Handler:
    """The handler of a function with ONNX's default parameters."""

    def handle(call: Call) -> Value:
        parameters = float(call.attr("alpha", alpha)), float(call.attr("beta", beta))
        return _table(call, call.real(0), function, *parameters)

    return handle


def prelu(call: Call) -> Value:
    """PRelu with a single slope."""
    slope = call.numbers(1)
    if slope is None:
        raise ValueError("input 1 is missing")
    return _table(call, call.real(0), "leaky_relu", _single(slope))


def softmax(call: Call) -> Value:
    """Softmax over one axis, or before opset 13 over all from an axis on."""
    x = call.real(0)
    rank = len(x.shape) + 1
    axis = int(call.attr("axis", -1 if call.opset >= 13 else 1)) % rank - 1
    if axis < 0:
        raise Unsupported("it normalises over the batch", "set its axis to the channels")
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
