"""MaxPool, AveragePool, their global forms, and reductions over spatial axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from norcim.frontend.call import Call, Handler
from norcim.frontend.ops_linear import affine
from norcim.frontend.values import MovesBatch, Unsupported, Value, View, contiguous
from norcim.frontend.windows import Window, window
from norcim.ir.window import NO_PADS, Pair, extent, out_sizes


def max_pool(call: Call) -> Value:
    """MaxPool on real values or on codes (the order is the same)."""
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        raise Unsupported("its second output, the indices", "export without return_indices")
    x = call.view(0)
    tensor, size, rank = _spatial(call, x)
    win = _with_ceil(call, window(call, call.attr("kernel_shape", []), size), size)
    attrs = {
        "kernel": win.kernel,
        "stride": win.stride,
        "dilation": win.dilation,
        "pads": win.pads,
    }
    return replace(_emit(call, "maxpool", tensor, win, attrs, rank), integer=x.integer)


def average_pool(call: Call) -> Value:
    """AveragePool; padding counts if count_include_pad says so."""
    tensor, size, rank = _spatial(call, call.real(0))
    win = window(call, call.attr("kernel_shape", []), size)
    if win.dilation != (1, 1):
        raise Unsupported("dilated average pooling", "use a dilated depthwise convolution")
    include = bool(call.attr("count_include_pad", 0))
    wide = _with_ceil(call, win, size)
    if wide != win and include:
        if win.pads != NO_PADS:
            raise Unsupported(
                "ceil_mode together with count_include_pad", "export with ceil_mode=0"
            )
        include = False  # only the overhang is padding, and ONNX never counts that
    attrs = {
        "kernel": wide.kernel,
        "stride": wide.stride,
        "pads": wide.pads,
        "count_include_pad": include,
    }
    return _emit(call, "avgpool", tensor, wide, attrs, rank)


def global_average_pool(call: Call) -> Value:
    """Mean over all spatial axes, which stay as size 1."""
    x = call.real(0)
    return reduce_axes(call, x, list(range(1, len(x.shape))), True, "avgpool")


def global_max_pool(call: Call) -> Value:
    """Largest over all spatial axes, which stay as size 1."""
    x = call.view(0)
    return reduce_axes(call, x, list(range(1, len(x.shape))), True, "maxpool")


def reduce_mean(call: Call) -> Value:
    """ReduceMean over any axes but the batch."""
    return _reduce(call, call.real(0), "avgpool")


def reduce_max(call: Call) -> Value:
    """ReduceMax over any axes but the batch."""
    return _reduce(call, call.view(0), "maxpool")


def reduce_min(call: Call) -> Value:
    """ReduceMin over any axes but the batch: the negated largest of the negated."""
    one = np.ones(())
    largest = _reduce(call, affine(call, call.real(0), -one, 0 * one), "maxpool")
    assert isinstance(largest, View)
    return affine(call, largest, -one, 0 * one)


def reduced(call: Call, x: View, reduction: Handler) -> Value:
    """Another activation reduced over the axes that the node names."""
    result = reduction(replace(call, values=(x, *call.values[1:])))
    assert not isinstance(result, tuple)
    return result


def reduce_sum(call: Call) -> Value:
    """ReduceSum over any axes but the batch: the mean times the count."""
    x = call.real(0)
    mean = _reduce(call, x, "avgpool")
    assert isinstance(mean, View)
    count = prod(x.shape) // prod(mean.shape)
    return mean if count == 1 else affine(call, mean, np.array(float(count)), np.zeros(()))


def _reduce(call: Call, x: View, kind: str) -> Value:
    axes = named_axes(call, x)
    return reduce_axes(call, x, axes, bool(call.attr("keepdims", 1)), kind) if axes else x


def named_axes(call: Call, x: View) -> list[int]:
    """The per-sample axes that a reduction names; none if it does nothing."""
    axes = call.ints("axes", 1)
    rank = len(x.shape) + 1
    if not axes:
        if call.attr("noop_with_empty_axes", 0):
            return []
        axes = list(range(rank))
    wanted = sorted({axis % rank for axis in axes})
    if wanted[0] == 0:
        raise MovesBatch("it reduces over the batch", "keep axis 0 out of its axes")
    return [axis - 1 for axis in wanted]


def reduce_axes(call: Call, x: View, axes: list[int], keep: bool, kind: str) -> View:
    """A pool over whole per-sample axes; the others become channels."""
    slow = x.by_stride()
    reduced = [axis for axis in slow if axis in axes]
    rest = [axis for axis in slow if axis not in axes]
    spatial = ([reduced[0]], [reduced[1]]) if len(reduced) == 2 else (reduced, [])
    tensor = call.builder.materialise(x, (*spatial, rest), call.node.name)
    h, w, c = call.builder.tensors[tensor].shape
    attrs = {"kernel": (h, w), "stride": (1, 1), "pads": NO_PADS}
    extra = {"count_include_pad": False} if kind == "avgpool" else {"dilation": (1, 1)}
    output = call.builder.emit(
        kind, call.node.name, [tensor], (1, 1, c), {**attrs, **extra}, name=call.node.outputs[0]
    )
    kept = contiguous(output, [x.shape[axis] for axis in rest])
    by_axis = dict(zip(rest, kept.axes, strict=True))
    order = [axis for axis in range(len(x.shape)) if keep or axis not in axes]
    return View(output, tuple(by_axis.get(axis, ()) for axis in order), x.integer)


def _spatial(call: Call, x: View) -> tuple[str, Pair, int]:
    rank = len(x.shape) - 1
    if rank not in (1, 2):
        raise Unsupported(f"{rank}-D pooling; 1-D and 2-D are supported")
    groups = ([1], [2] if rank == 2 else [], [0])
    tensor = call.builder.materialise(x, groups, call.node.name)
    h, w, _ = call.builder.tensors[tensor].shape
    return tensor, (h, w), rank


def _with_ceil(call: Call, win: Window, size: Pair) -> Window:
    """With ceil_mode, pads at the bottom and right that make the partial window a whole one."""
    if not call.attr("ceil_mode", 0):
        return win
    top, left, bottom, right = win.pads
    return replace(
        win,
        pads=(
            top,
            left,
            _overhang(size[0], top, bottom, win, 0),
            _overhang(size[1], left, right, win, 1),
        ),
    )


def _overhang(size: int, before: int, after: int, win: Window, axis: int) -> int:
    span, stride = extent(win.kernel[axis], win.dilation[axis]), win.stride[axis]
    count = -((size + before + after - span) // -stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1  # ONNX drops a window that would start in the padding
    return max(after, (count - 1) * stride + span - size - before)


def _emit(
    call: Call, kind: str, tensor: str, win: Window, attrs: Mapping[str, object], rank: int
) -> View:
    h, w, c = call.builder.tensors[tensor].shape
    out = out_sizes((h, w), win.kernel, win.stride, win.dilation, win.pads)
    output = call.builder.emit(
        kind, call.node.name, [tensor], (*out, c), attrs, name=call.node.outputs[0]
    )
    shape = (*out, c) if rank == 2 else (prod(out), c)
    return contiguous(output, shape).permuted((rank, *range(rank)))
