"""Converter (ADC) rules: column sums to codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from norcim.errors import NorcimError
from norcim.spec.program import Rule

Ints = npt.NDArray[np.int64]


def _code_bounds(rule: int, bits: int) -> tuple[int, int]:
    if rule == Rule.WTM2101:
        return -128, 127
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _unclamped(acc: npt.ArrayLike, rule: int, gain: int) -> Ints:
    sums = np.asarray(acc, np.int64)
    if rule == Rule.LOSSLESS:
        return sums
    if rule == Rule.WTM2101:
        magnitude = (4 * np.abs(sums)) >> gain
        towards_zero = np.where(sums < 0, -magnitude, magnitude)
        return np.asarray((towards_zero + 2) >> 2)
    if rule == Rule.LINEAR:
        half = (1 << gain) >> 1
        return np.asarray((sums + half) >> gain)
    raise NorcimError(
        "NC-E0901", "unknown converter rule", expected="0, 1 or 2", got=str(rule),
        fix="compile the model again with this version of norcim",
    )  # fmt: skip


def convert(acc: npt.ArrayLike, rule: int, gain: int = 0, bits: int = 8) -> Ints:
    """Digitise column sums.

    acc    integers, any shape, in LSB of input x weight
    rule   norcim.spec.program.Rule
    gain   log2 of the divisor, 0..30; LOSSLESS ignores it
    bits   width of the LINEAR converter, 2..16
    Returns int64 codes of the same shape. Saturation is not an error (see `count_saturated`).
    Source: arithmetic.md, converter rules. The WTM2101 rule rounds twice on purpose: truncation
    towards zero of 4 * acc / G, then half up.
    """
    codes = _unclamped(acc, rule, gain)
    if rule == Rule.LOSSLESS:
        return codes
    lo, hi = _code_bounds(rule, bits)
    return np.clip(codes, lo, hi)


def count_saturated(acc: npt.ArrayLike, rule: int, gain: int = 0, bits: int = 8) -> int:
    """How many conversions clip, same arguments as `convert`. 0 for LOSSLESS."""
    if rule == Rule.LOSSLESS:
        return 0
    lo, hi = _code_bounds(rule, bits)
    codes = _unclamped(acc, rule, gain)
    return int(np.count_nonzero((codes < lo) | (codes > hi)))


def align_codes(codes: npt.ArrayLike, align: int) -> Ints:
    """Shift a tile's codes left so that tiles of different gain can be summed."""
    return np.asarray(codes, np.int64) << align
