"""Normalisations and reductions that are several operations: means, squares, tables, products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from norcim.frontend.call import Array, Call
from norcim.frontend.ops_elementwise import binary, clamped, scalar
from norcim.frontend.ops_linear import affine
from norcim.frontend.ops_pool import named_axes, reduce_axes, reduce_sum, reduced
from norcim.frontend.ops_shape import reshape_view
from norcim.frontend.values import MovesBatch, Value, View

_ONE, _ZERO = np.ones(()), np.zeros(())
_TINY = 1e-12  # keeps 0 / 0 at 0


def layer_normalization(call: Call) -> tuple[Value, ...]:
    """LayerNormalization over the axes from one on."""
    x = call.real(0)
    y, mean, factor = _normalised(call, x, _from_axis(call, x), centre=True)
    return _scaled(call, y, call.numbers(1), call.numbers(2)), mean, factor


def rms_normalization(call: Call) -> Value:
    """RMSNormalization over the axes from one on."""
    x = call.real(0)
    y, _, _ = _normalised(call, x, _from_axis(call, x), centre=False)
    return _scaled(call, y, call.numbers(1), None)


def _from_axis(call: Call, x: View) -> list[int]:
    rank = len(x.shape) + 1
    axis = int(call.attr("axis", -1)) % rank
    if axis == 0:
        raise MovesBatch("it normalises over the batch", "keep axis 0 out of its axes")
    return list(range(axis - 1, rank - 1))


def instance_normalization(call: Call) -> Value:
    """InstanceNormalization: each channel over all of its positions."""
    x = call.real(0)
    y, _, _ = _normalised(call, x, list(range(1, len(x.shape))), centre=True)
    return _per_channel(call, y, call.numbers(1), call.numbers(2))


def group_normalization(call: Call) -> Value:
    """GroupNormalization: groups of channels over all of their positions."""
    x, groups = call.real(0), int(call.attr("num_groups", 0))
    channels = x.shape[0]
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels in {groups} groups")
    apart = reshape_view(call, x, (groups, channels // groups, *x.shape[1:]))
    y, _, _ = _normalised(call, apart, list(range(1, len(apart.shape))), centre=True)
    scale, shift = call.numbers(1), call.numbers(2)
    if scale is None or shift is None:
        raise ValueError("no scale or bias given")
    each = channels // len(scale)  # opset 18 has one a group, opset 21 one a channel
    joined = reshape_view(call, y, x.shape)
    return _per_channel(call, joined, np.repeat(scale, each), np.repeat(shift, each))


def lp_normalization(call: Call) -> Value:
    """LpNormalization along one axis, p 1 or 2."""
    x, p = call.real(0), int(call.attr("p", 2))
    axis = int(call.attr("axis", -1)) % (len(x.shape) + 1) - 1
    if axis < 0:
        raise MovesBatch("it normalises over the batch", "keep axis 0 out of its axes")
    size = float(x.shape[axis])
    inner = binary(call, "mul", x, x) if p == 2 else scalar(call, x, "abs")
    mean = reduce_axes(call, inner, [axis], True, "avgpool")
    total = clamped(call, affine(call, mean, size * _ONE, _ZERO), _TINY, np.inf)
    return binary(call, "mul", x, scalar(call, total, "power", -0.5 if p == 2 else -1.0))


def _normalised(
    call: Call, x: View, axes: Sequence[int], *, centre: bool
) -> tuple[View, View, View]:
    """(x - mean) / sqrt(variance + epsilon) over some axes; the mean; what x is multiplied by."""
    mean = x
    if centre:
        mean = reduce_axes(call, x, list(axes), True, "avgpool")
        x = binary(call, "add", x, affine(call, mean, -_ONE, _ZERO))
    variance = reduce_axes(call, binary(call, "mul", x, x), list(axes), True, "avgpool")
    epsilon = float(call.attr("epsilon", 1e-5))
    factor = scalar(call, affine(call, variance, _ONE, epsilon * _ONE), "power", -0.5)
    return binary(call, "mul", x, factor), mean, factor


def _scaled(call: Call, x: View, scale: Array | None, shift: Array | None) -> View:
    wide = _ONE if scale is None else scale.astype(np.float64)
    if (wide == 1).all() and (shift is None or not shift.any()):
        return x
    return affine(call, x, wide, _ZERO if shift is None else shift.astype(np.float64))


def _per_channel(call: Call, x: View, scale: Array | None, shift: Array | None) -> View:
    shape = (x.shape[0], *[1] * (len(x.shape) - 1))
    arrays = [None if array is None else array.reshape(shape) for array in (scale, shift)]
    return _scaled(call, x, arrays[0], arrays[1])


def log_softmax(call: Call) -> Value:
    """LogSoftmax: x less the largest, less the logarithm of the sum of its exponentials."""
    x = call.real(0)
    rank = len(x.shape) + 1
    axis = int(call.attr("axis", -1 if call.opset >= 13 else 1)) % rank - 1
    if axis < 0:
        raise MovesBatch("it normalises over the batch", "set its axis to the channels")
    axes = [axis] if call.opset >= 13 else list(range(axis, rank - 1))
    below, total, _ = _log_sum(call, x, axes)
    return binary(call, "add", below, affine(call, total, -_ONE, _ZERO))


def _log_sum(call: Call, x: View, axes: list[int]) -> tuple[View, View, View]:
    """x less the largest along some axes, the logarithm of its exponentials' sum, the largest."""
    largest = reduce_axes(call, x, axes, True, "maxpool")
    below = binary(call, "add", x, affine(call, largest, -_ONE, _ZERO))
    mean = reduce_axes(call, scalar(call, below, "exp"), axes, True, "avgpool")
    count = float(prod(x.shape[a] for a in axes))
    return below, scalar(call, affine(call, mean, count * _ONE, _ZERO), "log"), largest


def reduce_l1(call: Call) -> Value:
    """ReduceL1 over any axes but the batch."""
    return reduced(call, scalar(call, call.real(0), "abs"), reduce_sum)


def reduce_l2(call: Call) -> Value:
    """ReduceL2 over any axes but the batch."""
    return scalar(call, _view(reduce_sum_square(call)), "sqrt")


def reduce_sum_square(call: Call) -> Value:
    """ReduceSumSquare over any axes but the batch."""
    x = call.real(0)
    return reduced(call, binary(call, "mul", x, x), reduce_sum)


def reduce_log_sum(call: Call) -> Value:
    """ReduceLogSum over any axes but the batch."""
    return scalar(call, _view(reduce_sum(call)), "log")


def reduce_log_sum_exp(call: Call) -> Value:
    """ReduceLogSumExp over any axes but the batch, from the largest value down."""
    x = call.real(0)
    axes = named_axes(call, x)
    if not axes:
        return x
    _, total, largest = _log_sum(call, x, axes)
    y = binary(call, "add", total, largest)
    kept = bool(call.attr("keepdims", 1))
    return y if kept else y.permuted([a for a in range(len(x.shape)) if a not in axes])


def _view(value: Value) -> View:
    assert isinstance(value, View)
    return value
