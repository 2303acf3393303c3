"""The semantic check of an MVM: tiles, column groups, columns and 32-bit sums."""

from __future__ import annotations

from norcim.image.faults import refuse, require_range
from norcim.image.model import ImageContent
from norcim.spec.image_format import MAX_COLUMNS, MAX_TILES
from norcim.spec.program import (
    Descriptor,
    Encoding,
    Rule,
    Stage,
    Tile,
    wordlines_per_input,
)

GAIN_MAX = 30
ALIGN_MAX = 24
STAGE_SHIFT_MAX = 30
SUM_MAX = (1 << 31) - 1


def check_records(content: ImageContent) -> None:
    """Check all column records, and that the check of all tiles takes bounded time."""
    for index, column in enumerate(content.columns):
        where = f"column record {index}"
        require_range("NC-E0545", where, "shift", column.shift, 1, 47)
        require_range("NC-E0545", where, "multiplier", column.multiplier, 1 << 15, (1 << 16) - 1)
    uses = sum(d.n_tiles for d in content.program)
    require_range("NC-E0544", "section PROGRAM", "the sum of n_tiles", uses, 0, MAX_TILES)
    uses = sum(d.out_c for d in content.program)
    require_range("NC-E0545", "section PROGRAM", "the sum of out_c", uses, 0, MAX_COLUMNS)


def check_columns(
    content: ImageContent, base: int, count: int, largest_sum: int, where: str
) -> None:
    """Check `count` column records from `base` on.

    largest_sum  bound on |sum| before the digital bias: together they have to fit 32 bits
    """
    if base + count > len(content.columns):
        limit = f"records 0..{len(content.columns) - 1}"
        refuse("NC-E0545", where, "column records leave their section", limit, base + count - 1)
    bias = max(abs(column.bias) for column in content.columns[base : base + count])
    if bias + largest_sum > SUM_MAX:
        limit, got = f"|bias| + |sum| <= {SUM_MAX}", f"{bias} + {largest_sum}"
        refuse("NC-E0550", where, "the sum may leave 32 bits", limit, got)


def check_mvm(content: ImageContent, d: Descriptor, where: str) -> None:
    """Check what is special to an MVM; sizes and accesses are checked before."""
    require_range("NC-E0541", where, "stage", d.stage, 0, max(Stage))
    require_range("NC-E0541", where, "encoding", d.encoding, 0, max(Encoding))
    require_range("NC-E0541", where, "rule", d.rule, 0, max(Rule))
    if d.rule == Rule.LINEAR:
        require_range("NC-E0541", where, "converter_bits", d.converter_bits, 2, 16)
    if d.encoding == Encoding.OFFSET and not d.in_signed:
        refuse("NC-E0541", where, "offset encoding is for int8 codes", "in_signed 1", 0)
    if d.n_tiles < 1 or d.tile_base + d.n_tiles > len(content.tiles):
        limit = f"records 0..{len(content.tiles) - 1}"
        got = f"{d.tile_base}..{d.tile_base + d.n_tiles - 1}"
        refuse("NC-E0544", where, "tile records leave their section", limit, got)
    largest = _check_tiles(content, d, where)
    if d.stage == Stage.REQUANTISE:
        check_columns(content, d.column_base, d.out_c, largest, where)
    else:
        require_range("NC-E0551", where, "shift", d.shift, 0, STAGE_SHIFT_MAX)


def _check_tiles(content: ImageContent, d: Descriptor, where: str) -> int:
    """Check all tiles; returns the largest |sum of codes| that a column group can reach."""
    tiles = content.tiles[d.tile_base : d.tile_base + d.n_tiles]
    largest, total, group = 0, 0, tiles[0]
    covered: list[tuple[int, int]] = []
    due = True  # the next tile has to be the first of its group
    for index, tile in enumerate(tiles, d.tile_base):
        place = f"{where}, tile {index}"
        if bool(tile.first) != due:
            limit = f"first {int(due)}"
            refuse("NC-E0544", place, "column groups are not closed", limit, tile.first)
        if tile.first:
            group, total = tile, 0
        if (tile.out_c_first, tile.n_cols) != (group.out_c_first, group.n_cols):
            refuse("NC-E0544", place, "tiles of one column group differ in columns")
        _check_tile(content, d, tile, place)
        total += _largest_code(d, tile) << tile.align
        if total > SUM_MAX:
            refuse("NC-E0550", place, "the sum may leave 32 bits", SUM_MAX, total)
        due = bool(tile.last)
        if tile.last:
            covered.append((tile.out_c_first, tile.n_cols))
            largest = max(largest, total)
    if not due:
        refuse("NC-E0544", where, "the last column group is not closed", "last 1", 0)
    _check_covered(covered, d.out_c, where)
    return largest


def _check_tile(content: ImageContent, d: Descriptor, tile: Tile, where: str) -> None:
    for name in ("n_rows", "n_cols", "in_c_count"):
        if getattr(tile, name) < 1:
            refuse("NC-E0544", where, f"{name} is 0", "at least 1")
    if tile.in_c_first + tile.in_c_count > d.in_c:
        got = f"{tile.in_c_first}..{tile.in_c_first + tile.in_c_count - 1}"
        refuse("NC-E0544", where, "the channel window leaves the input", f"0..{d.in_c - 1}", got)
    n_inputs = d.kernel_h * d.kernel_w * tile.in_c_count
    if tile.k_first + tile.n_rows > n_inputs:
        got = f"{tile.k_first}..{tile.k_first + tile.n_rows - 1}"
        refuse("NC-E0544", where, "rows leave the im2col vector", f"0..{n_inputs - 1}", got)
    if tile.out_c_first + tile.n_cols > d.out_c:
        got = f"{tile.out_c_first}..{tile.out_c_first + tile.n_cols - 1}"
        refuse("NC-E0544", where, "columns leave the output", f"0..{d.out_c - 1}", got)
    end = tile.cells + (_n_wordlines(d, tile) + tile.n_bias_rows) * tile.n_cols
    if end > len(content.weights):
        limit = f"bytes 0..{len(content.weights) - 1}"
        refuse("NC-E0547", where, "cells leave the weights", limit, f"{tile.cells}..{end - 1}")
    require_range("NC-E0544", where, "gain", tile.gain, 0, GAIN_MAX)
    require_range("NC-E0544", where, "align", tile.align, 0, ALIGN_MAX)


def _n_wordlines(d: Descriptor, tile: Tile) -> int:
    return tile.n_rows * wordlines_per_input(d.encoding, tile)


def _largest_code(d: Descriptor, tile: Tile) -> int:
    """Bound on |code| of one conversion."""
    if d.rule == Rule.WTM2101:
        return 128
    if d.rule == Rule.LINEAR:
        return 1 << (d.converter_bits - 1)
    # LOSSLESS: |row| <= 255, or 383 = 255 + 128 when a zero point is taken off; |cell| <= 128.
    # Of a PN pair only one wordline is not zero.
    row = 383 if d.encoding == Encoding.PN else 255
    return (tile.n_rows * (1 + tile.repeats) * row + tile.n_bias_rows * 128) * 128


def _check_covered(covered: list[tuple[int, int]], out_c: int, where: str) -> None:
    """Every output channel belongs to one column group."""
    due = 0
    for first, n_columns in sorted(covered):
        if first != due:
            break
        due = first + n_columns
    if due != out_c or sum(n for _, n in covered) != out_c:
        got = ", ".join(f"{first}+{n}" for first, n in sorted(covered)[:8])
        refuse("NC-E0544", where, "column groups do not cover the output once", out_c, got)
