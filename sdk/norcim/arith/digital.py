"""The digital stage after the converter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def requantise(
    s: npt.ArrayLike,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: int,
    lo: int,
    hi: int,
) -> Ints:
    """y = clamp(((s * m + (1 << (k - 1))) >> k) + zp, lo, hi): one rounding, exact halves go up.

    s           32-bit sums of codes plus digital bias
    multiplier  m, 2^15..2^16 - 1, broadcast over the last axis
    shift       k, 1..47, broadcast over the last axis
    zero_point  added after the shift
    lo, hi      clamp, last; carries a fused ReLU
    Returns int64 codes.
    """
    product = np.asarray(s, np.int64) * np.asarray(multiplier, np.int64)
    k = np.asarray(shift, np.int64)
    half = np.left_shift(np.int64(1), k - 1)
    return np.asarray(np.clip(((product + half) >> k) + zero_point, lo, hi))


def shift_codes(s: npt.ArrayLike, shift: int, zero_point: int, lo: int, hi: int) -> Ints:
    """The `shift` stage, shift 0..30: y = clamp(((s + half) >> shift) + zp, lo, hi)."""
    half = (1 << shift) >> 1
    total = np.asarray(s, np.int64) + half
    return np.asarray(np.clip((total >> shift) + zero_point, lo, hi))
