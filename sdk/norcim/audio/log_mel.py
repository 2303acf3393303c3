"""Log-mel features of whole clips and of streams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from norcim.audio.config import LogMelConfig
from norcim.audio.fft import transform_real
from norcim.audio.tables import (
    LOG_FRACTION_BITS,
    LOG_INDEX_BITS,
    MEL_BITS,
    LogMelTables,
    build_tables,
)
from norcim.errors import NorcimError

Int64 = npt.NDArray[np.int64]

WINDOW_SHIFT = 9
"""x * window is 31 bits; 22 are kept, of which 6 are below one LSB of the audio."""
POWER_SHIFT = 12
"""Drops those 6 bits again, squared."""
INTERPOLATION_BITS = 8
FRAMES_PER_BLOCK = 256
"""Bounds the working memory to a few MB whatever the batch."""


def log_mel(
    pcm: npt.NDArray[np.int16], config: LogMelConfig | None = None
) -> npt.NDArray[np.uint8]:
    """Feature codes of whole clips.

    pcm      int16, (..., n_samples)
    config   LogMelConfig() when left out
    Returns uint8, (..., n_frames, n_mels), n_frames = config.n_frames(n_samples); samples
    after the last whole frame are not used.
    Raises NorcimError NC-E0804 if pcm is not int16 or has no axis.
    """
    config = config or LogMelConfig()
    pcm = _check_pcm(pcm)
    n_frames = config.n_frames(pcm.shape[-1])
    if n_frames == 0 or pcm.size == 0:
        return np.zeros((*pcm.shape[:-1], n_frames, config.n_mels), np.uint8)
    tables = build_tables(config)
    starts = np.arange(n_frames) * config.hop
    frames = np.lib.stride_tricks.sliding_window_view(pcm, config.window, axis=-1)
    flat = frames[..., starts, :].reshape(-1, config.window)
    codes = np.empty((len(flat), config.n_mels), np.uint8)
    for first in range(0, len(flat), FRAMES_PER_BLOCK):
        block = slice(first, first + FRAMES_PER_BLOCK)
        codes[block] = _code_frames(flat[block], config, tables)
    return codes.reshape(*pcm.shape[:-1], n_frames, config.n_mels)


class LogMelStream:
    """The same features as `log_mel`, from audio that arrives in chunks of any length."""

    def __init__(self, config: LogMelConfig | None = None) -> None:
        self.config = config or LogMelConfig()
        self._pending = np.zeros(0, np.int16)

    def push(self, chunk: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        """Take samples, int16 (n,); return the frames they complete, uint8 (k, n_mels).

        Raises NorcimError NC-E0804 if chunk is not int16 or not one-dimensional.
        """
        chunk = _check_pcm(chunk)
        if chunk.ndim != 1:
            raise _bad_pcm("one channel, shape (n_samples,)", f"shape {chunk.shape}")
        self._pending = np.concatenate([self._pending, chunk])
        codes = log_mel(self._pending, self.config)
        self._pending = self._pending[len(codes) * self.config.hop :].copy()
        return codes

    def reset(self) -> None:
        """Forget the samples of an unfinished frame."""
        self._pending = np.zeros(0, np.int16)


def _code_frames(
    frames: npt.NDArray[np.int16], config: LogMelConfig, tables: LogMelTables
) -> npt.NDArray[np.uint8]:
    samples = _apply_window(frames, config, tables)
    re, im = transform_real(samples, tables)
    power = (re * re + im * im) >> POWER_SHIFT
    return _encode(_log2(_sum_bands(power, tables), tables), config)


def _apply_window(
    frames: npt.NDArray[np.int16], config: LogMelConfig, tables: LogMelTables
) -> Int64:
    samples = np.zeros((len(frames), config.n_fft), np.int64)
    product = frames.astype(np.int64) * tables.window
    samples[:, : config.window] = (product + (1 << (WINDOW_SHIFT - 1))) >> WINDOW_SHIFT
    return samples


def _sum_bands(power: Int64, tables: LogMelTables) -> Int64:
    """Triangular filters: a bin gives `rise` to one band and the rest to the one below."""
    used = power[:, tables.first_bin : tables.first_bin + len(tables.mel_rise)]
    rising = np.add.reduceat(used * tables.mel_rise, tables.mel_start, axis=-1)
    whole = np.add.reduceat(used, tables.mel_start, axis=-1) << MEL_BITS
    energy: Int64 = rising[:, :-1] + (whole - rising)[:, 1:]
    return energy


def _log2(energy: Int64, tables: LogMelTables) -> Int64:
    """log2 in Q16 of values below 2^63; 0 counts as 1."""
    energy = np.maximum(energy, 1)
    exponent = np.zeros_like(energy)
    for step in (32, 16, 8, 4, 2, 1):
        exponent += np.where(energy >> (exponent + step) > 0, step, 0)
    mantissa = (energy << (62 - exponent)) - (1 << 62)
    index = mantissa >> (62 - LOG_INDEX_BITS)
    rest_shift = 62 - LOG_INDEX_BITS - INTERPOLATION_BITS
    rest = (mantissa >> rest_shift) & ((1 << INTERPOLATION_BITS) - 1)
    table = tables.log2_fraction
    step_up = (table[index + 1] - table[index]) * rest
    fraction = table[index] + ((step_up + (1 << (INTERPOLATION_BITS - 1))) >> INTERPOLATION_BITS)
    log2_energy: Int64 = (exponent << LOG_FRACTION_BITS) + fraction
    return log2_energy


def _encode(log2_energy: Int64, config: LogMelConfig) -> npt.NDArray[np.uint8]:
    above = log2_energy - (config.log2_floor << LOG_FRACTION_BITS)
    half = 1 << (LOG_FRACTION_BITS - 1)
    codes = (above * config.codes_per_doubling + half) >> LOG_FRACTION_BITS
    clamped: npt.NDArray[np.uint8] = np.clip(codes, 0, 255).astype(np.uint8)
    return clamped


def _check_pcm(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16:
        raise _bad_pcm("a numpy array of int16", str(getattr(pcm, "dtype", type(pcm).__name__)))
    if pcm.ndim == 0:
        raise _bad_pcm("shape (..., n_samples)", "a scalar")
    return pcm


def _bad_pcm(expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0804",
        "audio front end: not 16-bit audio",
        expected=expected,
        got=got,
        fix="scale float audio by 32767, round, and convert with .astype(numpy.int16)",
    )
