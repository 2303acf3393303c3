"""Vector operations on activation codes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from norcim.arith.digital import requantise

Ints = npt.NDArray[np.int64]


def _round_shift(value: Ints, shift: int) -> Ints:
    return np.asarray((value + (1 << (shift - 1))) >> shift)


def add(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    zero_points: tuple[int, int],
    multipliers: tuple[int, int],
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Ints:
    """Elementwise sum: (a - zp_a) * m_a + (b - zp_b) * m_b, rounded once by `shift`, zp, clamp.

    Codes within -128..255, multipliers 0..65535: the sum stays within 40 bits.
    """
    left = (np.asarray(a, np.int64) - zero_points[0]) * multipliers[0]
    right = (np.asarray(b, np.int64) - zero_points[1]) * multipliers[1]
    return np.clip(_round_shift(left + right, shift) + zero_point, lo, hi)


def multiply(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    zero_points: tuple[int, int],
    multiplier: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Ints:
    """Elementwise product: (a - zp_a) * (b - zp_b) * m, rounded once by `shift`, zp, clamp."""
    product = (np.asarray(a, np.int64) - zero_points[0]) * (
        np.asarray(b, np.int64) - zero_points[1]
    )
    return np.clip(_round_shift(product * multiplier, shift) + zero_point, lo, hi)


def max_pool(windows: npt.ArrayLike, inside: npt.ArrayLike) -> Ints:
    """Largest code of each window.

    windows  codes, (..., n_positions); inside  bool of the same shape: False where the position
    lies outside the input and never wins. A window wholly outside gives -32768 before any clamp.
    """
    codes = np.asarray(windows, np.int64)
    return np.asarray(np.where(np.asarray(inside, bool), codes, -32768).max(axis=-1))


def average_pool(
    windows: npt.ArrayLike,
    in_zero_point: int,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: int,
    lo: int,
    hi: int,
) -> Ints:
    """Exact 32-bit sum of (code - zp) over the last axis, requantised once.

    windows     codes, (..., n_positions); positions outside the input hold the zero point
    multiplier  reciprocal of the count and rescale in one, per window
    """
    total = (np.asarray(windows, np.int64) - in_zero_point).sum(axis=-1)
    return requantise(total, multiplier, shift, zero_point, lo, hi)


def lookup(codes: npt.ArrayLike, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Output bytes of a 256-entry table; the index is the code as an unsigned byte."""
    return np.asarray(table[np.asarray(codes, np.int64) & 0xFF])


def softmax_table(scale: float) -> Ints:
    """256 entries e[d] = floor(65535 * exp(-scale * d) + 1/2) for d = max - code."""
    return np.array([math.floor(65535 * math.exp(-scale * d) + 0.5) for d in range(256)], np.int64)


def softmax(codes: npt.ArrayLike, table: npt.ArrayLike, zero_point: int, hi: int) -> Ints:
    """Softmax over the last axis in integers, output scale 1/256.

    e = table[max - code]; y = min((256 * e + sum / 2) / sum + zp, hi), both divisions floored.
    Sums stay under 2^32 for up to 65,536 channels.
    """
    values = np.asarray(codes, np.int64)
    e = np.asarray(table, np.int64)[values.max(axis=-1, keepdims=True) - values]
    total = e.sum(axis=-1, keepdims=True)
    return np.asarray(np.minimum((256 * e + total // 2) // total + zero_point, hi))
