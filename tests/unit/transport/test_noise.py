"""Frame sizes follow the errors of the line."""

from __future__ import annotations

import math
import random

import pytest

from norcim.transport.noise import NOISY, QUIET, Noise, expected_rate


def _after(n_frames: int, errors_per_bit: float, seed: int = 1) -> Noise:
    rng, noise = random.Random(seed), Noise()
    for _ in range(n_frames):
        n_bytes = noise.data_bytes + 14
        noise.record(n_bytes, lost=rng.random() > math.exp(-8 * n_bytes * errors_per_bit))
    return noise


def test_a_line_is_good_until_it_shows_that_it_is_not() -> None:
    noise = Noise()
    assert (noise.errors_per_bit, noise.data_bytes) == (0, 256)
    noise.record(1046, lost=True)
    assert noise.errors_per_bit < NOISY
    noise.record(1046, lost=True)
    assert noise.errors_per_bit > NOISY


@pytest.mark.parametrize(
    ("errors_per_bit", "sizes"), [(1e-3, {32, 48}), (1e-4, {96, 128, 192}), (1e-6, {256})]
)
def test_size_follows_the_errors(errors_per_bit: float, sizes: set[int]) -> None:
    noise = _after(400, errors_per_bit)
    assert noise.data_bytes in sizes
    assert errors_per_bit < 1e-5 or 0.6 < noise.errors_per_bit / errors_per_bit < 1.6


def test_size_grows_again_once_the_line_is_good() -> None:
    noise = _after(400, 1e-3)
    for _ in range(700):
        noise.record(noise.data_bytes + 14, lost=False)
    assert noise.data_bytes == 256
    assert noise.errors_per_bit < QUIET


def test_doubt_finds_the_size_within_a_few_frames() -> None:
    noise = Noise(n_lost=2)
    noise.doubt()
    assert noise.data_bytes <= 128
    for _ in range(8):
        noise.record(noise.data_bytes + 14, lost=True)
    assert noise.data_bytes <= 48


def test_expected_rate_of_a_good_and_a_bad_line() -> None:
    assert expected_rate(256, 0) == 256 / 270
    assert expected_rate(32, 1e-3) == pytest.approx(0.481, abs=1e-3)
    assert expected_rate(256, 1e-3) < 0.11
