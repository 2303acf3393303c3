"""Tiles on a chip's arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from norcim.chips import load_chip
from norcim.errors import NorcimError
from norcim.image import ImageContent, check_placement
from norcim.spec.program import Rule
from tests.unit.image.sample import sample_content

NOR1 = load_chip("nor1")


def _with_tile(index: int, **changes: Any) -> ImageContent:
    tiles = list(sample_content().tiles)
    tiles[index] = replace(tiles[index], **changes)
    return sample_content(tiles=tuple(tiles))


def test_sample_is_placed_well() -> None:
    check_placement(sample_content(), NOR1)


@pytest.mark.parametrize(
    ("index", "changes"),
    [
        (0, {"array": NOR1.arrays.count}),
        (0, {"row": NOR1.arrays.n_rows - 19}),  # 10 PN inputs take 20 rows
        (0, {"col": NOR1.arrays.n_columns - 2}),
        (0, {"row": 1}),  # its last row is the first of tile 1
        (1, {"row": 19}),
        (2, {"col": 202}),  # the last column of tile 0
        (0, {"bias_row": NOR1.arrays.n_bias_rows}),
        (0, {"gain": NOR1.converter.gain_hi + 1}),
    ],
)
def test_tile_in_the_wrong_place(index: int, changes: dict[str, Any]) -> None:
    with pytest.raises(NorcimError) as caught:
        check_placement(_with_tile(index, **changes), NOR1)
    assert caught.value.id == "NC-E0552"
    assert "descriptor 0 (MVM), tile" in caught.value.where


def test_rows_stay_inside_one_region() -> None:
    """Regions of 896 rows: 20 rows from 890 on would straddle."""
    chip = load_chip("wtm2101")
    content = _with_tile(0, row=890, gain=8)
    content = replace(
        content,
        program=tuple(replace(d, rule=Rule.WTM2101) for d in content.program),
        tiles=tuple(replace(tile, gain=8) for tile in content.tiles),
    )
    with pytest.raises(NorcimError, match="inside one region"):
        check_placement(content, chip)


def test_reserved_columns_are_not_used() -> None:
    chip = load_chip("wtm2101")
    assert chip.arrays.reserved_columns == 128
    with pytest.raises(NorcimError, match="col is out of range"):
        check_placement(_with_tile(0, col=127), chip)


def test_a_tile_used_twice_is_one_tile() -> None:
    content = sample_content()
    twice = replace(content, program=(content.program[0], *content.program))
    check_placement(twice, NOR1)


def test_another_converter_is_refused() -> None:
    with pytest.raises(NorcimError, match="another converter"):
        check_placement(_with_tile(0, n_bias_rows=0), load_chip("digital"))
