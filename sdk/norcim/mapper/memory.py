"""Plan activation memory: tensors that live at the same time never overlap."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.ir.graph import Graph
from norcim.ir.ops import WIDE

ALIGNMENT = 8
"""Tensors start at multiples of this many bytes: one beat of the NPU's memory port."""
N_NAMED = 5  # layers that an error names


@dataclass(frozen=True)
class MemoryPlan:
    """Address of every tensor, and the bytes that all of them take."""

    addr: dict[str, int]
    n_bytes: int


@dataclass
class _Span:
    size: int
    first: int
    last: int
    nodes: list[str]


def plan_memory(graph: Graph, chip: Chip) -> MemoryPlan:
    """First fit, largest tensor first; a reshape shares its input's bytes.

    Raises NC-E0304 naming the layer at which most is alive if the chip has too little memory.
    """
    spans, root = _spans(graph)
    placed: list[tuple[int, _Span]] = []
    addr: dict[str, int] = {}
    for name in sorted(spans, key=lambda n: (-spans[n].size, spans[n].first, n)):
        span = spans[name]
        start = 0
        for other_start, other in sorted(placed, key=lambda item: item[0]):
            if other.first <= span.last and span.first <= other.last:
                if start + span.size <= other_start:
                    break
                start = max(start, other_start + other.size)
        placed.append((start, span))
        addr[name] = start
    n_bytes = max((start + span.size for start, span in placed), default=0)
    if n_bytes > chip.memories.activation_bytes:
        raise _memory_error(graph, chip, spans, n_bytes)
    return MemoryPlan({name: addr[root[name]] for name in graph.tensors}, n_bytes)


def _spans(graph: Graph) -> tuple[dict[str, _Span], dict[str, str]]:
    """Life of every storage, by the name of its first tensor; and each tensor's storage."""
    root: dict[str, str] = {}
    spans: dict[str, _Span] = {}

    wide = {op.output for op in graph.ops if op.kind in WIDE}

    def start(name: str, index: int) -> None:
        n_bytes = prod(graph.tensors[name].shape) * (2 if name in wide else 1)
        size = -(-n_bytes // ALIGNMENT) * ALIGNMENT
        root[name] = name
        spans[name] = _Span(size, index, index, [name])

    for port in graph.inputs:
        start(port.tensor, -1)
    for index, op in enumerate(graph.ops):
        for name in op.inputs:
            spans[root[name]].last = index
        if op.kind == "reshape":
            root[op.output] = root[op.inputs[0]]
        else:
            start(op.output, index)
    for port in graph.outputs:
        spans[root[port.tensor]].last = len(graph.ops)
    return spans, root


def _memory_error(graph: Graph, chip: Chip, spans: dict[str, _Span], n_bytes: int) -> NorcimError:
    def alive(index: int) -> int:
        return sum(s.size for s in spans.values() if s.first <= index <= s.last)

    limit = chip.memories.activation_bytes
    needs = sorted(((alive(i), op.node) for i, op in enumerate(graph.ops)), reverse=True)
    over = [need for need in needs if need[0] > limit]
    most = ", ".join(f"{node} ({size:,})" for size, node in (over or needs)[:N_NAMED])
    return NorcimError(
        "NC-E0304",
        "the activations do not fit the chip's memory",
        where=f"{len(over)} layers alone need more than that; bytes alive at the largest: {most}",
        expected=f"at most {limit:,} bytes on chip {chip.name!r}",
        got=f"{n_bytes:,} bytes",
        why="inputs and outputs of a layer, and whatever is needed later, are held at once",
        fix="use a smaller input, fewer channels in those layers, or a chip with more memory",
        exit_code=EXIT_UNSUPPORTED,
    )
