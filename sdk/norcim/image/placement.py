"""Whether an image's tiles lie on a chip's arrays as they must."""

from __future__ import annotations

import numpy as np

from norcim.chips import Chip
from norcim.image.faults import refuse, require_range
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Opcode, Tile, wordlines_per_input


def check_placement(content: ImageContent, chip: Chip) -> None:
    """Refuse tiles outside the arrays or across regions, and cells that two tiles claim.

    content  checked by `check_program`; chip: the one that it was compiled for
    Tiles that share place and cells are one tile, used twice. Raises NC-E0552 with the
    descriptor and the tile.
    """
    arrays = chip.arrays
    owner = np.zeros((arrays.count, arrays.n_rows, arrays.n_columns), np.uint32)
    known: dict[tuple[int, ...], int] = {}
    for number, d in enumerate(content.program):
        if d.opcode != Opcode.MVM:
            continue
        for index in range(d.tile_base, d.tile_base + d.n_tiles):
            tile, where = content.tiles[index], f"descriptor {number} (MVM), tile {index}"
            rows = _check_tile(d, tile, chip, where)
            place = (tile.array, tile.row, rows, tile.col, tile.n_cols, tile.cells)
            owned = known.setdefault(place, len(known) + 1)
            cells = owner[tile.array, tile.row : tile.row + rows, tile.col : tile.col + tile.n_cols]
            if ((cells != 0) & (cells != owned)).any():
                refuse("NC-E0552", where, "cells of another tile are overwritten")
            cells[...] = owned


def _check_tile(d: Descriptor, tile: Tile, chip: Chip, where: str) -> int:
    """Check one tile's place and gain; returns its wordlines."""
    arrays, converter = chip.arrays, chip.converter
    rows = tile.n_rows * wordlines_per_input(d.encoding, tile)
    require_range("NC-E0552", where, "array", tile.array, 0, arrays.count - 1)
    first = arrays.reserved_columns
    require_range("NC-E0552", where, "col", tile.col, first, arrays.n_columns - tile.n_cols)
    last_bias = tile.bias_row + tile.n_bias_rows
    require_range("NC-E0552", where, "the last bias row", last_bias, 0, arrays.n_bias_rows)
    inside = [
        region
        for region in arrays.regions
        if region.first <= tile.row and tile.row + rows <= region.first + region.n_rows
    ]
    if not inside:
        regions = ", ".join(f"{r.first}..{r.first + r.n_rows - 1}" for r in arrays.regions)
        got = f"{tile.row}..{tile.row + rows - 1}"
        refuse("NC-E0552", where, "rows are not inside one region", regions, got)
    if d.rule != converter.rule:
        refuse("NC-E0552", where, "the chip has another converter", int(converter.rule), d.rule)
    require_range("NC-E0552", where, "gain", tile.gain, converter.gain_lo, converter.gain_hi)
    return rows
