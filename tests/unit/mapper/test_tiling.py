"""Layers are cut so that every tile fits its region and every weight is in exactly one tile."""

from __future__ import annotations

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.ir.graph import Op
from norcim.mapper.tiling import most_copies, on_vector_path, tile_conv


def conv(kernel: tuple[int, int], c_in: int, c_out: int, groups: int = 1) -> Op:
    weight = np.ones((*kernel, c_in // groups, c_out), np.float32)
    attrs = {
        "stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0), "groups": groups, "clamp": None,
    }  # fmt: skip
    return Op("conv", "layer", ("x",), "y", attrs, weight)


def test_a_small_layer_is_one_tile() -> None:
    [tile] = tile_conv(conv((1, 1), 64, 64), load_chip("nor1"))
    assert (tile.n_rows, tile.n_cols, tile.k_first, tile.out_c_first) == (64, 64, 0, 0)


def test_rows_beyond_a_region_are_split_evenly() -> None:
    tiles = tile_conv(conv((3, 3), 200, 10), load_chip("nor1"))  # 1,800 rows over regions of 896
    assert [tile.n_rows for tile in tiles] == [600, 600, 600]
    assert [tile.k_first for tile in tiles] == [0, 600, 1200]


def test_columns_beyond_the_array_are_split_and_row_tiles_stay_together() -> None:
    tiles = tile_conv(conv((1, 1), 1000, 1000), load_chip("nor1"))  # 896 usable columns
    assert [(t.out_c_first, t.n_cols, t.k_first) for t in tiles] == [
        (0, 500, 0), (0, 500, 500), (500, 500, 0), (500, 500, 500),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("n_cols", "widths"),
    [
        (8, [8]), (16, [16]), (64, [64]), (128, [64, 64]),  # parts of 64 lanes, or all of them
        (24, [16, 8]), (56, [32, 16, 8]), (96, [64, 32]), (200, [64, 64, 64, 8]),
        (10, [10]), (60, [60]), (74, [64, 10]),  # these do not share lanes
    ],
)  # fmt: skip
def test_columns_are_cut_into_parts_that_fill_the_lanes(n_cols: int, widths: list[int]) -> None:
    tiles = tile_conv(conv((1, 1), 64, n_cols), load_chip("overlay"))
    assert [tile.n_cols for tile in tiles] == widths
    assert [tile.out_c_first for tile in tiles] == [sum(widths[:i]) for i in range(len(widths))]
    [whole] = tile_conv(conv((1, 1), 64, n_cols), load_chip("nor1"))  # it has converters
    assert whole.n_cols == n_cols


def test_a_depthwise_layer_is_block_diagonal_where_the_vector_path_cannot() -> None:
    op = conv((3, 3), 128, 128, groups=128)
    chip = load_chip("wtm2101")
    assert not on_vector_path(op, chip)
    assert on_vector_path(op, load_chip("nor1"))
    tiles = tile_conv(op, chip)
    assert [(t.in_c_first, t.in_c_count, t.n_rows) for t in tiles] == [(0, 64, 576), (64, 64, 576)]


def test_copies_of_wordlines_take_rows() -> None:
    op, chip = conv((3, 3), 64, 64, groups=64), load_chip("wtm2101")
    assert most_copies(op, chip) == 99
    tiles = tile_conv(op, chip, lines_per_input=10)
    assert max(tile.n_rows for tile in tiles) * 10 <= 896
    assert sum(tile.n_cols for tile in tiles) == 64


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_every_weight_is_in_exactly_one_tile(groups: int) -> None:
    op, chip = conv((3, 2), 600, 48, groups), load_chip("nor1")
    rows, cols = 6 * 600 // groups, 48 // groups
    seen = np.zeros((groups, rows, cols), int)
    for tile in tile_conv(op, chip):
        count = tile.in_c_count // (600 // groups)
        assert tile.n_rows <= 896
        assert tile.n_cols <= 896
        first = tile.out_c_first // cols
        if count == 1 or groups == 1:
            inner = tile.out_c_first - first * cols
            seen[first, tile.k_first : tile.k_first + tile.n_rows, inner : inner + tile.n_cols] += 1
        else:
            seen[first : first + count] += 1
    assert (seen == 1).all()
