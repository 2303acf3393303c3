"""Operations that put elements together, take them apart or repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from norcim.frontend.builder import check_budget
from norcim.frontend.call import Call
from norcim.frontend.constant_tensor import constant_view
from norcim.frontend.moving import Loop, Part, Span, assemble, runs, whole
from norcim.frontend.ops_shape import reshape_view
from norcim.frontend.values import BATCH, Const, MovesBatch, Unsupported, Value, View, merge


def concat(call: Call) -> Value:
    """Concat along any axis but the batch; constants may be among the parts."""
    first = next(value for value in call.values if isinstance(value, View))
    axis = _axis(call, len(first.shape))
    views = [_part(call, value, first, axis) for value in call.values]
    sizes = [view.shape[axis] for view in views]
    for view in views:
        if _without(view.shape, axis) != _without(first.shape, axis):
            raise ValueError(f"parts of shapes {[v.shape for v in views]}")
    parts = []
    for view, put in zip(views, np.cumsum([0, *sizes[:-1]]), strict=True):
        spans = [whole(size) for size in view.shape]
        spans[axis] = whole(view.shape[axis], int(put))
        parts.append(Part(view, tuple(spans)))
    return _moved(call, parts, _resized(first.shape, axis, sum(sizes)), first)


def _part(call: Call, value: Value, first: View, axis: int) -> View:
    if isinstance(value, Const):
        array = np.asarray(value.array, np.float64)
        shape = array.shape[1:]
        if array.ndim != len(first.shape) + 1 or array.shape[0] != 1:
            raise Unsupported(f"a constant of shape {array.shape} beside {first.shape} per sample")
        return constant_view(call, first, call.finite(array[0]), shape)
    if not isinstance(value, View):
        raise ValueError("a part is missing")
    kinds = (first.integer, value.integer)
    if kinds[0] != kinds[1]:
        raise Unsupported("it joins codes and real values", "quantise all parts alike")
    tensors = call.builder.tensors
    if kinds[0] and tensors[first.tensor].qparams != tensors[value.tensor].qparams:
        raise Unsupported(
            "it joins codes of different scales",
            "export in QDQ format: DequantizeLinear before it, QuantizeLinear after it",
        )
    return value


def split(call: Call) -> tuple[Value, ...]:
    """Split along any axis but the batch."""
    x = call.view(0)
    axis = _axis(call, len(x.shape))
    size, count = x.shape[axis], len(call.node.outputs)
    sizes = call.ints("split", 1)
    if sizes is None:
        each = -(-size // int(call.attr("num_outputs", count)))
        sizes = [min(each, size - each * index) for index in range(count)]
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 0:
        raise ValueError(f"parts {sizes} of {size}")
    starts = np.cumsum([0, *sizes[:-1]])
    parts: list[Value] = [
        _take(call, x, axis, [Span(int(start), 0, (Loop(n, 1, 1),))], n, name) if name else None
        for start, n, name in zip(starts, sizes, call.node.outputs, strict=True)
    ]
    return tuple(parts)


def slice_(call: Call) -> Value:
    """Slice with constant bounds and steps."""
    x = call.view(0)
    rank = len(x.shape) + 1
    starts, ends = call.ints("starts", 1), call.ints("ends", 2)
    if starts is None or ends is None:
        raise ValueError("no bounds given")
    axes = call.ints("axes", 3) or list(range(len(starts)))
    steps = call.ints("", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % rank == 0:
            if (start, step) != (0, 1) or end < 1 or (call.builder.batch or 1) > end:
                raise MovesBatch("it slices the batch", "keep all of axis 0")
            continue
        size = x.shape[axis % rank - 1]
        indexes = list(range(size))[slice(start, _end(end, size, step), step)]
        x = gathered(call, x, axis % rank - 1, indexes)
    return x


def _end(end: int, size: int, step: int) -> int | None:
    """ONNX's end as Python's: INT_MIN with a negative step means through the first element."""
    return None if step < 0 and end < -size else end


def gather(call: Call) -> Value:
    """Gather with constant indexes along any axis but the batch."""
    x = call.view(0)
    rank = len(x.shape) + 1
    axis = int(call.attr("axis", 0)) % rank - 1
    const = call.const(1)
    if axis < 0:
        raise MovesBatch("it gathers along the batch", "select samples on the host")
    if const is None:
        raise ValueError("no indexes given")
    wanted = const.array.astype(np.int64)
    size = x.shape[axis]
    if wanted.size and (wanted.min() < -size or wanted.max() >= size):
        raise ValueError(f"indexes {wanted.min()}..{wanted.max()} of {size}")
    check_budget(wanted.size, call.node.name)
    taken = gathered(call, x, axis, [int(i) % size for i in wanted.reshape(-1)])
    shape = (*x.shape[:axis], *wanted.shape, *x.shape[axis + 1 :])
    return reshape_view(call, taken, shape)


def gathered(call: Call, x: View, axis: int, indexes: Sequence[int]) -> View:
    """Some positions of an axis in any order, repeats allowed; the same view if it is all."""
    if list(indexes) == list(range(x.shape[axis])):
        return x
    if not indexes:
        raise Unsupported("its result is empty", "remove it from the graph")
    return _take(call, x, axis, runs(indexes), len(indexes))


def _take(call: Call, x: View, axis: int, spans: Sequence[Span], size: int, name: str = "") -> View:
    """Some positions of one axis, all of the others."""
    if size < 1:
        raise Unsupported("a part of it is empty", "remove it from the graph")
    others = [whole(n) for n in x.shape]
    parts = [Part(x, (*others[:axis], span, *others[axis + 1 :])) for span in spans]
    return _moved(call, parts, _resized(x.shape, axis, size), x, name)


def _moved(
    call: Call, parts: Sequence[Part], shape: Sequence[int], like: View, name: str = "",
    order: Sequence[int] | None = None,
) -> View:  # fmt: skip
    target = name or call.node.outputs[0]
    result = assemble(call.builder, call.node.name, target, parts, shape, order)
    return replace(result, integer=like.integer)


def _axis(call: Call, rank: int) -> int:
    axis = int(call.attr("axis", 0))
    if not -rank - 1 <= axis <= rank:
        raise ValueError(f"axis {axis} for {rank + 1} axes")
    if axis % (rank + 1) == 0:
        raise MovesBatch("it works along the batch", "keep axis 0 as the batch")
    return axis % (rank + 1) - 1


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _resized(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def expand(call: Call) -> Value:
    """Expand to a constant shape: axes of size 1 repeat."""
    wanted = call.ints("shape", 1)
    if wanted is None:
        raise ValueError("no shape given")
    x = call.view(0)
    return broadcast(call, x, _target(call, wanted, x.shape))


def _target(call: Call, wanted: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The per-sample shape of an Expand, whose batch must be 1 or the batch itself."""
    rank = len(shape) + 1
    if len(wanted) > rank:
        raise Unsupported(f"it adds axes in front of the batch (to {list(wanted)})")
    aligned = [1] * (rank - len(wanted)) + list(wanted)
    if aligned[0] not in (1, BATCH, call.builder.batch or 1):
        raise MovesBatch(f"it repeats the batch (to {list(wanted)})", "keep axis 0 as it is")
    return tuple(max(a, b) for a, b in zip(aligned[1:], shape, strict=True))


