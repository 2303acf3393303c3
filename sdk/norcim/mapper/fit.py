"""What can be said of a model on a chip before anything is quantised."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.ir.graph import Graph, Op, repeated_weights
from norcim.mapper.arrange import check_room
from norcim.mapper.memory import plan_memory
from norcim.mapper.placement import Block, check_weight_memory
from norcim.mapper.tiling import most_copies, on_vector_path, tile_conv
from norcim.spec.program import Stage

_NEEDED_VECTOR_OP = {
    "add": "add",
    "mul": "mul",
    "maxpool": "maxpool",
    "avgpool": "avgpool",
    "clip": "table",
    "table": "table",
    "transpose": "copy",
    "pad": "copy",
    "move": "copy",
    "widen": "copy",
}


def check_support(graph: Graph, chip: Chip) -> None:
    """Check operations, cells and memory against a chip, without calibration.

    Raises NC-E0711 if the chip file is for estimates only, NC-E0305 with every operation that the
    chip lacks, NC-E0301, NC-E0302 or NC-E0304 if it does not fit. Where several hold, the first
    one's id with the reasons of all.
    """
    if chip.about.role == "estimate":
        raise NorcimError(
            "NC-E0711", f"chip {chip.name!r} is for estimates only", where=chip.name,
            got=chip.published.note or chip.sources["about.role"],
            why="its array is not published, so a network compiled for it would say nothing",
            fix="take a chip whose role is network (`norcim chips`)",
            exit_code=EXIT_UNSUPPORTED,
        )  # fmt: skip
    checks = (_check_operations, choose_group_limit, plan_memory)
    found: list[NorcimError] = []
    for check in checks:
        try:
            check(graph, chip)
        except NorcimError as error:
            found.append(error)
    if len(found) == 1:
        raise found[0]
    if found:
        raise NorcimError(
            found[0].id,
            f"{len(found)} things keep the model off chip {chip.name!r}",
            where="; ".join(f"{e.id} {e.what}: {e.where or e.got}" for e in found),
            fix="; ".join(dict.fromkeys(e.fix for e in found if e.fix)),
            exit_code=EXIT_UNSUPPORTED,
        )


def _check_operations(graph: Graph, chip: Chip) -> None:
    missing = [
        f"{op.node} ({op.kind})"
        for op in graph.ops
        if _NEEDED_VECTOR_OP.get(op.kind, "") not in (*chip.vector_ops, "")
    ]
    if missing:
        raise NorcimError(
            "NC-E0305",
            f"chip {chip.name!r} has no hardware for {len(missing)} operation(s)",
            where=", ".join(missing),
            expected="one of: conv, softmax, argmax, update, " + ", ".join(sorted(chip.vector_ops)),
            fix="take another chip (`norcim chips`), or replace these operations",
            exit_code=EXIT_UNSUPPORTED,
        )


GROUP_LIMITS = (0, 32, 8, 1)


def choose_group_limit(graph: Graph, chip: Chip) -> int:
    """Most groups in one block-diagonal tile, 0 for as many as fit a region.

    Small tiles leave fewer cells empty, large ones take fewer steps: the largest that fit.
    Raises NC-E0302 if none fit.
    """
    for limit in GROUP_LIMITS:
        try:
            blocks = graph_blocks(graph, chip, limit)
            check_weight_memory(blocks, vector_weight_bytes(graph, chip), chip)
            check_room(blocks, chip)
        except NorcimError:
            if limit == GROUP_LIMITS[-1]:
                raise
        else:
            return limit
    raise AssertionError("the last limit either fits or raises")


def graph_blocks(
    graph: Graph, chip: Chip, group_limit: int, copies: Mapping[str, int] = MappingProxyType({})
) -> list[Block]:
    """The blocks that a graph needs at least, without bias rows.

    copies  by output tensor, wordlines that an input drives; 1 where it is not named
    """
    return [
        block
        for op in _own_convs(graph, chip)
        for block in _blocks(op, chip, group_limit, copies.get(op.output, 1))
    ]


def vector_weight_bytes(graph: Graph, chip: Chip) -> int:
    """Weights of the layers that run on the vector path."""
    convs = [op for op in _own_convs(graph, chip) if on_vector_path(op, chip)]
    return sum(op.weight.size for op in convs if op.weight is not None)


def _own_convs(graph: Graph, chip: Chip) -> list[Op]:
    """Convolutions that need weights of their own; others may share those of an earlier one."""
    shared = repeated_weights(graph) if chip.stage == Stage.REQUANTISE else {}
    return [op for op in graph.ops if op.kind == "conv" and op.output not in shared]


def _blocks(op: Op, chip: Chip, group_limit: int, copies: int = 1) -> list[Block]:
    if on_vector_path(op, chip):
        return []
    lines = min(copies, most_copies(op, chip))
    tiles = tile_conv(op, chip, lines_per_input=lines, group_limit=group_limit)
    return [Block(op.node, lines * tile.n_rows, tile.n_cols, 0) for tile in tiles]
