"""Constant tables of the front end.

They are computed in decimal arithmetic, not with the platform's libm: 40 digits, rounded
to 25 digits (which turns 0.4999...9 back into the exact half that it stands for), then to
an integer with halves away from zero. The result is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from norcim.audio.config import LogMelConfig
from norcim.errors import NorcimError

WINDOW_ONE = 32767
TWIDDLE_BITS = 30
MEL_BITS = 12
LOG_INDEX_BITS = 7
LOG_FRACTION_BITS = 16
MAX_BAND_BINS = 62
"""A power is below 2^46, a weight at most 2^12, a triangle's mean weight half of that (and at most
one bin more): 62 bins stay below 2^63."""

_CONTEXT = Context(prec=40, rounding=ROUND_HALF_EVEN)
_TWO_PI = Decimal("6.283185307179586476925286766559005768394338798750")
_DIGITS = Decimal(1).scaleb(-25)


@dataclass(frozen=True)
class LogMelTables:
    """All constants of one configuration; int32, read-only.

    window         (window,)            Hann, 0..32767
    twiddle_re/im  (n_fft / 2,)         exp(-2 pi i k / n_fft) in Q30
    bit_reverse    (n_fft / 2,)         order in which the complex FFT takes its input
    first_bin      ()                   FFT bin of the first entry of mel_rise
    mel_rise       (n_bins,)            weight in Q12 of a bin in the band it rises to
    mel_start      (n_mels + 1,)        index in mel_rise where each segment begins
    log2_fraction  (129,)               log2(1 + i / 128) in Q16
    """

    window: npt.NDArray[np.int32]
    twiddle_re: npt.NDArray[np.int32]
    twiddle_im: npt.NDArray[np.int32]
    bit_reverse: npt.NDArray[np.int32]
    first_bin: int
    mel_rise: npt.NDArray[np.int32]
    mel_start: npt.NDArray[np.int32]
    log2_fraction: npt.NDArray[np.int32]


@lru_cache(maxsize=8)
def build_tables(config: LogMelConfig) -> LogMelTables:
    """The tables of `config`.

    Raises NorcimError NC-E0803 when the bands are narrower than the FFT resolves, or so
    wide that a band energy could exceed 63 bits.
    """
    with localcontext(_CONTEXT):
        twiddle_re, twiddle_im = _twiddles(config.n_fft)
        first_bin, mel_rise, mel_start = _mel_segments(config)
        return LogMelTables(
            window=_freeze(_window(config.window)),
            twiddle_re=_freeze(twiddle_re),
            twiddle_im=_freeze(twiddle_im),
            bit_reverse=_freeze(_bit_reversed(config.n_fft // 2)),
            first_bin=first_bin,
            mel_rise=_freeze(mel_rise),
            mel_start=_freeze(mel_start),
            log2_fraction=_freeze(_log2_fractions()),
        )


def _window(n: int) -> list[int]:
    """Periodic Hann: 32767 * (1 - cos(2 pi i / n)) / 2."""
    return [_round((1 - _cos_turn(Decimal(i) / n)) * WINDOW_ONE / 2) for i in range(n)]


def _twiddles(n_fft: int) -> tuple[list[int], list[int]]:
    one = Decimal(1 << TWIDDLE_BITS)
    turns = [Decimal(k) / n_fft for k in range(n_fft // 2)]
    re = [_round(_cos_turn(turn) * one) for turn in turns]
    im = [_round(_cos_turn(turn + Decimal("0.25")) * one) for turn in turns]
    return re, im


def _bit_reversed(n: int) -> list[int]:
    bits = n.bit_length() - 1
    return [int(format(i, f"0{bits}b")[::-1], 2) for i in range(n)]


def _mel_segments(config: LogMelConfig) -> tuple[int, list[int], list[int]]:
    """Bins between each pair of neighbouring mel points, and how far each has risen."""
    points = _mel_points_hz(config)
    rise: list[int] = []
    start: list[int] = []
    first_bin = -1
    for lo, hi in pairwise(points):
        start.append(len(rise))
        for k in range(config.n_fft // 2 + 1):
            f = Decimal(k * config.sample_rate_hz) / config.n_fft
            if lo <= f < hi:
                first_bin = k if first_bin < 0 else first_bin
                rise.append(_round((f - lo) / (hi - lo) * (1 << MEL_BITS)))
        if start[-1] == len(rise):
            raise _bad_bands(config, f"no FFT bin between {lo:.0f} and {hi:.0f} Hz", "fewer")
    ends = [*start, len(rise)]
    for band in range(config.n_mels):
        n_bins = ends[band + 2] - ends[band]
        if n_bins > MAX_BAND_BINS:
            raise _bad_bands(config, f"band {band} spans {n_bins} bins", "more")
    return first_bin, rise, start


def _mel_points_hz(config: LogMelConfig) -> list[Decimal]:
    """n_mels + 2 points, evenly spaced in mel = 2595 log10(1 + f / 700)."""
    lo, hi = Decimal(700 + config.f_lo_hz), Decimal(700 + config.f_hi_hz)
    step = (hi / lo).ln() / (config.n_mels + 1)
    return [(lo * (step * m).exp() - 700).quantize(_DIGITS) for m in range(config.n_mels + 2)]


def _log2_fractions() -> list[int]:
    n = 1 << LOG_INDEX_BITS
    one = Decimal(1 << LOG_FRACTION_BITS)
    return [_round((Decimal(n + i) / n).ln() / Decimal(2).ln() * one) for i in range(n + 1)]


def _cos_turn(turn: Decimal) -> Decimal:
    """cos(2 pi turn) by its Taylor series; 0 <= turn < 1."""
    square = (_TWO_PI * turn) ** 2
    term, total, n = Decimal(1), Decimal(1), 0
    while abs(term) > Decimal("1e-38"):
        n += 2
        term *= -square / (n * (n - 1))
        total += term
    return total.quantize(_DIGITS)


def _round(value: Decimal) -> int:
    return int(value.quantize(_DIGITS).to_integral_value(ROUND_HALF_UP))


def _freeze(values: list[int]) -> npt.NDArray[np.int32]:
    table = np.array(values, np.int32)
    table.flags.writeable = False
    return table


def _bad_bands(config: LogMelConfig, got: str, direction: str) -> NorcimError:
    return NorcimError(
        "NC-E0803",
        "audio front end: the FFT does not fit the mel bands",
        where=f"n_mels {config.n_mels}, n_fft {config.n_fft}",
        expected=f"1 to {MAX_BAND_BINS} FFT bins a band, 1 or more between neighbouring mel points",
        got=got,
        fix=f"ask for {direction} bands, or change n_fft, f_lo_hz or f_hi_hz",
    )
