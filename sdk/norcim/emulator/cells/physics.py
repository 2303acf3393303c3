"""Non-idealities of cells and converters, each a plain function with its units and its source.

Weights are in weight codes (one step of the weight that a cell pair holds), converter errors in
steps of its code (LSB), temperatures in degrees Celsius. docs/cells.md names the sources.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BOLTZMANN_EV = 8.617333262e-5
KELVIN = 273.15
REFERENCE_C = 25.0
POWER_LAW_T0_S = 20.0


def state_sigma(weights: Reals, slope: float, floor: float, zero_is_off: bool) -> Reals:
    """Sigma of an error that grows with the state, codes: slope * |w| + floor.

    zero_is_off  a zero weight's cells carry no current and have no error (SONOS and split-gate
                 data: sigma vanishes at low states)
    """
    sigma = slope * np.abs(weights) + floor
    return np.where(weights == 0, 0.0, sigma) if zero_is_off else sigma


def program(weights: Reals, sigma: Reals, rng: np.random.Generator) -> Reals:
    """Weights after programming with a normal error of `sigma`, both in codes."""
    return np.asarray(weights + sigma * rng.standard_normal(weights.shape))


def write_verify(
    weights: Reals, sigma: Reals, rng: np.random.Generator, tolerance: float, n_pulses: int,
    pulse_sigma: float,
) -> tuple[Reals, npt.NDArray[np.int64]]:  # fmt: skip
    """Weights after a write-verify loop, and how many pulses each took.

    A pulse moves the cell by what the last read says is missing, with a relative error of
    `pulse_sigma`; a read sees the cell with its fluctuation `sigma` (codes). The loop ends once a
    read lies within `tolerance` of the target, or after `n_pulses`. Cells start erased (0).
    """
    values = np.zeros(weights.shape)
    reads = values.copy()
    pulses = np.zeros(weights.shape, np.int64)
    todo = weights != 0
    for _ in range(n_pulses):
        error = 1 + pulse_sigma * rng.standard_normal(weights.shape)
        values = np.where(todo, values + (weights - reads) * error, values)
        reads = np.where(todo, values + sigma * rng.standard_normal(weights.shape), reads)
        pulses += todo
        todo &= np.abs(reads - weights) > tolerance
    return values, pulses


def wear(n_cycles: float, endurance_cycles: float) -> float:
    """How much larger programming errors are after `n_cycles`: sqrt(1 + n / endurance).

    ASSUMED form: the variance of the error grows in proportion to the cycles.
    """
    return math.sqrt(1 + n_cycles / endurance_cycles)


def telegraph(
    weights: Reals, rng: np.random.Generator, probability: float, amplitude: float
) -> tuple[Reals, Reals]:
    """Random telegraph noise of traps that are filled half of the time.

    A share `probability` of the cells has a trap whose relative step is exponential with mean
    `amplitude` (exponential tails of the threshold steps: IEEE 7021491). Steps are faster than
    the time between two inferences and slower than a conversion.
    Returns the mean weights (codes) and the variance of a conversion's weights (codes^2).
    """
    trapped = rng.random(weights.shape) < probability
    step = np.minimum(np.where(trapped, rng.exponential(amplitude, weights.shape), 0.0), 1.0)
    return weights * (1 - step / 2), np.square(weights * step) / 4


def decades(age_s: float, temperature_c: float, tau_s: float, activation_ev: float) -> float:
    """log10(1 + t / tau(T)), with tau(T) = tau exp(Ea / k (1 / T - 1 / 298 K))."""
    kelvin = temperature_c + KELVIN
    slower = activation_ev / BOLTZMANN_EV * (1 / kelvin - 1 / (REFERENCE_C + KELVIN))
    return math.log10(1 + age_s / (tau_s * math.exp(slower)))


def retain(
    weights: Reals, rng: np.random.Generator, n_decades: float, v_per_decade: float,
    spread: float, swing: float, temperature_c: float,
) -> Reals:  # fmt: skip
    """Weights after `n_decades` of retention loss of a floating gate.

    Every cell's threshold moves by -A n_decades, A normal with mean `v_per_decade` (V) and
    relative sigma `spread`; a subthreshold current follows as exp(dV / (n kT/q)).
    """
    shift = v_per_decade * n_decades * (1 + spread * rng.standard_normal(weights.shape))
    thermal_v = BOLTZMANN_EV * (temperature_c + KELVIN)
    return np.asarray(weights * np.exp(-shift / (swing * thermal_v)))


def power_law_drift(
    weights: Reals, rng: np.random.Generator, age_s: float, nu: float, nu_spread: float
) -> Reals:
    """Weights after the structural relaxation of PCM or RRAM: w (t / 20 s)^-nu.

    nu is normal over the cells, never negative (aihwkit's PCM model). No drift before 20 s.
    """
    exponent = np.maximum(nu + nu_spread * rng.standard_normal(weights.shape), 0.0)
    return np.asarray(weights * max(age_s / POWER_LAW_T0_S, 1.0) ** -exponent)


def heat(
    weights: Reals, full_scale: float, temperature_c: float, slope: float, gain_per_k: float
) -> Reals:
    """Weights at a temperature, codes.

    A pair that is coupled through its gate follows w^(T0 / T) of full scale; `slope` is the share
    of that which the chip does not compensate, `gain_per_k` the common gain that it does not.
    """
    ratio = (REFERENCE_C + KELVIN) / (temperature_c + KELVIN)
    exponent = 1 + slope * (ratio - 1)
    size = np.abs(weights) / full_scale
    bent = np.sign(weights) * full_scale * size**exponent
    return np.asarray(bent * (1 + gain_per_k * (temperature_c - REFERENCE_C)))


def ir_loss(
    weights: Reals, first_row: int, ohm: float, current_per_code_a: float, volt: float, limit: float
) -> Reals:
    """Relative loss of every cell's current by the drop on its bitline, 0..limit.

    weights  |w| (n_rows, n_cols) at mean drive, the converter below row 0
    The drop at row r is ohm * sum over k of I_k * min(r, k): first order, currents not corrected
    for their own drop, so it is an upper bound; a cell loses at most in proportion to `volt`.
    """
    current = np.abs(weights) * current_per_code_a
    distance = first_row + 1.0 + np.arange(len(weights))[:, None]
    near = np.cumsum(current * distance, axis=0)
    beyond = current.sum(axis=0) - np.cumsum(current, axis=0)
    return np.asarray(np.clip(ohm * (near + distance * beyond) / volt, 0.0, limit))


def stick(
    weights: Reals, rng: np.random.Generator, p_off: float, p_on: float, full_scale: float
) -> Reals:
    """Weights with missing cells (0) and cells stuck at full current, of either sign."""
    draw = rng.random(weights.shape)
    sign = np.where(rng.random(weights.shape) < 0.5, -1.0, 1.0)
    stuck = np.where(draw < p_off + p_on, sign * full_scale, weights)
    return np.where(draw < p_off, 0.0, stuck)


def bend(codes: npt.NDArray[np.floating], out: npt.NDArray[np.floating]) -> None:
    """Shape of the integral non-linearity: cubic, 0 at mid-scale and both ends, peak 1.

    codes  real codes as a share of full scale, -1..1; beyond, the last value holds: clipped in
           place
    out    the shape, as codes
    """
    codes.clip(-1, 1, out=codes)
    np.multiply(codes, codes, out=out)
    np.subtract(out, 1, out=out)
    np.multiply(out, codes, out=out)
    np.multiply(out, 2.598076, out=out)
