"""Pad: a border around an activation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from norcim.frontend.builder import check_budget
from norcim.frontend.call import Call
from norcim.frontend.ops_move import gathered
from norcim.frontend.values import MovesBatch, Unsupported, Value, View, contiguous

_LONGEST = 65535  # of an axis whose positions are listed one by one


def pad(call: Call) -> Value:
    """Border in every mode and around every axis but the batch; below 0 it crops."""
    x, mode = call.view(0), call.attr("mode", "constant")
    rank = len(x.shape) + 1
    before, after = _pad_amounts(call, rank)
    if before[0] or after[0]:
        raise MovesBatch("it pads the batch", "keep axis 0 as it is")
    for axis, (first, last) in enumerate(zip(before[1:], after[1:], strict=True)):
        size = x.shape[axis]
        check_budget(size + max(first, 0) + max(last, 0), call.node.name)
        if mode == "constant":
            x = gathered(call, x, axis, list(range(max(0, -first), size - max(0, -last))))
        else:
            if size + first + last > _LONGEST:
                raise Unsupported(f"an axis of {size + first + last}", "pad on the host")
            x = gathered(call, x, axis, _positions(mode, size, first, last))
    if mode != "constant":
        return x
    before, after = [max(n, 0) for n in before[1:]], [max(n, 0) for n in after[1:]]
    padded = [axis for axis in x.by_stride() if before[axis] or after[axis]]
    for pair in (padded[index : index + 2] for index in range(0, len(padded), 2)):
        now = [[n if axis in pair else 0 for axis, n in enumerate(b)] for b in (before, after)]
        x = _emit_pad(call, x, pair, now[0], now[1])
    return x


def _positions(mode: str, size: int, before: int, after: int) -> list[int]:
    """Which position of an axis each position of the padded one shows."""
    wanted = np.arange(-before, size + after)
    if mode == "edge":
        return [int(i) for i in np.clip(wanted, 0, size - 1)]
    if mode == "wrap":
        return [int(i) for i in wanted % size]
    if mode != "reflect":
        raise Unsupported(f"mode {mode!r}", "pad with a constant, or by reflection")
    period = max(1, 2 * (size - 1))
    return [int(i) for i in np.minimum(wanted % period, -wanted % period)]


def _pad_amounts(call: Call, rank: int) -> tuple[list[int], list[int]]:
    pads = call.ints("pads", 1)
    if pads is None:
        raise ValueError("no pads given")
    axes = call.ints("axes", 3) or list(range(rank))
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis % rank] = pads[position]
        after[axis % rank] = pads[position + len(axes)]
    return before, after


def _emit_pad(call: Call, x: View, padded: list[int], before: list[int], after: list[int]) -> View:
    """The padded axes become (h, w) in the order in which they lie, the rest channels."""
    slow = x.by_stride()
    spatial = [axis for axis in slow if axis in padded]
    rest = [axis for axis in slow if axis not in padded]
    if len(spatial) == 1 and len(rest) == 2 and slow.index(spatial[0]) == 1:
        spatial, rest = [rest[0], spatial[0]], [rest[1]]
    elif len(spatial) == 1 and len(rest) == 2:
        spatial, rest = [spatial[0], rest[0]], [rest[1]]
    groups = (spatial[:1], spatial[1:], rest)
    tensor = call.builder.materialise(x, groups, call.node.name)
    amounts = [(before[axis], after[axis]) for axis in spatial] + [(0, 0)] * (2 - len(spatial))
    pads = (amounts[0][0], amounts[1][0], amounts[0][1], amounts[1][1])
    h, w, c = call.builder.tensors[tensor].shape
    const = call.const(2)
    value = float(call.attr("value", 0.0) if const is None else const.array.reshape(()))
    if x.integer:
        value = _real_value(call, x, value)
    shape = (h + pads[0] + pads[2], w + pads[1] + pads[3], c)
    attrs = {"pads": pads, "value": float(call.finite(np.asarray(value)))}
    output = call.builder.emit(
        "pad", call.node.name, [tensor], shape, attrs, name=call.node.outputs[0]
    )
    order = [*spatial, *rest]
    sizes = [x.shape[axis] + before[axis] + after[axis] for axis in order]
    turned = contiguous(output, sizes).permuted([int(axis) for axis in np.argsort(order)])
    return replace(turned, integer=x.integer)


def _real_value(call: Call, x: View, code: float) -> float:
    """The real value of the code that a border of codes holds."""
    q = call.builder.tensors[x.tensor].qparams
    if q is None:
        raise Unsupported("it pads codes that nothing has quantised", "quantise them first")
    return (code - q.zero_point) * q.scale
