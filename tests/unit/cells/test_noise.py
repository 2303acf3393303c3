"""The fast Gaussian generator: its distribution, its independence, its determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest

from norcim.emulator.cells.noise import VARIANCE, NoiseSource


def draw(key: tuple[int, ...] = (1, 2), n: int = 64, m: int = 20_001, first: int = 0) -> np.ndarray:
    out = np.empty((n, m), np.float32)
    source = NoiseSource(key, n)
    source.begin(first)
    source.fill(out)
    return out / math.sqrt(VARIANCE)


Z = draw().astype(np.float64)


def test_moments_are_those_of_eight_bytes() -> None:
    n = Z.size
    assert abs(Z.mean()) < 5 / math.sqrt(n)
    assert Z.var() == pytest.approx(1, abs=5 * math.sqrt(1.85 / n))
    assert abs((Z**3).mean()) < 5 * math.sqrt(13 / n)
    excess = -6 / 5 * (256**2 + 1) / (256**2 - 1) / 8
    assert (Z**4).mean() - 3 == pytest.approx(excess, abs=5 * math.sqrt(80 / n))


def test_the_distribution_is_near_a_gaussian_and_its_tails_are_as_documented() -> None:
    for x in np.linspace(-3, 3, 25):
        gaussian = 0.5 * (1 + math.erf(x / math.sqrt(2)))
        step = 0.5 * 0.0049 * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        assert (x >= Z).mean() == pytest.approx(
            gaussian, abs=0.002 + step + 2.5 / math.sqrt(Z.size)
        )
    assert np.abs(Z).max() <= 8 * 127.5 / math.sqrt(VARIANCE) < 4.91
    assert 0.0012 < (np.abs(Z) > 3).mean() < 0.0027


def test_values_are_independent_within_and_across_samples() -> None:
    limit = 5 / math.sqrt(Z.size)
    for lag in (1, 2, 3, 4, 7, 8, 16, 64, 1000):
        assert abs((Z[:, lag:] * Z[:, :-lag]).mean()) < limit
    across = np.corrcoef(Z)[np.triu_indices(len(Z), 1)]
    assert abs(across).max() < 6 / math.sqrt(Z.shape[1])


def test_halves_that_share_bytes_are_uncorrelated_and_their_squares_hardly() -> None:
    half = (Z.shape[1] + 1) // 2
    left, right = Z[:, : half - 1], Z[:, half:]
    assert abs((left * right).mean()) < 5 / math.sqrt(left.size)
    squares = np.corrcoef(left.ravel() ** 2, right.ravel() ** 2)[0, 1]
    assert squares == pytest.approx(-0.08, abs=0.01)


@pytest.mark.parametrize("m", [1, 2, 3, 8, 9, 4097])
def test_a_sample_gets_the_same_whatever_the_batch(m: int) -> None:
    whole = draw(n=7, m=m, first=10)
    for i in range(7):
        assert np.array_equal(whole[i], draw(n=1, m=m, first=10 + i)[0])


def test_other_chips_and_other_samples_get_other_noise() -> None:
    assert not np.array_equal(draw(n=1, m=50), draw((1, 3), n=1, m=50))
    assert not np.array_equal(draw(n=1, m=50), draw(n=1, m=50, first=1))


def test_a_stream_goes_on() -> None:
    source, out = NoiseSource((4,), 2), np.empty((2, 100), np.float32)
    source.begin(0)
    source.fill(out)
    before = out.copy()
    source.fill(out)
    assert not np.array_equal(before, out)
    source.begin(0)
    source.fill(out)
    assert np.array_equal(before, out)
