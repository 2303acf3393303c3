"""Tiles are moved, cut and kept without a bit of what a network computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from norcim.chips import Chip, load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image import ImageContent, check_placement, check_program
from norcim.mapper import arrange, keep_placement
from norcim.mapper.arrange import cut_tiles
from norcim.mapper.keep import place_beside
from norcim.mapper.placement import Block, Position
from tests.unit.image.sample import sample_content, second_content
from tests.unit.mapper.test_placement import check

CHIP = load_chip("nor1")


def _answers(content: ImageContent) -> np.ndarray:
    codes = np.random.default_rng(1).integers(0, 256, (9, 4, 4, 2), np.uint8)
    [found] = Emulator(content).run([codes])
    return found


def _for(chip: Chip, content: ImageContent) -> ImageContent:
    tiles = tuple(replace(tile, gain=max(tile.gain, 1)) for tile in content.tiles)
    return replace(content, chip=chip.name, chip_hash=chip.fingerprint, tiles=tiles)


def _places(content: ImageContent) -> list[tuple[int, int, int, int]]:
    return [(t.array, t.row, t.col, t.bias_row) for t in content.tiles]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_cut_tiles_compute_the_same(width: int) -> None:
    content = sample_content()
    cut = cut_tiles(content, width)
    check_program(cut)
    assert max(tile.n_cols for tile in cut.tiles) <= width
    assert len(cut.weights) == len(content.weights)
    assert len(cut.tiles) == {1: 7, 2: 5, 3: 3}[width]
    assert np.array_equal(_answers(cut), _answers(content))


def test_programs_are_placed_apart_and_compute_the_same() -> None:
    contents = [_for(CHIP, sample_content()), _for(CHIP, second_content())]
    placed = arrange(contents, CHIP)
    tiles = [tile for content in placed for tile in content.tiles]
    for content in placed:
        check_placement(content, CHIP)
    areas = {(t.array, row, t.col + x) for t in tiles for row in _lines(t) for x in range(t.n_cols)}
    assert len(areas) == sum(len(_lines(t)) * t.n_cols for t in tiles)
    for content, alone in zip(placed, (sample_content(), second_content()), strict=True):
        assert np.array_equal(_answers(content), _answers(alone))


def _lines(tile: object) -> range:
    return range(tile.row, tile.row + 2 * tile.n_rows)  # type: ignore[attr-defined]


def test_wide_tiles_are_cut_where_they_fit_no_other_way() -> None:
    """301 columns in an array of 300; in one of 2 not even cut ones find room."""
    arrays = CHIP.arrays
    narrow = replace(CHIP, arrays=replace(arrays, n_columns=arrays.reserved_columns + 300))
    content = _for(narrow, sample_content())
    wide = replace(content.tiles[2], n_cols=301, in_c_count=1)
    n_bytes = content.tiles[2].cells + 301 * 18
    d = replace(content.program[0], out_c=304)
    content = replace(
        content,
        tiles=(*content.tiles[:2], wide),
        weights=bytes(n_bytes),
        program=(d, *content.program[1:]),
    )
    [found] = arrange([content], narrow)
    assert sorted(t.n_cols for t in found.tiles) == [3, 3, 150, 151]
    with pytest.raises(NorcimError) as caught:
        arrange([content], replace(narrow, arrays=replace(narrow.arrays, n_columns=130)))
    assert caught.value.id == "NC-E0302"


def test_kept_layers_stay_and_the_others_find_room() -> None:
    old = _for(CHIP, sample_content())
    same = replace(old, weights=old.weights[::-1])
    [found] = arrange([same], CHIP, keep_placement(old, CHIP))
    assert _places(found) == _places(old)
    [anew] = arrange([same], CHIP)
    assert _places(anew) != _places(old)
    changed = replace(old, tiles=(*old.tiles[:2], replace(old.tiles[2], n_bias_rows=1)))
    [moved] = arrange([changed], CHIP, keep_placement(old, CHIP))
    assert _places(moved) != _places(old)


def test_an_image_for_another_chip_keeps_nothing() -> None:
    with pytest.raises(NorcimError) as caught:
        keep_placement(sample_content(), CHIP)
    assert caught.value.id == "NC-E0307"


@pytest.mark.parametrize("seed", range(3))
def test_random_blocks_beside_kept_ones_keep_the_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = [
        Block(
            f"l{i}", int(rng.integers(1, 700)), int(rng.integers(1, 200)), int(rng.integers(0, 5))
        )
        for i in range(12)
    ]
    chip = load_chip("wtm2101")
    first = place_beside(blocks, [None] * 12, chip)
    check(blocks, first)
    kept = [p if i % 2 else None for i, p in enumerate(first)]
    blocks = [b if i % 2 else replace(b, n_lines=b.n_lines // 2 + 1) for i, b in enumerate(blocks)]
    again = place_beside(blocks, kept, chip)
    check(blocks, again)
    assert [p for i, p in enumerate(again) if i % 2] == [p for p in kept if p]


def test_no_room_beside_kept_ones_names_the_layer() -> None:
    chip = load_chip("wtm2101")
    blocks = [Block("old", 896, 896, 0), Block("old2", 890, 896, 0), Block("new", 7, 1, 0)]
    kept = [Position(0, 0, 128, 0), Position(0, 896, 128, 0), None]
    with pytest.raises(NorcimError) as caught:
        place_beside(blocks, kept, chip)
    assert caught.value.id == "NC-E0308"
    assert "new" in caught.value.where
    assert place_beside([*blocks[:2], Block("new", 6, 896, 16)], kept, chip)[2].row == 1786
