"""What can be said of a model on a chip before anything is quantised."""

from __future__ import annotations

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.ir.graph import Graph, Op
from norcim.mapper.memory import plan_memory
from norcim.mapper.placement import Block, place_blocks
from norcim.mapper.tiling import on_vector_path, tile_conv

_NEEDED_VECTOR_OP = {
    "add": "add",
    "mul": "mul",
    "maxpool": "maxpool",
    "avgpool": "avgpool",
    "clip": "table",
    "table": "table",
    "transpose": "copy",
    "pad": "copy",
}


def check_support(graph: Graph, chip: Chip) -> None:
    """Check operations, cells and memory against a chip, without calibration.

    Raises NC-E0305 with every operation that the chip lacks, NC-E0302 or NC-E0304 if it does not
    fit.
    """
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
            expected="one of: conv, softmax, " + ", ".join(sorted(chip.vector_ops)),
            fix="take another chip (`norcim chips`), or replace these operations",
            exit_code=EXIT_UNSUPPORTED,
        )
    place_blocks(graph_blocks(graph, chip), chip)
    plan_memory(graph, chip)


def graph_blocks(graph: Graph, chip: Chip) -> list[Block]:
    """The blocks that a graph needs at least (no bias rows, one wordline an input)."""
    return [block for op in graph.ops if op.kind == "conv" for block in _blocks(op, chip)]


def _blocks(op: Op, chip: Chip) -> list[Block]:
    if on_vector_path(op, chip):
        return []
    return [Block(op.node, t.n_rows, t.n_cols, 0) for t in tile_conv(op, chip)]
