"""Builds `move` operations: elements of views put elsewhere, as few strided boxes as possible."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from norcim.frontend.builder import Builder, check_budget
from norcim.frontend.values import Unsupported, View, contiguous
from norcim.ir.graph import Shape
from norcim.ir.moves import Piece

MAX_PIECES = 1024
"""Strided copies of one operation; each is a descriptor."""

_SIZE_LIMIT = 65535  # of a box in one direction: 16-bit fields


@dataclass(frozen=True)
class Loop:
    """`count` elements, `step` apart in the input and `put` apart in the output."""

    count: int
    step: int
    put: int


@dataclass(frozen=True)
class Span:
    """What is taken along one axis: positions of the input, and where they go in the output.

    start, put  position of the first element in the input and in the output
    loops       from the outermost to the innermost
    """

    start: int
    put: int
    loops: tuple[Loop, ...]


@dataclass(frozen=True)
class Part:
    """A view, and one span for each of its axes."""

    view: View
    spans: tuple[Span, ...]


def whole(size: int, put: int = 0) -> Span:
    """All of an axis."""
    return Span(0, put, (Loop(size, 1, 1),))


def runs(indexes: Sequence[int]) -> list[Span]:
    """Any list of positions as spans of equal steps (not below 0), and repeats of such."""
    found: list[Span] = []
    n = len(indexes)
    at = 0
    while at < n:
        count, step = 1, 0
        if at + 1 < n and indexes[at + 1] >= indexes[at]:
            step = indexes[at + 1] - indexes[at]
            while at + count < n and indexes[at + count] == indexes[at] + count * step:
                count += 1
        span = Span(indexes[at], at, (Loop(count, step, 1),))
        at += count
        found.append(span)
    return _grouped(found)


def _grouped(spans: list[Span]) -> list[Span]:
    """Spans of one kind that follow each other at equal distances as one with two loops."""
    found: list[Span] = []
    at = 0
    while at < len(spans):
        first, count = spans[at], 1
        if at + 1 < len(spans):
            step = spans[at + 1].start - first.start
            put = spans[at + 1].put - first.put
            while (
                step >= 0
                and at + count < len(spans)
                and spans[at + count]
                == Span(first.start + count * step, first.put + count * put, first.loops)
            ):
                count += 1
            if count > 1:
                first = Span(first.start, first.put, (Loop(count, step, put), *first.loops))
        found.append(first)
        at += count
    return found


def assemble(
    builder: Builder, node: str, name: str, parts: Sequence[Part], shape: Sequence[int],
    order: Sequence[int] | None = None,
) -> View:  # fmt: skip
    """A tensor of the ONNX shape (per sample) put together from parts that cover it.

    order  its axes from the slowest to the fastest in memory; None for as the first part lies
    Raises Unsupported if it takes too many copies.
    """
    check_budget(prod(shape), node)
    order = order or parts[0].view.by_stride()
    sizes = [shape[axis] for axis in order]
    strides = [0] * len(shape)
    for position, axis in enumerate(order):
        strides[axis] = prod(sizes[position + 1 :])
    tensors: list[str] = []
    pieces: list[Piece] = []
    for part in parts:
        view = _plain(builder, part.view, node)
        if view.tensor not in tensors:
            tensors.append(view.tensor)
        pieces += _pieces(part, view, strides, tensors.index(view.tensor))
        if len(pieces) > MAX_PIECES:
            raise Unsupported(
                f"it takes more than {MAX_PIECES} strided copies", "move the elements on the host"
            )
    split = max(0, len(order) - 2)
    h, w, c = (prod(group) for group in (sizes[:split], sizes[split:-1], sizes[-1:]))
    output = emit_pieces(builder, node, name, tensors, pieces, (h, w, c))
    return contiguous(output, sizes).permuted(_inverse(order))


def emit_pieces(
    builder: Builder, node: str, name: str, tensors: Sequence[str], pieces: Sequence[Piece],
    shape: Shape,
) -> str:  # fmt: skip
    """Append a `move`; returns its output tensor."""
    return builder.emit("move", node, tensors, shape, {"pieces": tuple(pieces)}, name=name)


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=lambda position: order[position])


def _plain(builder: Builder, view: View, node: str) -> View:
    """A view each axis of which is one run of positions."""
    if all(len(axis) <= 1 for axis in view.axes):
        return view
    tensor = builder.materialise(view, ([], [], list(range(len(view.axes)))), node)
    return contiguous(tensor, view.shape)


def _pieces(part: Part, view: View, strides: Sequence[int], source: int) -> list[Piece]:
    start = put = 0
    loops: list[Loop] = []
    for axis, span, stride in zip(view.axes, part.spans, strides, strict=True):
        own = axis[0][1] if axis else 0
        start += span.start * own
        put += span.put * stride
        loops += [Loop(item.count, item.step * own, item.put * stride) for item in span.loops]
    return [
        Piece(
            source, start + more, steps, (box[0], box[1]), (0, 0), put + further, puts, box,
        )
        for more, further, steps, puts, box in _boxes(merged(loops))
    ]  # fmt: skip


def merged(loops: Sequence[Loop]) -> list[Loop]:
    """The same copies in as few loops as possible, from the largest output step to the least."""
    result: list[Loop] = []
    for loop in sorted((item for item in loops if item.count > 1), key=lambda item: -item.put):
        before = result[-1] if result else None
        joined = before is not None and (
            before.put == loop.count * loop.put and before.step == loop.count * loop.step
        )
        if before is not None and joined and before.count * loop.count <= _SIZE_LIMIT:
            result[-1] = Loop(before.count * loop.count, loop.step, loop.put)
        else:
            result.append(loop)
    return result


_Triple = tuple[int, int, int]


def _boxes(loops: list[Loop]) -> list[tuple[int, int, _Triple, _Triple, _Triple]]:
    """(input offset, output offset, input steps, output steps, size) of boxes of three loops."""
    cut = [part for loop in loops for part in _cut(loop)]
    inner = sorted(sorted(cut, key=lambda item: -item.count)[:3], key=lambda item: -item.put)
    outer = list(cut)
    for item in inner:
        outer.remove(item)
    if prod(item.count for item in outer) > MAX_PIECES:
        raise Unsupported(
            f"it takes more than {MAX_PIECES} strided copies", "move the elements on the host"
        )
    inner = [Loop(1, 0, 1)] * (3 - len(inner)) + inner
    steps = (inner[0].step, inner[1].step, inner[2].step)
    puts = (inner[0].put, inner[1].put, inner[2].put)
    box = (inner[0].count, inner[1].count, inner[2].count)
    found = []
    for index in itertools.product(*(range(item.count) for item in outer)):
        more = sum(i * item.step for i, item in zip(index, outer, strict=True))
        further = sum(i * item.put for i, item in zip(index, outer, strict=True))
        found.append((more, further, steps, puts, box))
    return found


def _cut(loop: Loop) -> list[Loop]:
    """A loop longer than a descriptor's field as two nested ones."""
    if loop.count <= _SIZE_LIMIT:
        return [loop]
    inner = next((n for n in range(_SIZE_LIMIT, 0, -1) if loop.count % n == 0), 1)
    if inner == 1:
        raise Unsupported(f"{loop.count} elements in one row", "split it before the model")
    return [Loop(loop.count // inner, loop.step * inner, loop.put * inner),
            Loop(inner, loop.step, loop.put)]  # fmt: skip
