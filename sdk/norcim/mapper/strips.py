"""Layers that run in turns, a strip of rows each, so that their tensors are never whole in memory.

A strip computes as many rows of every layer as those before it allow. What the next strip needs of
the rows at hand is carried over, so no row is computed twice and every bit is that of a run in one
go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from norcim.ir.graph import Graph, Op
from norcim.ir.window import extent

Rows = tuple[int, int]
"""The first row and the one after the last."""

_PER_ROW = ("add", "mul", "clip", "table", "softmax", "argmax")
_WINDOWED = ("conv", "maxpool", "avgpool")


@dataclass(frozen=True)
class RowWindow:
    """Output row y reads the rows y * stride - pad to y * stride - pad + reach - 1."""

    stride: int
    pad: int
    reach: int

    def reads(self, rows: Rows, n_rows: int) -> Rows:
        """What of an input's n_rows some output rows need, one at least."""
        first = min(max(rows[0] * self.stride - self.pad, 0), n_rows - 1)
        end = min((rows[1] - 1) * self.stride - self.pad + self.reach, n_rows)
        return first, max(end, first + 1)

    def ready(self, done: int, n_rows: int, n_out: int) -> int:
        """Output rows for which the first `done` of an input's n_rows are enough."""
        if done == n_rows:
            return n_out
        return min(max((done + self.pad - self.reach) // self.stride + 1, 0), n_out)


@dataclass(frozen=True)
class Run:
    """Rows of an operation's output that one step of the program writes.

    op    its number in the graph
    rows  what is written
    room  rows that the buffer holds; None: the step is all of the operation
    kept  the rows are copied from the buffer before, else they are computed
    """

    op: int
    rows: Rows
    room: Rows | None = None
    kept: bool = False


def row_window(op: Op) -> RowWindow | None:
    """How rows of the output depend on those of all inputs; None if not by a window."""
    if op.kind in _PER_ROW:
        return RowWindow(1, 0, 1)
    if op.kind == "pad":
        return RowWindow(1, op.attrs["pads"][0], 1)
    if op.kind not in _WINDOWED:
        return None
    kernel = op.weight.shape[0] if op.weight is not None else op.attrs["kernel"][0]
    reach = extent(kernel, op.attrs.get("dilation", (1, 1))[0])
    return RowWindow(op.attrs["stride"][0], op.attrs["pads"][0], reach)


def whole_runs(graph: Graph, first: int = 0, end: int | None = None) -> list[Run]:
    """Operations in one go each."""
    return [
        Run(first + index, (0, graph.tensors[op.output].shape[0]))
        for index, op in enumerate(graph.ops[first:end])
    ]


def strip_runs(graph: Graph, first: int, end: int, n_strips: int) -> list[Run]:
    """All operations, those from `first` to before `end` in strips; each has a `row_window`."""
    runs = [*whole_runs(graph, 0, first)]
    for part in _Strips(graph, first, end).runs(n_strips):
        runs.append(part)
    return [*runs, *whole_runs(graph, end)]


class _Strips:
    """Rows that are done of each tensor of some operations."""

    def __init__(self, graph: Graph, first: int, end: int) -> None:
        self.graph, self.numbers = graph, range(first, end)
        ops = graph.ops[first:end]
        self.done = {op.output: 0 for op in ops}
        others = (*graph.ops[:first], *graph.ops[end:])
        shown = {name for op in others for name in op.inputs}
        shown |= {port.tensor for port in graph.outputs}
        self.readers: dict[str, list[Op]] = {
            name: [op for op in ops if name in op.inputs] for name in self.done if name not in shown
        }

    def runs(self, n_strips: int) -> Iterator[Run]:
        """What the strips do, in order."""
        for strip in range(1, n_strips + 1):
            for number in self.numbers:
                yield from self._run(number, strip, n_strips)

    def _run(self, number: int, strip: int, n_strips: int) -> Iterator[Run]:
        op = self.graph.ops[number]
        n_rows, done = self._n_rows(op.output), self.done[op.output]
        inner = [name for name in op.inputs if name in self.done]
        due = min((self._ready(op, name) for name in inner), default=-(-n_rows * strip // n_strips))
        if due <= done:
            return
        room = (0, n_rows)
        if op.output in self.readers:
            room = (min(done, self._first_needed(op.output)), due)
            if room[0] < done:
                yield Run(number, (room[0], done), room, kept=True)
        self.done[op.output] = due
        yield Run(number, (done, due), room)

    def _ready(self, op: Op, name: str) -> int:
        window = row_window(op)
        assert window is not None, "the operations run in strips"
        return window.ready(self.done[name], self._n_rows(name), self._n_rows(op.output))

    def _first_needed(self, name: str) -> int:
        """The first row that a reader still has to see."""
        n_rows, found = self._n_rows(name), self._n_rows(name)
        for op in self.readers[name]:
            at, window = self.done[op.output], row_window(op)
            assert window is not None, "the operations run in strips"
            if at < self._n_rows(op.output):
                found = min(found, window.reads((at, at + 1), n_rows)[0])
        return found

    def _n_rows(self, name: str) -> int:
        return self.graph.tensors[name].shape[0]
