"""The fast Gaussian generator: its distribution, its independence, its determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest

from norcim.emulator.cells.noise import NoiseSource, quantiles


def draw(key: tuple[int, ...] = (1, 2), n: int = 64, m: int = 20_001, first: int = 0) -> np.ndarray:
    out = np.empty((n, m), np.float32)
    source = NoiseSource(key, n)
    source.begin(first)
    source.fill(out)
    return out


Z = draw().astype(np.float64)


def gaussian(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_the_quantiles_are_a_gaussian_to_16_bits() -> None:
    table = quantiles().astype(np.float64)
    assert len(np.unique(table)) == len(table) == 65_536
    assert table.mean() == pytest.approx(0, abs=1e-9)
    assert np.square(table).mean() == pytest.approx(1, abs=1e-6)
    assert (table**4).mean() - 3 == pytest.approx(-0.0008, abs=1e-4)
    below = np.array([gaussian(x) for x in table])
    assert np.abs(below - (np.arange(65_536) + 0.5) / 65_536).max() < 2**-17
    assert 4.32 < table.max() < 4.33


def test_moments_are_those_of_a_gaussian() -> None:
    n = Z.size
    assert abs(Z.mean()) < 5 / math.sqrt(n)
    assert Z.var() == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    assert abs((Z**3).mean()) < 5 * math.sqrt(15 / n)
    assert (Z**4).mean() - 3 == pytest.approx(0, abs=5 * math.sqrt(96 / n))


def test_values_come_as_often_as_a_gaussian_says() -> None:
    # Kolmogorov and Smirnov's distance of n values stays below 1.95 / sqrt(n) in 999 of 1000.
    ordered = np.sort(Z.ravel())[:: Z.size // 5000]
    seen = np.searchsorted(np.sort(Z.ravel()), ordered, side="right") / Z.size
    expected = np.array([gaussian(x) for x in ordered])
    assert np.abs(seen - expected).max() < 1.95 / math.sqrt(Z.size)
    for bound in (2.0, 3.0, 4.0):
        p = 2 * gaussian(-bound)
        assert (np.abs(Z) > bound).mean() == pytest.approx(p, abs=5 * math.sqrt(p / Z.size))


def test_values_are_independent_within_and_across_samples() -> None:
    limit = 5 / math.sqrt(Z.size)
    for each in (Z, np.square(Z) / math.sqrt(2) - math.sqrt(0.5)):
        for lag in (1, 2, 3, 4, 7, 8, 16, 64, 1000):
            assert abs((each[:, lag:] * each[:, :-lag]).mean()) < limit
    across = np.corrcoef(Z)[np.triu_indices(len(Z), 1)]
    assert abs(across).max() < 6 / math.sqrt(Z.shape[1])


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
