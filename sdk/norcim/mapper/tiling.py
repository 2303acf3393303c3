"""Cut a layer into tiles that fit a chip's arrays."""

from __future__ import annotations

import itertools

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.ir.graph import Op
from norcim.ir.lowered import TileShape

LANE_PARTS = 8
"""The narrowest tiles that share the lanes of the overlay's NPU have an eighth of them."""


def max_tile_rows(chip: Chip) -> int:
    """Wordlines of the largest region."""
    return max(region.n_rows for region in chip.arrays.regions)


def max_tile_columns(chip: Chip) -> int:
    """Bitlines that a tile may use."""
    return chip.arrays.n_columns - chip.arrays.reserved_columns


def is_depthwise(op: Op) -> bool:
    """Whether an op is a convolution with one input and one output channel a group."""
    if op.kind != "conv" or op.weight is None:
        return False
    groups = int(op.attrs["groups"])
    return groups > 1 and op.weight.shape[2] == 1 and op.weight.shape[3] == groups


def on_vector_path(op: Op, chip: Chip) -> bool:
    """Whether a layer runs on the vector path: depthwise layers, where the chip can.

    On the arrays a depthwise layer fills 1 / channels of its cells and converts as often; the
    vector path needs its MACs only.
    """
    return is_depthwise(op) and "dwconv" in chip.vector_ops


def tile_conv(
    op: Op, chip: Chip, *, lines_per_input: int = 1, group_limit: int = 0, row_tiles: int = 1
) -> tuple[TileShape, ...]:
    """The tiles of a convolution, in the order in which they run.

    lines_per_input  wordlines that one input drives: PN and copies take more than one
    group_limit      most groups in one block-diagonal tile (0: as many as fit)
    row_tiles        fewest row tiles of a dense layer (one a row at most)
    Row tiles of one column group follow each other and are as equal as possible. Where lanes
    compute an MVM (a chip without converters), columns are cut so that all lanes have work.
    Raises NC-E0301 if one group of a grouped layer has more rows than a region.
    """
    assert op.weight is not None, "tile_conv takes convolutions"
    kernel_h, kernel_w, c_group, c_out = op.weight.shape
    groups = int(op.attrs["groups"])
    max_rows = max_tile_rows(chip) // lines_per_input
    max_cols = max_tile_columns(chip)
    taps = kernel_h * kernel_w
    if groups == 1:
        n_rows = taps * c_group
        most = min(max_rows, -(-n_rows // row_tiles))
        return _dense_tiles(n_rows, c_group, most, _column_cuts(c_out, chip))
    rows, cols = taps * c_group, c_out // groups
    if rows > max_rows or cols > max_cols:
        tiles: list[TileShape] = []
        for group in range(groups):
            for tile in _dense_tiles(rows, c_group, max_rows, _column_cuts(cols, chip)):
                tiles.append(
                    TileShape(
                        group * c_group, c_group, tile.k_first, tile.n_rows,
                        group * cols + tile.out_c_first, tile.n_cols,
                    )
                )  # fmt: skip
        return tuple(tiles)
    per_tile = min(groups, max_rows // rows, max_cols // cols, group_limit or groups)
    n_tiles = -(-groups // per_tile)
    per_tile = -(-groups // n_tiles)
    return tuple(
        TileShape(
            first * c_group, count * c_group, 0, count * rows, first * cols, count * cols
        )
        for first in range(0, groups, per_tile)
        for count in (min(per_tile, groups - first),)
    )  # fmt: skip


def _dense_tiles(
    n_rows: int, n_channels: int, max_rows: int, col_cuts: list[int]
) -> tuple[TileShape, ...]:
    row_cuts = equal_cuts(n_rows, max_rows)
    return tuple(
        TileShape(0, n_channels, k, k_end - k, c, c_end - c)
        for c, c_end in itertools.pairwise(col_cuts)
        for k, k_end in itertools.pairwise(row_cuts)
    )


def _column_cuts(n_cols: int, chip: Chip) -> list[int]:
    """Borders of the column groups of a layer.

    Lanes that compute an MVM take several wordlines at once when a tile's columns are a half, a
    quarter or an eighth of the lanes. So a remainder that is made of such parts is cut into them;
    any other remainder takes a wordline a cycle, whatever its width, and stays whole.
    """
    max_cols, lanes = max_tile_columns(chip), chip.timing.lanes
    if chip.timing.n_converters or lanes % LANE_PARTS or max_cols < lanes:
        return equal_cuts(n_cols, max_cols)
    whole = n_cols // lanes * lanes
    cuts = [*range(0, whole + 1, lanes)]
    if (n_cols - whole) % (lanes // LANE_PARTS) == 0:
        part = lanes
        while part > lanes // LANE_PARTS:
            part //= 2
            if n_cols - cuts[-1] >= part:
                cuts.append(cuts[-1] + part)
    return cuts if cuts[-1] == n_cols else [*cuts, n_cols]


def equal_cuts(size: int, limit: int) -> list[int]:
    """Borders of as few and as equal parts of at most `limit` as possible."""
    if limit < 1:
        raise NorcimError(
            "NC-E0301", "the chip's arrays have no usable rows or columns",
            fix="check arrays.regions and arrays.reserved_columns of the chip file",
            exit_code=EXIT_UNSUPPORTED,
        )  # fmt: skip
    parts = -(-size // limit)
    return [size * part // parts for part in range(parts + 1)]


def most_copies(op: Op, chip: Chip) -> int:
    """Copies of every wordline of a layer that fit a region without cutting its rows further."""
    assert op.weight is not None
    kernel_h, kernel_w, c_group, _ = op.weight.shape
    return max(1, max_tile_rows(chip) // int(kernel_h * kernel_w * c_group))
