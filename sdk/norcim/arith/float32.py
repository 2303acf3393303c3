"""Requantisation in float32 that is proven equal to the golden integers, column by column.

The law is f(acc) = clamp((((acc + bias) * m + 2^(k-1)) >> k) + zp, lo, hi), see
`norcim.arith.requantise`. The fast form is g(acc) = clamp(rint((acc + b) * scale) + zp, lo, hi),
every operation in float32, with b near the bias and scale near m / 2^k.

Both are non-decreasing in acc: rounding to nearest is monotone, so are rint and clamp. Two
non-decreasing integer functions are equal on a range if and only if they step at the same places.
f steps to y at a_y = ceil((((y - zp) << k) - 2^(k-1)) / m) - bias, so g = f on [-bound, bound] as
soon as g(a_y) >= y and g(a_y - 1) < y for every y in lo + 1 .. hi: at most 255 checks a column,
whatever the range. Where the plain constants fail (a product that rounds to an exact half), their
neighbours are tried; a single sum that still comes out wrong is patched by value; anything else
takes the float64 path, in which (acc + bias) * m is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

EXACT_LIMIT = 1 << 24
"""Every integer of smaller or equal magnitude is a float32."""

_SCALE_STEPS = (0, 1, -1, 2, -2, 3, -3)
_BIAS_STEPS = (0.0, 2.0**-9, -(2.0**-9), 2.0**-8, -(2.0**-8), 2.0**-10, -(2.0**-10))
_CANDIDATES = sorted(
    ((ulps, offset) for ulps in _SCALE_STEPS for offset in _BIAS_STEPS),
    key=lambda c: abs(c[0]) + abs(c[1]) * 512,
)
"""Neighbours of (scale, bias), in float32 steps and in sums, nearest first."""


@dataclass(frozen=True)
class Patch:
    """In column `column` the sum `acc` gives `code` (a case that the fast form gets wrong)."""

    column: int
    acc: float
    code: float


@dataclass(frozen=True)
class Rescale:
    """A proven fast form for one digital stage.

    bias   float32 (n,), added to the sums first
    scale  float32 (n,)
    """

    bias: Floats
    scale: Floats
    zero_point: int
    lo: int
    hi: int
    patches: tuple[Patch, ...]


@dataclass(frozen=True)
class _Law:
    """Where f steps: `at` (n, hi - lo) sums before the bias, to code `y`; sums within `bound`."""

    at: Ints
    y: Ints
    bound: Ints
    zero_point: int
    step: int


def _steps(
    bias: Ints, m: Ints, k: Ints, zero_point: int, lo: int, hi: int, bound: Ints, step: int
) -> _Law:
    y = np.arange(lo + 1, hi + 1, dtype=np.int64)
    half = np.left_shift(np.int64(1), k - 1)[:, None]
    numerator = np.left_shift(y[None, :] - zero_point, k[:, None]) - half
    at = -(-numerator // m[:, None]) - bias[:, None]
    return _Law(-(-at // step) * step, y, bound[:, None], zero_point, step)


def _wrong(law: _Law, at: Ints, bias: Floats, scale: Floats) -> tuple[Mask, Mask]:
    """Where g is late (g(at) < y) and where it is early (g(at - 1) >= y), within the bound."""

    def fast(acc: Ints) -> Ints:
        inside = np.clip(acc, -law.bound, law.bound).astype(np.float32)
        product = (inside + bias[:, None]) * scale[:, None]
        return np.asarray(np.rint(product).astype(np.int64) + law.zero_point)

    before = at - law.step
    late = (fast(at) < law.y) & (at <= law.bound)
    early = (fast(before) >= law.y) & (before >= -law.bound)
    return late, early


def prove_rescale(
    bias: Ints, m: Ints, k: Ints, zero_point: int, lo: int, hi: int, acc_bound: Ints,
    step: int = 1,
) -> Rescale | None:  # fmt: skip
    """The proven fast form, or None if some column has none.

    bias, m, k  int64 (n,), the column records
    acc_bound   int64 (n,), largest magnitude of the sum before the bias
    step        the sums are multiples of it (a power of two: codes that were shifted left)
    """
    if int((acc_bound + np.abs(bias)).max(initial=0)) > EXACT_LIMIT:
        return None
    law = _steps(bias, m, k, zero_point, lo, hi, acc_bound, step)
    exact_scale = np.ldexp(m.astype(np.float32), -k.astype(np.int32))
    exact_bias = bias.astype(np.float32)
    chosen_scale, chosen_bias = exact_scale.copy(), exact_bias.copy()
    todo = np.ones(len(m), bool)
    for ulps, offset in _CANDIDATES:
        scale = (exact_scale.view(np.int32) + np.int32(ulps)).view(np.float32)
        trial = exact_bias + np.float32(offset)
        late, early = _wrong(law, law.at, trial, scale)
        proven = todo & ~(late | early).any(axis=1)
        chosen_scale[proven], chosen_bias[proven] = scale[proven], trial[proven]
        todo &= ~proven
        if not todo.any():
            break
    patches = _patch(law, exact_bias, exact_scale, todo)
    if patches is None:
        return None
    return Rescale(chosen_bias, chosen_scale, zero_point, lo, hi, patches)


def _patch(law: _Law, bias: Floats, scale: Floats, todo: Mask) -> tuple[Patch, ...] | None:
    """The sums that the plain constants get wrong in columns `todo`; None if they are not single.

    A late step is patched at a_y if g is right at the next sum, an early one at the sum before if
    g is right at the one before that. Steps closer than 4 sums could disturb each other and are
    not patched.
    """
    if not todo.any():
        return ()
    late, early = _wrong(law, law.at, bias, scale)
    too_late, _ = _wrong(law, law.at + law.step, bias, scale)
    _, too_early = _wrong(law, law.at - law.step, bias, scale)
    dense = (np.diff(law.at, axis=1) < 4 * law.step).any(axis=1)
    if (((too_late | too_early).any(axis=1) | dense) & todo).any():
        return None
    found = []
    for column, index in np.argwhere(late & todo[:, None]):
        found.append(Patch(int(column), float(law.at[column, index]), float(law.y[index])))
    for column, index in np.argwhere(early & todo[:, None]):
        found.append(
            Patch(int(column), float(law.at[column, index] - law.step), float(law.y[index] - 1))
        )
    return tuple(found)


def friendly_multipliers(
    bias: Ints, m: Ints, k: Ints, zero_point: int, lo: int, hi: int, acc_bound: Ints,
    step: int = 1,
) -> Ints:  # fmt: skip
    """Multipliers (n,) at most 2 from `m`, chosen so that the float32 form needs no patch.

    Arguments as `prove_rescale`. A product that rounds to an exact half needs a patch; one
    multiplier in a dozen has one, its neighbours hardly ever. The law and its results hold for
    every multiplier, so this only makes emulation faster; a move of 1 is a scale error of 2^-16.
    """
    chosen = m.copy()
    todo = np.arange(len(m))
    for move in (0, 1, -1, 2, -2):
        trial = np.clip(m[todo] + move, 1 << 15, (1 << 16) - 1)
        rescale = prove_rescale(
            bias[todo], trial, k[todo], zero_point, lo, hi, acc_bound[todo], step
        )
        if rescale is None:
            break
        patched = sorted({patch.column for patch in rescale.patches})
        proven = np.setdiff1d(np.arange(len(todo)), patched)
        chosen[todo[proven]] = trial[proven]
        todo = todo[patched]
        if not len(todo):
            break
    return chosen
