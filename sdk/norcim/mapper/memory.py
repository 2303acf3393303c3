"""Plan activation memory: bytes that are needed at the same time never overlap."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.ir.graph import Graph
from norcim.ir.ops import WIDE
from norcim.mapper.strips import Rows, Run, row_window, strip_runs, whole_runs

ALIGNMENT = 8
"""Tensors start at multiples of this many bytes: one beat of the NPU's memory port."""
N_NAMED = 5  # layers that an error names
N_BEHIND = 8  # layers behind the fewest that strips may take in
N_NEAR, N_TRIES = 6, 64  # ways in strips that nearly fit, and how often each is packed
_STRIP_ROWS = (128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)  # of the highest tensor

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MemoryPlan:
    """Where everything lies, and what runs when.

    addr     of every tensor, of one in strips the origin of its last buffer
    n_bytes  that all take
    runs     in their order
    origins  by run, where row 0 of its output's buffer lies, or would lie
    """

    addr: dict[str, int]
    n_bytes: int
    runs: tuple[Run, ...]
    origins: tuple[int, ...]


@dataclass(frozen=True)
class _Storage:
    """Bytes of a tensor or of one of its buffers.

    row_bytes, first_row  what a row takes, and the first that the buffer holds
    uses                  (first byte, the one after the last, time) of all writing and reading
    """

    size: int
    row_bytes: int
    first_row: int
    uses: list[tuple[int, int, int]] = field(default_factory=list)

    def lives(self) -> Ints:
        """Parts (first byte, the one after the last, first time, last time), (n, 4)."""
        uses = np.array(self.uses, np.int64)
        cuts = np.unique(uses[:, :2])
        parts = []
        for low, high in itertools.pairwise(cuts):
            times = uses[(uses[:, 0] <= low) & (uses[:, 1] >= high), 2]
            parts.append((low, high, times.min(), times.max()))
        return np.array(parts, np.int64)


