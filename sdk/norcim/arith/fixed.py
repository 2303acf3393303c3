"""Real scales as 16-bit multipliers and shifts."""

from __future__ import annotations

import math

from norcim.errors import NorcimError

SHIFT_MAX = 47


def encode_multiplier(scale: float) -> tuple[int, int]:
    """The multiplier m (2^15..2^16 - 1) and shift k (1..47) with m / 2^k nearest to `scale`.

    Scales under 2^-32 are encoded as (2^15, 47), which rounds every 32-bit sum to 0 or -1/+1 LSB.
    Raises NC-E0401 if scale is not finite and positive or is at least 2^15.
    """
    if not (math.isfinite(scale) and 0 < scale < 32768):
        raise NorcimError(
            "NC-E0401",
            "a rescale factor is outside what the requantiser can hold",
            expected="0 < factor < 32768",
            got=repr(scale),
            why="the multiplier has 16 bits and the shift is 1..47",
            fix="check the scales of the quantised model: one of them is absurd",
        )
    fraction, exponent = math.frexp(scale)  # scale = fraction * 2^exponent, 0.5 <= fraction < 1
    m = math.floor(fraction * 65536 + 0.5)
    k = 16 - exponent
    if m == 65536:
        m, k = 32768, k - 1
    if k > SHIFT_MAX:
        return 32768, SHIFT_MAX
    if k < 1:  # scale rounds up to 2^15
        return 65535, 1
    return m, k


def encode_shared_shift(scales: tuple[float, ...]) -> tuple[tuple[int, ...], int]:
    """Multipliers (0..65535) over one common shift k (1..47) for the operands of an add.

    The largest scale gets a full 16-bit multiplier. Raises NC-E0401 as `encode_multiplier`.
    """
    _, k = encode_multiplier(max(scales))
    return tuple(min(65535, math.floor(scale * 2.0**k + 0.5)) for scale in scales), k
