"""Compiling several networks into one image, and a network again in the place of its older self."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, EXIT_USAGE, NorcimError
from norcim.fitting import NO_WISHES, Wishes
from norcim.frontend import NOTHING_FIXED, Fixed, import_onnx
from norcim.image import check_placement, check_program, join_networks
from norcim.image.model import ImageContent
from norcim.image.networks import at_address
from norcim.mapper import arrange, graph_blocks, keep_placement, vector_weight_bytes
from norcim.runtime import Progress, check_memories, compile_model

_NO_ROOM = ("NC-E0302", "NC-E0303", "NC-E0306")


@dataclass(frozen=True)
class Source:
    """A network to compile: see `norcim.runtime.compile_model`."""

    path: Path
    calibration: Mapping[str, npt.NDArray[Any]] | None
    name: str
    meta_extra: Mapping[str, Any] = field(default_factory=dict)
    wishes: Wishes = NO_WISHES
    fixed: Fixed = NOTHING_FIXED


def compile_networks(
    sources: Sequence[Source], chip: Chip, progress: Progress, *, old: ImageContent | None = None
) -> ImageContent:
    """Compile networks into one image; they share the chip's arrays and memories.

    old  an image for the chip: layers that have the same tiles as there keep their cells' places
    Each network computes what it does alone, if all fit so. Else each gets a share of the columns
    by the cells that it needs at least, which may cost accuracy. Deterministic.
    Raises what `compile_model` raises, NC-E0309 for two networks of one name, NC-E0302 or NC-E0306
    if they do not fit together, NC-E0307 or NC-E0308 for `old`.
    """
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise NorcimError(
            "NC-E0309", "two networks have the same name", expected="a name for each",
            got=", ".join(names), fix="rename a file, or compile them with one --name each",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    kept = keep_placement(old, chip) if old else None
    parts = [_compile(source, chip, progress) for source in sources]
    if len(parts) == 1 and kept is None:
        return parts[0]
    try:
        return _joined(arrange(parts, chip, kept), chip)
    except NorcimError as error:
        if error.id not in _NO_ROOM or len(parts) == 1 or kept is not None:
            raise
    return _joined(_side_by_side(sources, chip, progress), chip)


def _compile(source: Source, chip: Chip, progress: Progress) -> ImageContent:
    return compile_model(
        source.path, chip, source.calibration, fixed=source.fixed, name=source.name,
        meta_extra=source.meta_extra, wishes=source.wishes, progress=progress,
    )  # fmt: skip


def _joined(parts: Sequence[ImageContent], chip: Chip) -> ImageContent:
    content = join_networks(_with_states_apart(parts))
    check_memories(content, chip)
    check_program(content)
    check_placement(content, chip)
    return content


def _with_states_apart(parts: Sequence[ImageContent]) -> list[ImageContent]:
    """Networks that keep a state in activation memory get bytes of their own, the others share."""
    stateless = [part.activation_bytes for part in parts if not _has_state(part)]
    end, found = max(stateless, default=0), []
    for part in parts:
        has_state = _has_state(part)
        moved = at_address(part, end) if has_state else part
        end = moved.activation_bytes if has_state else end
        found.append(moved)
    return found


def _has_state(part: ImageContent) -> bool:
    """Whether an output is what the next run has for an input."""
    inputs = {port.addr for port in part.ports if not port.is_output}
    return any(port.addr in inputs for port in part.ports if port.is_output)


def _side_by_side(
    sources: Sequence[Source], chip: Chip, progress: Progress
) -> tuple[ImageContent, ...]:
    """Every network compiled for a part of the chip: some of the columns, and of the weight
    memory as large a share."""
    needs = [_least_bytes(source, chip) for source in sources]
    arrays, memories = chip.arrays, chip.memories
    n_columns, first, found = arrays.n_columns - arrays.reserved_columns, 0, []
    for source, need in zip(sources, needs, strict=True):
        share = n_columns * need // sum(needs)
        part = replace(
            chip,
            arrays=replace(arrays, n_columns=arrays.reserved_columns + share),
            memories=replace(
                memories,
                **{
                    name: getattr(memories, name) * need // sum(needs)
                    for name in ("weight_bytes", "vector_weight_bytes")
                },
            ),
        )
        try:
            content = _compile(source, part, progress)
        except NorcimError as error:
            if error.id not in (*_NO_ROOM, "NC-E0301"):
                raise
            raise _no_room(sources, needs, chip) from error
        tiles = tuple(replace(tile, col=tile.col + first) for tile in content.tiles)
        found.append(replace(content, chip_hash=chip.fingerprint, tiles=tiles))
        first += share
    return tuple(found)


def _least_bytes(source: Source, chip: Chip) -> int:
    """Cells and vector weights that a network needs at least."""
    graph = import_onnx(source.path, source.fixed)
    blocks = graph_blocks(graph, chip, 1)
    return sum(b.n_lines * b.n_cols for b in blocks) + vector_weight_bytes(graph, chip)


def _no_room(sources: Sequence[Source], needs: Sequence[int], chip: Chip) -> NorcimError:
    there = min(chip.n_cells, chip.memories.weight_bytes)
    listed = zip(sources, needs, strict=True)
    return NorcimError(
        "NC-E0302", "the networks do not fit the chip's arrays together",
        where=", ".join(f"{source.name} ({need:,})" for source, need in listed),
        expected=f"at most {there:,} cells on chip {chip.name!r}, copies of wordlines, bias rows "
        "and what packing leaves empty included",
        got=f"{sum(needs):,} cells at least",
        why="weights stay in the cells: there is no second pass over an array",
        fix="take a chip with more cells (`norcim chips`), or fewer networks",
        exit_code=EXIT_UNSUPPORTED,
    )  # fmt: skip
