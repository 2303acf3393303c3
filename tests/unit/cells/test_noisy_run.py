"""A noisy run: against the exact one where nothing is wrong, against per-cell noise where it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from norcim.emulator import Emulator, noisy
from norcim.emulator.cells import SampledChip, sample_chip
from norcim.emulator.reference import tile_cells
from norcim.image.model import ImageContent
from norcim.spec.program import Encoding, Opcode, Rule
from tests.conformance.programs import random_program
from tests.unit.cells.population import model_with
from tests.unit.emulator.test_engine import one_tile

N = 20_000


def codes_of(content: ImageContent, cells: SampledChip, drive: np.ndarray, n: int) -> np.ndarray:
    """Codes (n, n_cols) of n conversions of the same inputs."""
    inputs = np.broadcast_to(drive.astype(np.uint8), (n, 1, 1, len(drive))).copy()
    [out] = Emulator(content, cells=cells).run([inputs])
    return out.view(np.int8).reshape(n, -1).astype(np.float64)


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_an_ideal_chip_gives_the_exact_bits(first: int) -> None:
    encodings = set()
    for seed in range(first, first + 20):
        content, inputs = random_program(seed)
        encodings |= {d.encoding for d in content.program if d.opcode == Opcode.MVM}
        exact = Emulator(content).run_layers(inputs)
        ideal = Emulator(content, cells=sample_chip(content, model_with(), 1, 0))
        for index, codes in ideal.run_layers(inputs).items():
            assert np.array_equal(codes, exact[index]), f"seed {seed}, descriptor {index}"
    assert encodings == set(Encoding)


def test_without_cells_nothing_noisy_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the exact path must not come here")

    monkeypatch.setattr("norcim.emulator.bind.make_noisy_mvm", refuse)
    monkeypatch.setattr("norcim.emulator.bind.NoiseSource", refuse)
    for seed in range(10):
        content, inputs = random_program(seed)
        emulator = Emulator(content)
        emulator.run(inputs)
        assert emulator._bound(1).noise is None


def per_cell(content: ImageContent, drive: np.ndarray, slope: float, floor: float) -> np.ndarray:
    """Real codes of N conversions in which every cell has its own noise: the slow way."""
    tile = content.tiles[0]
    cells = tile_cells(content, tile, Encoding.DIRECT)
    weights = np.concatenate([cells.weights, cells.bias]).astype(np.float64)
    lines = np.concatenate([drive, np.full(len(cells.bias), 128)]).astype(np.float64)
    sigma = np.where(weights == 0, 0, slope * np.abs(weights) + floor)
    rng = np.random.default_rng(5)
    sums = [lines @ (weights + sigma * rng.standard_normal(weights.shape)) for _ in range(N)]
    return np.array(sums) / (1 << tile.gain)


def test_output_referred_noise_is_that_of_every_cell() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-60, 60, (40, 6))
    weights[:, 1] = 0  # cells that are off
    weights[:, 2] = np.sign(weights[:, 2]) * 3  # small states
    weights[:, 3] = np.sign(weights[:, 3]) * 100  # large ones
    content = one_tile(Rule.LINEAR, 9, weights, rng.integers(-20, 20, (2, 6)) * (weights[:2] != 0))
    drive = rng.integers(0, 256, 40)
    chip = sample_chip(content, model_with(read_slope=0.1, read_floor=2.0), 3, 0)
    found, slow = codes_of(content, chip, drive, N), per_cell(content, drive, 0.1, 2.0)
    inside = np.abs(slow).max(axis=0) < 120
    assert inside.sum() >= 4
    sigma = slow.std(axis=0)
    assert sigma[1] == 0
    assert sigma[3] > 3 * sigma[2]
    assert found[:, 1].std() == 0
    for c in np.flatnonzero(inside & (sigma > 0)):
        expected = sigma[c] ** 2 + 1 / 12
        error = math.sqrt(expected / N)
        assert abs(found[:, c].mean() - slow[:, c].mean()) < 7 * error
        assert found[:, c].var() == pytest.approx(expected, rel=8 * math.sqrt(2 / N))


def test_converter_noise_and_offset_are_in_codes_whatever_the_gain() -> None:
    for gain in (0, 8):
        content = one_tile(Rule.LINEAR, gain, np.zeros((4, 300), int), np.zeros((0, 300)))
        quiet = sample_chip(content, model_with(converter_offset=9.0), 3, 0)
        offsets = codes_of(content, quiet, np.zeros(4), 1)[0]
        assert offsets.std() == pytest.approx(9, rel=0.2)
        noisy_chip = sample_chip(content, model_with(converter_noise=5.0), 3, 0)
        noise = codes_of(content, noisy_chip, np.zeros(4), 200)
        assert noise.var() == pytest.approx(25 + 1 / 12, rel=0.03)


def test_non_linearity_bends_a_ramp() -> None:
    weights = np.ones((1, 200), int)
    content = one_tile(Rule.LINEAR, 0, weights, np.zeros((0, 200)))
    chip = sample_chip(content, model_with(converter_inl=20.0), 3, 0)
    ramp = np.arange(128, dtype=np.uint8).reshape(-1, 1, 1, 1)
    [out] = Emulator(content, cells=chip).run([ramp])
    error = out.view(np.int8).reshape(128, 200).astype(float) - np.arange(128)[:, None]
    assert np.abs(error[[0, 127]]).max() <= 2
    assert error[74].std() == pytest.approx(20, rel=0.2)  # 128 / sqrt 3: the peak


def test_fresh_noise_for_every_conversion_but_the_same_for_a_seed() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-60, 60, (30, 9))
    content = one_tile(Rule.WTM2101, 8, weights, rng.integers(-9, 9, (2, 9)))
    codes = rng.integers(0, 256, (70, 1, 1, 30), np.uint8)
    model = model_with(converter_noise=3.0, read_floor=1.0, program_floor=2.0)
    chip = sample_chip(content, model, 1, 0)
    [whole] = Emulator(content, cells=chip).run([codes])
    [threaded] = Emulator(content, 2, chip).run([codes])
    assert np.array_equal(whole, threaded)
    again = Emulator(content, cells=sample_chip(content, model, 1, 0))
    pieces = [again.run([codes[a:b]])[0] for a, b in ((0, 3), (3, 40), (40, 41), (41, 70))]
    assert np.array_equal(whole, np.concatenate(pieces))
    emulator = Emulator(content, cells=chip)
    [first], [second] = emulator.run([codes]), emulator.run([codes])
    assert not np.array_equal(first, second)
    other = sample_chip(content, model, 1, 1)
    assert not np.array_equal(whole, Emulator(content, cells=other).run([codes])[0])


def test_a_pn_layer_sees_both_halves_of_its_cells() -> None:
    seed = next(
        s for s in range(200)
        if any(
            d.opcode == Opcode.MVM and d.encoding == Encoding.PN and d.rule == Rule.LINEAR
            for d in random_program(s)[0].program
        )
    )  # fmt: skip
    content, inputs = random_program(seed)
    model = model_with(program_slope=0.05, program_floor=1.0)
    chip = sample_chip(content, model, 1, 0)
    index, d = next(
        (i, d) for i, d in enumerate(content.program)
        if d.opcode == Opcode.MVM and d.encoding == Encoding.PN
    )  # fmt: skip
    errors = chip.tile(d.tile_base, d.encoding)
    n = content.tiles[d.tile_base].n_rows
    copy = errors.weights[: 2 * n]
    assert not np.allclose(copy[:n], -copy[n:])
    assert Emulator(content, cells=chip).run_layers(inputs)[index].shape
    assert noisy.is_analog(replace(d, rule=Rule.LINEAR))
    assert not noisy.is_analog(replace(d, rule=Rule.LOSSLESS))