def broadcast(
    call: Call, x: View, shape: Sequence[int], order: Sequence[int] | None = None
) -> View:
    """The activation with axes of size 1 repeated to `shape` (of the same rank).

    order  axes of the result from the slowest to the fastest in memory
    """
    if x.shape == tuple(shape):
        return x
    if any(have not in (1, want) for have, want in zip(x.shape, shape, strict=True)):
        raise Unsupported(f"shapes {x.shape} and {tuple(shape)} do not broadcast")
    spans = tuple(
        whole(want) if have == want else Span(0, 0, (Loop(want, 0, 1),))
        for have, want in zip(x.shape, shape, strict=True)
    )
    return _moved(call, [Part(x, spans)], shape, x, order=order)


def tile(call: Call) -> Value:
    """Tile by constant repeats along any axis but the batch."""
    x = call.view(0)
    repeats = call.ints("repeats", 1)
    if repeats is None or len(repeats) != len(x.shape) + 1 or min(repeats) < 1:
        raise ValueError(f"repeats {repeats} of {x.shape} per sample")
    if repeats[0] != 1:
        raise MovesBatch("it repeats the batch", "keep axis 0 as it is")
    shape = [n * times for n, times in zip(x.shape, repeats[1:], strict=True)]
    check_budget(prod(shape), call.node.name)
    spans = tuple(
        Span(0, 0, (Loop(times, 0, n), Loop(n, 1, 1)))
        for n, times in zip(x.shape, repeats[1:], strict=True)
    )
    return x if tuple(shape) == x.shape else _moved(call, [Part(x, spans)], shape, x)


def depth_to_space(call: Call) -> Value:
    """DepthToSpace in both modes: a change of view."""
    x, block = call.view(0), int(call.attr("blocksize", 0))
    if len(x.shape) != 3 or block < 1 or x.shape[0] % block**2:
        raise ValueError(f"blocks of {block} in {x.shape} per sample")
    c, h, w = x.shape
    depth = c // block**2
    if call.attr("mode", "DCR") == "CRD":
        apart, order = (depth, block, block, h, w), (0, 3, 1, 4, 2)
    else:
        apart, order = (block, block, depth, h, w), (2, 3, 0, 4, 1)
    turned = reshape_view(call, x, apart).permuted(order)
    return _joined(turned, ((0,), (1, 2), (3, 4)))


def space_to_depth(call: Call) -> Value:
    """SpaceToDepth: a change of view."""
    x, block = call.view(0), int(call.attr("blocksize", 0))
    if len(x.shape) != 3 or block < 1 or x.shape[1] % block or x.shape[2] % block:
        raise ValueError(f"blocks of {block} in {x.shape} per sample")
    c, h, w = x.shape
    apart = reshape_view(call, x, (c, h // block, block, w // block, block))
    order = (0, 2, 4, 1, 3) if call.attr("mode", "DCR") == "CRD" else (2, 4, 0, 1, 3)
    return _joined(apart.permuted(order), ((0, 1, 2), (3,), (4,)))


def _joined(view: View, groups: Sequence[Sequence[int]]) -> View:
    """Axes of a view joined to larger ones, nothing moved."""
    axes = tuple(merge(f for axis in group for f in view.axes[axis]) for group in groups)
    return replace(view, axes=axes)
