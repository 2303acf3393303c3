"""Each non-ideality against its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from norcim.emulator.cells import physics

N = 200_000


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def close(found: float, expected: float, error: float) -> None:
    """Within five standard errors."""
    assert abs(found - expected) < 5 * error, (found, expected)


def test_sigma_grows_with_the_state_and_zero_weights_are_off() -> None:
    weights = np.array([-100.0, -1.0, 0.0, 50.0])
    assert physics.state_sigma(weights, 0.02, 4, True).tolist() == [6.0, 4.02, 0.0, 5.0]
    assert physics.state_sigma(weights, 0.02, 4, False)[2] == 4.0


def test_programming_error_has_the_sigma_that_it_is_given() -> None:
    sigma = np.repeat([2.0, 6.0], N)
    error = physics.program(np.full(2 * N, 30.0), sigma, rng()) - 30
    for part, s in zip(np.split(error, 2), (2.0, 6.0), strict=True):
        close(part.mean(), 0, s / math.sqrt(N))
        close(part.std(), s, s / math.sqrt(2 * N))


def test_one_pulse_leaves_its_own_error() -> None:
    values, pulses = physics.write_verify(np.full(N, 80.0), np.zeros(N), rng(), 1.0, 1, 0.05)
    assert (pulses == 1).all()
    close(values.std(), 4.0, 4 / math.sqrt(2 * N))


def test_write_verify_accepts_at_the_first_pulse_as_often_as_the_error_function_says() -> None:
    values, pulses = physics.write_verify(np.full(N, 80.0), np.zeros(N), rng(), 3.0, 50, 0.05)
    accept = math.erf(3 / (4 * math.sqrt(2)))
    close((pulses == 1).mean(), accept, math.sqrt(accept * (1 - accept) / N))
    assert np.abs(values - 80).max() <= 3
    assert pulses.max() < 10


def test_write_verify_cannot_see_below_the_fluctuation_of_its_reads() -> None:
    # An ideal pulse lands on target; a read f is accepted while |f| <= t. A rejected cell is
    # moved by -f, so its error is -f with |f| > t; after one pulse all errors are 0.
    values, pulses = physics.write_verify(np.full(N, 50.0), np.full(N, 2.0), rng(), 2.0, 2, 0.0)
    accept = math.erf(1 / math.sqrt(2))
    close((pulses == 1).mean(), accept, math.sqrt(accept * (1 - accept) / N))
    assert np.allclose(values[pulses == 1], 50)
    late = values[pulses == 2] - 50
    assert (np.abs(late) > 2).all()
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    expected = 4 * (1 + 2 * density / (1 - accept))  # variance of a normal's two tails
    close(late.var(), expected, 3 * expected / math.sqrt(len(late)))


def test_zero_weights_take_no_pulse() -> None:
    values, pulses = physics.write_verify(np.zeros(10), np.ones(10), rng(), 1.0, 9, 0.1)
    assert not values.any()
    assert not pulses.any()


def test_wear_doubles_the_variance_at_the_endurance() -> None:
    assert physics.wear(0, 1e5) == 1
    assert physics.wear(1e5, 1e5) ** 2 == pytest.approx(2)


def test_telegraph_noise_has_the_mean_and_variance_of_a_two_state_trap() -> None:
    mean, variance = physics.telegraph(np.full(N, 100.0), rng(), 0.3, 0.02)
    # E step = p a, E step^2 = 2 p a^2; filled half of the time.
    close(mean.mean(), 100 * (1 - 0.3 * 0.02 / 2), 2.0 / math.sqrt(N))
    close(variance.mean(), 100**2 * 2 * 0.3 * 0.02**2 / 4, 3.0 / math.sqrt(N))
    assert (variance == 0).mean() == pytest.approx(0.7, abs=0.01)


def test_retention_time_is_accelerated_by_arrhenius() -> None:
    assert physics.decades(9e5, 25, 1e5, 1.1) == pytest.approx(1)
    faster = math.exp(1.1 / physics.BOLTZMANN_EV * (1 / 298.15 - 1 / 358.15))
    assert physics.decades(9e5 / faster, 85, 1e5, 1.1) == pytest.approx(1)
    assert physics.decades(0, 85, 1e5, 1.1) == 0


def test_retention_loses_a_log_normal_share() -> None:
    kept = np.log(physics.retain(np.full(N, 60.0), rng(), 5, 1e-3, 0.5, 1.5, 25) / 60)
    thermal = 1.5 * physics.BOLTZMANN_EV * 298.15
    close(kept.mean(), -5e-3 / thermal, 2.5e-3 / thermal / math.sqrt(N))
    close(kept.std(), 2.5e-3 / thermal, 2.5e-3 / thermal / math.sqrt(2 * N))


def test_power_law_drift_starts_at_twenty_seconds() -> None:
    weights = np.full(N, 10.0)
    assert np.array_equal(physics.power_law_drift(weights, rng(), 5, 0.05, 0.01), weights)
    nu = -np.log(physics.power_law_drift(weights, rng(), 2000, 0.05, 0.01) / 10) / math.log(100)
    close(nu.mean(), 0.05, 0.01 / math.sqrt(N))
    close(nu.std(), 0.01, 0.01 / math.sqrt(2 * N))


def test_heat_follows_the_subthreshold_law() -> None:
    weights = np.array([-12.8, 0.0, 12.8, 128.0])
    hot = physics.heat(weights, 128, 85, 1.0, 0.0)
    share = 0.1 ** (298.15 / 358.15)  # a tenth of full scale at 25 C reads 0.147 at 85 C
    assert hot == pytest.approx([-128 * share, 0, 128 * share, 128])
    assert physics.heat(weights, 128, 85, 0.0, -0.0005) == pytest.approx(weights * 0.97)
    assert physics.heat(weights, 128, 25, 1.0, 0.1) == pytest.approx(weights)


def test_ir_drop_is_that_of_a_resistive_ladder() -> None:
    n, first, ohm, amp, volt = 7, 3, 2.0, 1e-3, 0.5
    weights = np.random.default_rng(3).uniform(0, 10, (n, 2))
    loss = physics.ir_loss(weights, first, ohm, amp, volt, 1.0)
    for column in range(2):
        current = np.concatenate([np.zeros(first), weights[:, column] * amp])
        # Kirchhoff: the wire above node r carries all currents from r on; node -1 is the converter.
        carried = current[::-1].cumsum()[::-1]
        drop = ohm * carried.cumsum()
        assert loss[:, column] == pytest.approx(drop[first:] / volt)
    assert physics.ir_loss(weights, first, 1e9, amp, volt, 0.05).max() == 0.05


def test_stuck_cells_come_as_often_as_they_should() -> None:
    weights = physics.stick(np.full(N, 5.0), rng(), 0.02, 0.01, 128)
    for value, p in ((0.0, 0.02), (128.0, 0.005), (-128.0, 0.005)):
        close((weights == value).mean(), p, math.sqrt(p / N))


def test_the_non_linearity_vanishes_at_the_ends_and_peaks_at_one() -> None:
    u = np.concatenate([np.linspace(-1, 1, 10_001), [3.0]])
    shape = np.empty_like(u)
    physics.bend(u, shape)
    assert shape[[0, 5000, 10_000]] == pytest.approx([0, 0, 0])
    assert np.abs(shape).max() == pytest.approx(1, abs=1e-6)
    assert shape[-1] == shape[-2]
