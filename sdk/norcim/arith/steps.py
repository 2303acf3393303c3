"""Firmware steps beside softmax: what the CPU computes between two program segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

STATE_LO, STATE_HI = -(1 << 15), 127 * 256 + 127
"""What 256 * high + low can be, both bytes int8, so that the high byte is the rounded state."""


def arg_max(codes: npt.ArrayLike) -> Ints:
    """Index of the first largest code over the last axis, which stays with size 1."""
    return np.asarray(np.asarray(codes, np.int64).argmax(axis=-1)[..., None])


def update(
    gates: npt.ArrayLike,
    new: npt.ArrayLike,
    state: npt.ArrayLike,
    zero_points: tuple[int, int],
    multipliers: tuple[int, int],
    shift: int,
) -> Ints:
    """A 16-bit state through two gates: take * new + keep * old, rounded once, saturated.

    gates        codes (..., 2, C): take, then keep, both of zero point zero_points[0]
    new          codes (..., C) of zero point zero_points[1]
    state        bytes (..., 2, C): high, then low, both int8
    multipliers  of what is taken, of what is kept; 0..65535. The sum stays within 42 bits.
    Returns the new state, (..., 2, C).
    """
    gate = np.asarray(gates, np.int64) - zero_points[0]
    old = join_state(state)
    taken = gate[..., 0, :] * (np.asarray(new, np.int64) - zero_points[1]) * multipliers[0]
    total = taken + gate[..., 1, :] * old * multipliers[1]
    return split_state((total + (1 << (shift - 1))) >> shift)


def join_state(state: npt.ArrayLike) -> Ints:
    """256 * high + low of bytes (..., 2, C)."""
    rows = np.asarray(state, np.int64)
    return np.asarray(256 * rows[..., 0, :] + rows[..., 1, :])


def split_state(value: npt.ArrayLike) -> Ints:
    """High and low bytes (..., 2, C) of values (..., C), saturated; high is the nearest byte."""
    bounded = np.clip(np.asarray(value, np.int64), STATE_LO, STATE_HI)
    high = (bounded + 128) >> 8
    return np.stack([high, bounded - 256 * high], axis=-2)
