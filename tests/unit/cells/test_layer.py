"""A layer that is not compiled, on a chip: what noise-aware training draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from norcim.emulator.cells import CellModel, Compensation
from norcim.emulator.cells.layer import LayerErrors, sample_layer
from tests.unit.cells.population import model_with

WEIGHTS = np.random.default_rng(0).integers(-100, 101, (200, 60)).astype(np.float64)
N_COLS = WEIGHTS.shape[1]


def errors(model: CellModel, copies: int = 1, bias: float = 0.0) -> LayerErrors:
    rng = np.random.default_rng(1)
    return sample_layer(model, WEIGHTS, np.full(N_COLS, bias), copies, rng)


def test_ideal_cells_have_no_error() -> None:
    found = errors(model_with(), copies=3, bias=1280.0)
    for part in (found.error, found.variance, found.constant, found.fixed, found.offset):
        assert not part.any()
    assert (found.gain == 1).all()


@pytest.mark.parametrize("copies", [1, 4])
def test_copies_of_a_wordline_average_its_errors(copies: int) -> None:
    found = errors(model_with(program_floor=4.0, read_floor=2.0, zero_is_off=False), copies)
    expected = 4 / math.sqrt(copies)
    assert found.error.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * WEIGHTS.size))
    assert found.variance == pytest.approx(4 / copies)


def test_bias_rows_have_errors_of_their_own() -> None:
    # 128 x 250 is more than a row of cells up to 127 holds: two rows, each driven with 128.
    found = errors(model_with(program_floor=3.0, read_floor=1.0), bias=128.0 * 250)
    assert found.constant.std() == pytest.approx(128 * 3 * math.sqrt(2), rel=0.4)
    assert found.fixed == pytest.approx(2 * 128**2)
    assert not errors(model_with(program_floor=3.0, read_floor=1.0)).constant.any()


def test_columns_have_gains_and_offsets_and_keep_off_the_reserve() -> None:
    values = {
        "converter_offset": 2.0, "converter_gain": -0.1, "leading_columns": 128,
        "leading_factor": 50.0,
    }  # fmt: skip
    clear = errors(model_with(Compensation(), **values))
    assert clear.gain == pytest.approx(1 - 0.1 * model_with().cells.refine_gain)
    assert np.abs(clear.offset).max() < 2 * 5
    bare = errors(model_with(Compensation(reserve=False), **values))
    assert np.abs(bare.offset).max() > 2 * 20


def test_dead_columns_are_gone_unless_they_are_remapped() -> None:
    dead = errors(model_with(Compensation(remap=False), dead_columns=0.5)).gain == 0
    assert 0.2 < dead.mean() < 0.8
    assert errors(model_with(Compensation(), dead_columns=0.5)).gain.all()