class _Lives:
    """The storages of some runs of a graph, and when which of their bytes are needed.

    Time 0 is before the first run, which is at 1.
    """

    def __init__(self, graph: Graph, runs: Sequence[Run]) -> None:
        self.graph, self.runs = graph, tuple(runs)
        self.wide = {op.output for op in graph.ops if op.kind in WIDE}
        self.storages: list[_Storage] = []
        self.current: dict[str, int] = {}  # by tensor, the storage that holds it
        self.rooms: dict[str, Rows] = {}
        for port in graph.inputs:
            self._begin(port.tensor, None)
            self._use(port.tensor, None, 0)
        self.written = [self._run(run, time) for time, run in enumerate(runs, 1)]
        for port in graph.outputs:
            self._use(port.tensor, None, len(runs) + 1)
        self.parts = [storage.lives() for storage in self.storages]

    def alive(self) -> Ints:
        """Bytes that are needed at each time."""
        change = np.zeros(len(self.runs) + 3, np.int64)
        for low, high, first, last in np.concatenate(self.parts):
            change[first] += high - low
            change[last + 1] -= high - low
        return np.cumsum(change)[:-1]

    def plan(self, limit: int, n_tries: int = 1) -> MemoryPlan:
        """First fit, the largest first; then what lasts longer, and what did not fit, earlier."""
        sizes = [storage.size for storage in self.storages]
        areas = [((p[:, 1] - p[:, 0]) * (p[:, 3] - p[:, 2] + 1)).sum() for p in self.parts]
        order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], self.parts[i][0, 2]))
        starts = self._place(order)
        found = self._plan(starts)
        order.sort(key=lambda i: -areas[i])
        for _ in range(n_tries - 1):
            if found.n_bytes <= limit:
                break
            starts = self._place(order)
            found = min(found, self._plan(starts), key=lambda plan: plan.n_bytes)
            for index in [i for i in order if starts[i] + sizes[i] > limit]:
                at = order.index(index)
                order.insert(max(1, at // 2), order.pop(at))
        return found

    def _place(self, order: Sequence[int]) -> list[int]:
        """Where each storage begins, given places in this order."""
        placed = np.empty((sum(map(len, self.parts)), 4), np.int64)
        starts, n = [0] * len(self.storages), 0
        for index in order:
            parts = self.parts[index]
            starts[index] = start = _first_free(parts, placed[:n])
            placed[n : n + len(parts)] = parts + np.array([start, start, 0, 0])
            n += len(parts)
        return starts

    def _plan(self, starts: Sequence[int]) -> MemoryPlan:
        pairs = list(zip(self.storages, starts, strict=True))
        origins = [start - storage.first_row * storage.row_bytes for storage, start in pairs]
        n_bytes = max(start + storage.size for storage, start in pairs)
        return MemoryPlan(
            {name: origins[index] for name, index in self.current.items()},
            -(-n_bytes // ALIGNMENT) * ALIGNMENT, self.runs,
            tuple(origins[index] for index in self.written),
        )  # fmt: skip

    def _run(self, run: Run, time: int) -> int:
        """What a run reads and writes; returns the storage that it writes."""
        op = self.graph.ops[run.op]
        if op.kind == "reshape":
            self.current[op.output] = self.current[op.inputs[0]]
            return self.current[op.output]
        if run.kept:
            self._use(op.output, run.rows, time)
        else:
            window = None if run.room is None else row_window(op)
            for name in op.inputs:
                n_rows = self.graph.tensors[name].shape[0]
                self._use(name, window.reads(run.rows, n_rows) if window else None, time)
        if op.output not in self.current or self.rooms.get(op.output) != run.room:
            self._begin(op.output, run.room)
        self._use(op.output, run.room and run.rows, time)
        return self.current[op.output]

    def _begin(self, name: str, room: Rows | None) -> None:
        shape = self.graph.tensors[name].shape
        first, end = room or (0, shape[0])
        row_bytes = prod(shape[1:]) * (2 if name in self.wide else 1)
        self.current[name] = len(self.storages)
        self.storages.append(_Storage((end - first) * row_bytes, row_bytes, first))
        if room:
            self.rooms[name] = room

    def _use(self, name: str, rows: Rows | None, time: int) -> None:
        """Note that rows of a tensor are needed; None: all of its bytes."""
        storage = self.storages[self.current[name]]
        low, high = 0, storage.size
        if rows:
            row_bytes = prod(self.graph.tensors[name].shape[1:])
            low, high = ((row - storage.first_row) * row_bytes for row in rows)
        storage.uses.append((low, high, time))


def plan_memory(graph: Graph, chip: Chip) -> MemoryPlan:
    """First fit, largest tensor first; a reshape shares its input's bytes.

    What does not fit whole runs in strips of rows, in as few steps as possible. Raises NC-E0304
    naming the layer at which most is alive if the chip has too little memory for that.
    """
    limit = chip.memories.activation_bytes
    lives = _Lives(graph, whole_runs(graph))
    plan, alive = lives.plan(limit), lives.alive()[1:-1]
    if plan.n_bytes <= limit:
        return plan
    ways = list(_ways(graph, chip, alive))
    ways.sort(key=lambda way: len(way.runs))
    near = sorted(ways, key=lambda way: int(way.alive().max()))[:N_NEAR]
    for n_tries, some in ((1, ways), (N_TRIES, near)):
        for way in some:
            found = way.plan(limit, n_tries)
            if found.n_bytes <= limit:
                return found
    raise _memory_error(graph, chip, alive, plan.n_bytes)


def _ways(graph: Graph, chip: Chip, alive: Ints) -> Iterator[_Lives]:
    """Ways to run the layers that need too much, and more of those around, in strips.

    alive  bytes that are needed at each operation when all run whole
    Only ways whose bytes are never more than the chip has.
    """
    limit = chip.memories.activation_bytes
    over = np.flatnonzero(alive > min(limit, alive.max() - 1))
    first, last = int(over[0]), int(over[-1])
    windowed = [row_window(op) is not None for op in graph.ops]
    if not all(windowed[first : last + 1]):
        return
    start = first
    while start and windowed[start - 1]:
        start -= 1
    furthest = len(graph.ops)
    for end in range(last + 1, len(graph.ops) + 1):
        if not windowed[end - 1] or end > furthest:
            return
        n_rows = max(graph.tensors[op.output].shape[0] for op in graph.ops[start:end])
        for strip_rows in (rows for rows in _STRIP_ROWS if rows < n_rows):
            for begin in sorted({start, first}):
                runs = strip_runs(graph, begin, end, -(-n_rows // strip_rows))
                lives = _Lives(graph, runs)
                if len(runs) < chip.memories.n_descriptors and lives.alive().max() <= limit:
                    furthest = min(furthest, end + N_BEHIND)
                    yield lives


def _first_free(parts: Ints, placed: Ints) -> int:
    """The first place for parts that keep their distances, beside those placed."""
    together = (placed[:, 2] <= parts[:, 3:]) & (placed[:, 3] >= parts[:, 2:3])
    own, other = np.nonzero(together)
    low, high = placed[other, 0] - parts[own, 1], placed[other, 1] - parts[own, 0]
    order = np.argsort(low, kind="stable")
    start = 0
    for least, most in zip(low[order].tolist(), high[order].tolist(), strict=True):
        if start <= least:
            break
        if start < most:
            start = -(-most // ALIGNMENT) * ALIGNMENT
    return start


def _memory_error(graph: Graph, chip: Chip, alive: Ints, n_bytes: int) -> NorcimError:
    limit = chip.memories.activation_bytes
    needs = sorted(zip(alive.tolist(), [op.node for op in graph.ops], strict=True), reverse=True)
    over = [need for need in needs if need[0] > limit]
    most = ", ".join(f"{node} ({size:,})" for size, node in (over or needs)[:N_NAMED])
    alone = f"{len(over)} layers alone need more than that; " if over else ""
    return NorcimError(
        "NC-E0304",
        "the activations do not fit the chip's memory",
        where=f"{alone}bytes alive at the largest: {most}",
        expected=f"at most {limit:,} bytes on chip {chip.name!r}",
        got=f"{n_bytes:,} bytes, and more than the memory has in strips of rows too",
        why="inputs and outputs of a layer, and whatever is needed later, are held at once",
        fix="use a smaller input, fewer channels in those layers, or a chip with more memory",
        exit_code=EXIT_UNSUPPORTED,
    )
