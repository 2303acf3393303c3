"""The default cells of `wtm2101` give the output errors that its programming logs show.

After the second pass, medians over 9 and 20 layers: column sigma 0.77 and 2.25 LSB, offsets 0.95
to 1.4 LSB, slopes 0.96 to 1.01; layers with nearly empty inputs show a floor of 0.67 to 0.81 LSB,
and sigma_out^2 = 0.7^2 + (sigma_w sqrt(sum var x) / G)^2 with sigma_w 5 to 8 codes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from norcim.analysis.population import ColumnErrors, column_errors
from norcim.chips import load_chip
from norcim.emulator.cells import CellModel, Compensation, sample_chip
from norcim.emulator.compensate import calibration_of
from norcim.spec.program import Rule
from tests.unit.emulator.test_engine import one_tile

N_ROWS, N_COLS = 256, 128


def errors(inputs: np.ndarray, gain: int, refine: bool = True, number: int = 0) -> ColumnErrors:
    """A fully connected layer behind a ReLU, on one chip as it is after programming."""
    rng = np.random.default_rng(2)
    weights = np.clip(rng.laplace(0, 25, (inputs.shape[1], N_COLS)).round(), -128, 127)
    content = one_tile(Rule.WTM2101, gain, weights, np.zeros((0, N_COLS)))
    content = replace(content, tiles=(replace(content.tiles[0], col=128),))  # behind the reserve
    model = CellModel.of(
        load_chip("wtm2101"), compensation=Compensation(refine=refine, calibrate=False)
    )
    codes = inputs.astype(np.uint8)[:, None, None, :]
    [found] = column_errors(
        sample_chip(content, model, 7, number), calibration_of(content, [codes])
    )
    return found


def relu_inputs(n_rows: int = N_ROWS) -> np.ndarray:
    rng = np.random.default_rng(3)
    active = rng.random((512, n_rows)) < 0.25
    return np.clip(rng.exponential(30, active.shape) * active, 0, 255).round()


@pytest.mark.parametrize("number", range(4))
def test_a_typical_layer_is_inside_the_range_of_the_logs(number: int) -> None:
    found = errors(relu_inputs(), 10, number=number)
    assert 0.77 < found.sigma_lsb < 2.3
    assert 0.95 < found.offset_lsb < 1.5
    assert 0.96 < found.slope < 1.01


def test_before_the_second_pass_the_gain_is_worse() -> None:
    first, second = errors(relu_inputs(), 10, refine=False), errors(relu_inputs(), 10)
    assert 0.88 < first.slope < second.slope - 0.01
    assert second.sigma_lsb < first.sigma_lsb < 2.5


def test_empty_inputs_show_the_floor_of_the_converter() -> None:
    assert 0.67 < errors(np.zeros((512, N_ROWS)), 10).sigma_lsb < 0.81


def test_the_error_grows_with_the_inputs_as_the_fit_says() -> None:
    inputs = relu_inputs(800) * 1.1
    drive = np.sqrt(inputs.var(axis=0).sum())
    found = errors(inputs, 9)
    sigma_w = np.sqrt(found.sigma_lsb**2 - 0.7**2) * 512 / drive
    assert 4 < sigma_w < 8
