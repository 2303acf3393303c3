"""One chip of a population: what it depends on, and what compensation does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.cells import ALL, NOTHING, CellModel, Compensation, sample_chip
from norcim.emulator.compensate import (
    calibrate_columns,
    calibration_of,
    compensate,
    measure_column_codes,
)
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.spec.program import Encoding, Rule
from tests.unit.cells.population import PLAIN, chip_with, model_with
from tests.unit.emulator.test_engine import one_tile


def content_at(col: int, n_cols: int = 300, row: int = 0, gain: int = 8) -> ImageContent:
    rng = np.random.default_rng(4)
    weights = rng.integers(-100, 100, (50, n_cols))
    content = one_tile(Rule.LINEAR, gain, weights, np.zeros((0, n_cols)))
    return replace(content, tiles=(replace(content.tiles[0], col=col, row=row),))


def errors_of(
    content: ImageContent, model: CellModel, number: int = 0, seed: int = 1
) -> np.ndarray:
    chip = sample_chip(content, model, seed, number)
    ideal = sample_chip(content, model_with(PLAIN), seed, number)
    return np.asarray(chip.tile(0, Encoding.DIRECT).weights - ideal.tile(0, 0).weights)


def test_a_chip_is_its_seed_number_and_place() -> None:
    model = model_with(program_floor=4.0)
    base = errors_of(content_at(200), model)
    assert np.array_equal(base, errors_of(content_at(200), model))
    assert not np.array_equal(base, errors_of(content_at(200), model, number=1))
    assert not np.array_equal(base, errors_of(content_at(200), model, seed=2))
    assert not np.array_equal(base, errors_of(content_at(201), model))
    assert base.std() == pytest.approx(4, rel=0.05)


def test_an_effect_does_not_move_the_draws_of_another() -> None:
    alone = errors_of(content_at(200), model_with(program_floor=4.0))
    both = errors_of(content_at(200), model_with(program_floor=4.0, stuck_off=0.01))
    assert 0 < (alone != both).mean() < 0.03


def test_the_reserve_keeps_tiles_off_the_bad_columns() -> None:
    bad = {"program_floor": 1.0, "leading_columns": 128, "leading_factor": 5.0}
    inside = errors_of(content_at(128), model_with(PLAIN, **bad))
    moved = errors_of(content_at(128), model_with(replace(PLAIN, reserve=False), **bad))
    assert inside.std() == pytest.approx(1, rel=0.05)
    assert moved[:, :128].std() == pytest.approx(5, rel=0.05)
    assert moved[:, 128:].std() == pytest.approx(1, rel=0.05)


def test_spare_columns_replace_dead_ones_while_they_last() -> None:
    def dead(remap: bool, spare: int) -> int:
        model = model_with(replace(PLAIN, remap=remap), dead_columns=0.05, spare_columns=spare)
        weights = sample_chip(content_at(200), model, 1, 0).tile(0, 0).weights
        return int((weights == 0).all(axis=0).sum())

    assert 5 < dead(False, 1000) < 30
    assert dead(True, 1000) == 0
    assert 0 < dead(True, 5) < dead(False, 5)


def test_a_second_pass_leaves_a_share_of_the_errors() -> None:
    def gains(refine: bool) -> np.ndarray:
        model = model_with(
            replace(PLAIN, refine=refine), converter_gain=-0.04, converter_gain_spread=0.03,
            refine_gain=0.4,
        )  # fmt: skip
        weights = sample_chip(content_at(200), model, 1, 0).tile(0, 0).weights
        ideal = sample_chip(content_at(200), model_with(PLAIN), 1, 0).tile(0, 0).weights
        return np.asarray(weights.sum(axis=0) / ideal.sum(axis=0) - 1)

    assert gains(True) == pytest.approx(0.4 * gains(False))
    assert gains(False).mean() == pytest.approx(-0.04, abs=0.01)


def noisy_chip_and_inputs() -> tuple[ImageContent, CellModel, np.ndarray]:
    values = {
        "program_floor": 4.0,
        "converter_offset": 3.0,
        "converter_gain": -0.05,
        "converter_gain_spread": 0.05,
        "converter_noise": 0.5,
    }
    content = content_at(200, 60, gain=11)
    inputs = np.random.default_rng(9).integers(0, 256, (400, 1, 1, 50), np.uint8)
    return content, model_with(PLAIN, **values), inputs


def test_calibration_takes_out_offset_and_slope() -> None:
    content, model, inputs = noisy_chip_and_inputs()
    chip = sample_chip(content, model, 1, 0)
    calibration = calibration_of(content, [inputs[:300]])
    trimmed = calibrate_columns(chip, calibration)
    rng = np.random.default_rng(0)
    drive = inputs[300:].reshape(100, 50).astype(np.float32)

    def column_offsets(c: object) -> np.ndarray:
        expected, codes = measure_column_codes(c, 0, 0, drive, rng)  # type: ignore[arg-type]
        return np.asarray((codes - expected).mean(axis=0))

    assert column_offsets(chip).std() > 2.5
    assert column_offsets(trimmed).std() < 0.3


def test_recentring_brings_mean_outputs_back() -> None:
    content, model, inputs = noisy_chip_and_inputs()
    calibration = calibration_of(content, [inputs])
    exact = calibration.means[0]

    def shift(compensation: Compensation) -> float:
        chip = sample_chip(content, replace(model, compensation=compensation), 1, 0)
        chip = compensate(chip, calibration)
        emulator = Emulator(content, cells=chip)
        [out] = emulator.run([inputs])
        return float(np.abs(out.view(np.int8).reshape(400, -1).mean(axis=0) - exact).mean())

    assert shift(PLAIN) > 1.5
    assert shift(replace(PLAIN, recentre=True)) < 0.2


def test_switches_have_names() -> None:
    assert Compensation.names() == ("reserve", "remap", "refine", "calibrate", "recentre")
    assert all(getattr(ALL, name) and not getattr(NOTHING, name) for name in Compensation.names())


def test_corners_scale_errors_and_not_probabilities_beyond_one() -> None:
    chip = chip_with(program_floor=4.0, dead_columns=0.7, drift_tau_s=5.0)
    worst = CellModel.of(chip, "worst").cells
    assert (worst.program_floor, worst.dead_columns, worst.drift_tau_s) == (8.0, 1.0, 5.0)


def test_a_digital_chip_has_no_cells() -> None:
    with pytest.raises(NorcimError) as caught:
        CellModel.of(load_chip("digital"))
    assert caught.value.id == "NC-E0708"


@pytest.mark.parametrize(
    "bad", [{"corner": "odd"}, {"age_s": -1.0}, {"temperature_c": 200.0}, {"n_cycles": -1.0}]
)
def test_conditions_out_of_range(bad: dict[str, object]) -> None:
    with pytest.raises(NorcimError) as caught:
        CellModel.of(chip_with(), **bad)  # type: ignore[arg-type]
    assert caught.value.id == "NC-E0709"


def test_age_and_heat_take_current_away() -> None:
    aged = {"drift_v_per_decade": 1e-3, "temperature_gain": -0.0005}
    fresh = CellModel.of(chip_with(**aged))
    old = CellModel.of(chip_with(**aged), age_s=3e8, temperature_c=85)
    size = [
        np.abs(sample_chip(content_at(200), m, 1, 0).tile(0, 0).weights).mean()
        for m in (fresh, old)
    ]
    assert 0.6 < size[1] / size[0] < 0.9
