"""Blocks never overlap, never straddle a region, and share bias rows by the chip's rules."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from norcim.chips import Chip, load_chip
from norcim.errors import NorcimError
from norcim.mapper.placement import (
    Block,
    Position,
    check_weight_memory,
    free_bias_rows,
    place_blocks,
)


def overlap(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop


def check(blocks: list[Block], positions: tuple[Position, ...]) -> None:
    arrays = load_chip("wtm2101").arrays
    for block, p in zip(blocks, positions, strict=True):
        region = arrays.regions[0] if p.row < arrays.regions[1].first else arrays.regions[1]
        assert region.first <= p.row
        assert p.row + block.n_lines <= region.first + region.n_rows
        assert p.col >= 128
        assert p.col + block.n_cols <= 1024
        assert p.bias_row + block.n_bias_rows <= 16
    for (a, p), (b, q) in combinations(zip(blocks, positions, strict=True), 2):
        if overlap(range(p.col, p.col + a.n_cols), range(q.col, q.col + b.n_cols)):
            assert not overlap(range(p.row, p.row + a.n_lines), range(q.row, q.row + b.n_lines))
            bias_a = range(p.bias_row, p.bias_row + a.n_bias_rows)
            assert not overlap(bias_a, range(q.bias_row, q.bias_row + b.n_bias_rows))


@pytest.mark.parametrize("seed", range(8))
def test_random_blocks_keep_the_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = [
        Block(
            f"l{i}", int(rng.integers(1, 897)), int(rng.integers(1, 200)), int(rng.integers(0, 5))
        )
        for i in range(14)
    ]
    check(blocks, place_blocks(blocks, load_chip("wtm2101")))


def test_the_same_blocks_get_the_same_places() -> None:
    chip = load_chip("wtm2101")
    blocks = [Block(f"l{i}", 50 + i, 30 + i, 2) for i in range(20)]
    assert place_blocks(blocks, chip) == place_blocks(blocks, chip)


def test_too_many_cells_name_the_largest_layers() -> None:
    blocks = [Block("small", 10, 10, 0), *(Block("huge", 896, 896, 0),) * 3]
    with pytest.raises(NorcimError) as caught:
        place_blocks(blocks, load_chip("wtm2101"))
    assert caught.value.id == "NC-E0302"
    assert caught.value.exit_code == 3
    assert "huge (2,408,448)" in str(caught.value)
    assert "1,605,632" in str(caught.value)


def test_bias_rows_that_run_out_are_told_apart_from_cells() -> None:
    blocks = [Block("a", 800, 896, 10), Block("b", 800, 896, 10)]
    with pytest.raises(NorcimError) as caught:
        place_blocks(blocks, load_chip("wtm2101"))
    assert caught.value.id == "NC-E0303"


def test_free_bias_rows_are_shared_by_the_blocks_of_a_column() -> None:
    chip = load_chip("nor1")
    blocks = [Block("a", 800, 896, 0), Block("b", 800, 896, 0)]
    free = free_bias_rows(blocks, 0, chip)
    assert free == 8
    place_blocks([replace(block, n_bias_rows=free) for block in blocks], chip)


def test_bias_rows_also_share_the_weight_memory() -> None:
    """1,000 cells and 500 vector weights leave 300 bytes of 1,800 for rows of 100 cells."""
    chip = with_weight_bytes(1800)
    blocks = [Block("a", 10, 60, 0), Block("b", 10, 40, 0)]
    assert free_bias_rows(blocks, 500, chip) == 3
    assert free_bias_rows(blocks, 900, chip) == 0


def test_cells_and_vector_weights_share_the_weight_memory() -> None:
    chip = with_weight_bytes(1500)
    blocks = [Block("a", 10, 100, 0)]
    check_weight_memory(blocks, 500, chip)
    with pytest.raises(NorcimError) as caught:
        check_weight_memory(blocks, 501, chip)
    assert caught.value.id == "NC-E0302"
    assert "at most 999 cells" in caught.value.expected
    check_weight_memory([replace(blocks[0], n_bias_rows=2)], 300, chip)
    with pytest.raises(NorcimError) as caught:
        check_weight_memory([replace(blocks[0], n_bias_rows=2)], 301, chip)
    assert caught.value.id == "NC-E0303"


def with_weight_bytes(n_bytes: int) -> Chip:
    chip = load_chip("overlay")
    return replace(chip, memories=replace(chip.memories, weight_bytes=n_bytes))


def test_blocks_are_packed_again_where_bias_rows_run_out() -> None:
    """Seven columns of two blocks each, of which one wants most of the bias rows."""
    chip = load_chip("wtm2101")
    needs = [12, 4, 12, 4, 12, 4, 12, 12, 4, 12, 4, 12, 4, 4]
    blocks = [Block(f"l{i}", 800 - i, 128, rows) for i, rows in enumerate(needs)]
    check(blocks, place_blocks(blocks, chip))
