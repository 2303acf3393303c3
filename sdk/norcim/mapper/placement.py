"""Place tiles on the arrays: 2-D packing by rectpack, then the bias rows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rectpack import (
    SORT_AREA,
    SORT_NONE,
    MaxRectsBaf,
    MaxRectsBlsf,
    MaxRectsBssf,
    PackingMode,
    SkylineMwfl,
    newPacker,
)

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError

_PACKERS = (MaxRectsBssf, MaxRectsBaf, MaxRectsBlsf, SkylineMwfl)
_N_ORDERS, _MOST_SHUFFLED = 64, 64  # packings in random orders, and blocks for which they are tried

Place = tuple[int, int, int]
"""Array, row and column."""


@dataclass(frozen=True)
class Block:
    """What one tile takes: wordlines, bitlines and bias rows, and the layer that it belongs to."""

    layer: str
    n_lines: int
    n_cols: int
    n_bias_rows: int


@dataclass(frozen=True)
class Position:
    """Where a block lies: its first cell, and its first bias row within the strip."""

    array: int
    row: int
    col: int
    bias_row: int


def place_blocks(blocks: Sequence[Block], chip: Chip) -> tuple[Position, ...]:
    """A position for every block: no two overlap, none straddles a region, reserved columns and
    the bias strip are kept.

    Deterministic. Raises NC-E0302 if the blocks do not fit, NC-E0303 if only the bias rows don't.
    """
    if not blocks:
        return ()
    short_of_bias = False
    for placed in _packings(blocks, chip):
        positions = _add_bias_rows(blocks, placed, chip)
        if positions is not None:
            return positions
        short_of_bias = True
    raise _bias_error(blocks, chip) if short_of_bias else _fit_error(blocks, chip, chip.n_cells)


def can_place(blocks: Sequence[Block], chip: Chip) -> bool:
    """Whether blocks fit, their bias rows left out."""
    if sum(block.n_lines * block.n_cols for block in blocks) > chip.n_cells:
        return False
    return any(_pack(blocks, chip, packer) is not None for packer in _PACKERS)


def _packings(blocks: Sequence[Block], chip: Chip) -> Iterator[list[Place]]:
    """Ways to pack blocks: the algorithms' own orders, then others, for the sake of bias rows."""
    for packer in _PACKERS:
        placed = _pack(blocks, chip, packer)
        if placed is not None:
            yield placed
    n_orders = _N_ORDERS if len(blocks) <= _MOST_SHUFFLED else 0
    for seed in range(n_orders):
        order = list(range(len(blocks)))
        random.Random(seed).shuffle(order)
        placed = _pack(blocks, chip, _PACKERS[seed % len(_PACKERS)], order)
        if placed is not None:
            yield placed


def check_weight_memory(blocks: Sequence[Block], n_vector_bytes: int, chip: Chip) -> None:
    """Whether cells, bias rows and vector weights fit the memory that they share.

    Raises NC-E0302 if they do not, NC-E0303 if they would without bias rows.
    """
    free = chip.memories.weight_bytes - n_vector_bytes
    n_cells = sum(block.n_lines * block.n_cols for block in blocks)
    if n_cells > free:
        raise _fit_error(blocks, chip, free)
    if n_cells + sum(block.n_bias_rows * block.n_cols for block in blocks) > free:
        raise _bias_error(blocks, chip)


def most_bias_rows(blocks: Sequence[Block], chip: Chip) -> int:
    """Most bias rows that one block may have so that all find theirs, 0 if none.

    A block that wants fewer keeps what it wants.
    """
    placings = list(_packings(blocks, chip))
    for most in range(chip.arrays.n_bias_rows, 0, -1):
        held = [replace(b, n_bias_rows=min(b.n_bias_rows, most)) for b in blocks]
        if any(_add_bias_rows(held, placed, chip) is not None for placed in placings):
            return most
    return 0


def free_bias_rows(blocks: Sequence[Block], n_vector_bytes: int, chip: Chip) -> int:
    """Bias rows that every block may use wherever the packing puts it: the strip shared by the
    blocks of the fullest column, and the weight memory by all columns."""
    if not blocks or not chip.arrays.n_bias_rows:
        return 0
    depth = 1
    for placed in filter(None, (_pack(blocks, chip, packer) for packer in _PACKERS[:1])):
        for array, _, col in placed:
            above = sum(
                a == array and c <= col < c + block.n_cols
                for (a, _, c), block in zip(placed, blocks, strict=True)
            )
            depth = max(depth, above)
    n_cells = sum(block.n_lines * block.n_cols for block in blocks)
    free = max(chip.memories.weight_bytes - n_vector_bytes - n_cells, 0)
    return min(chip.arrays.n_bias_rows // depth, free // sum(block.n_cols for block in blocks))


def _pack(
    blocks: Sequence[Block], chip: Chip, algorithm: type, order: Sequence[int] | None = None
) -> list[Place] | None:
    """A place for every block, None if some block found none.

    order  in which they are packed; None: as the library sorts them
    """
    arrays, sort = chip.arrays, SORT_AREA if order is None else SORT_NONE
    packer = newPacker(
        mode=PackingMode.Offline, pack_algo=algorithm, sort_algo=sort, rotation=False
    )
    bins = [(array, region) for array in range(arrays.count) for region in arrays.regions]
    for bid, (_, region) in enumerate(bins):
        packer.add_bin(arrays.n_columns - arrays.reserved_columns, region.n_rows, bid=bid)
    for index in order or range(len(blocks)):
        packer.add_rect(blocks[index].n_cols, blocks[index].n_lines, rid=index)
    packer.pack()
    found: dict[int, Place] = {}
    for used in packer:
        for rect in used:
            array, region = bins[used.bid]
            found[rect.rid] = (array, region.first + rect.y, arrays.reserved_columns + rect.x)
    if len(found) < len(blocks):
        return None
    return [found[index] for index in range(len(blocks))]


def _add_bias_rows(
    blocks: Sequence[Block], placed: Sequence[Place], chip: Chip
) -> tuple[Position, ...] | None:
    """Give every block free rows of the bias strip above its columns; None if they run out."""
    strips: list[tuple[int, int, int, int, int]] = []  # array, col, end, first row, end row
    rows = [0] * len(blocks)
    order = sorted(range(len(blocks)), key=lambda i: (-blocks[i].n_bias_rows, placed[i], i))
    for index in order:
        block, (array, _, col) = blocks[index], placed[index]
        if block.n_bias_rows == 0:
            continue
        taken = sorted(
            (first, end)
            for other, left, right, first, end in strips
            if other == array and left < col + block.n_cols and col < right
        )
        row = 0
        for first, end in taken:
            if row + block.n_bias_rows <= first:
                break
            row = max(row, end)
        if row + block.n_bias_rows > chip.arrays.n_bias_rows:
            return None
        rows[index] = row
        strips.append((array, col, col + block.n_cols, row, row + block.n_bias_rows))
    return tuple(
        Position(array, line, col, row)
        for (array, line, col), row in zip(placed, rows, strict=True)
    )


def _needs(blocks: Sequence[Block]) -> list[tuple[int, str]]:
    """Cells by layer, the largest first."""
    cells: dict[str, int] = {}
    for block in blocks:
        cells[block.layer] = cells.get(block.layer, 0) + block.n_lines * block.n_cols
    return sorted(((count, layer) for layer, count in cells.items()), reverse=True)


def _fit_error(blocks: Sequence[Block], chip: Chip, n_cells: int) -> NorcimError:
    needs = _needs(blocks)
    largest = ", ".join(f"{layer} ({count:,})" for count, layer in needs[:5])
    arrays = chip.arrays
    return NorcimError(
        "NC-E0302",
        "the layers do not fit the chip's arrays",
        where=f"{len(needs)} layers; the largest: {largest}",
        expected=f"at most {n_cells:,} cells in {arrays.count} array(s) of chip {chip.name!r}",
        got=f"{sum(count for count, _ in needs):,} cells in {len(blocks)} tiles",
        why="weights stay in the cells: there is no second pass over an array",
        fix="take a chip with more cells (`norcim chips`), or make the named layers smaller",
        exit_code=EXIT_UNSUPPORTED,
    )


def _bias_error(blocks: Sequence[Block], chip: Chip) -> NorcimError:
    most = max(blocks, key=lambda block: block.n_bias_rows)
    return NorcimError(
        "NC-E0303",
        "the bias rows of the arrays run out",
        where=f"layer {most.layer} takes {most.n_bias_rows} of them",
        expected=f"at most {chip.arrays.n_bias_rows} bias rows above any column, and room for "
        "their cells in the weight memory",
        got="the tiles need more",
        why="tiles that lie above each other share the bias rows of their columns",
        fix="take a chip with more columns, or a smaller network",
        exit_code=EXIT_UNSUPPORTED,
    )
