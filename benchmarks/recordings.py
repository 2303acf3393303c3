"""Features and scores of the recordings that accuracy is measured on.

The features are those that the third-party models were trained with; the waves and labels lie in
the shared folder, which is not part of norcim.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Real = npt.NDArray[np.float64]

KWS_SCALE, KWS_ZERO = np.float32(0.5847029089927673), 83
RATE_HZ = 16000


def frames(wave: Real, length: int, hop: int) -> Real:
    """Windows of a wave (n,), each `length` samples: (count, length), a view."""
    return np.lib.stride_tricks.sliding_window_view(wave, length)[::hop]


def _mel_matrix(n_mel: int, n_bins: int, lo_hz: float, hi_hz: float) -> Real:
    """Triangular filters on the HTK mel scale, (n_bins, n_mel); the bin at 0 Hz has none."""

    def mel(hz: npt.ArrayLike) -> Real:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))

    bins = mel(np.linspace(0, RATE_HZ / 2, n_bins)[1:])[:, None]
    edges = np.linspace(mel(lo_hz), mel(hi_hz), n_mel + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.pad(np.maximum(0, np.minimum(rising, falling)), [[1, 0], [0, 0]])


_KWS_MEL = _mel_matrix(40, 257, 20.0, 4000.0)
_KWS_DCT = 2 * np.cos(np.pi * np.outer(np.arange(10), 2 * np.arange(40) + 1) / 80) / np.sqrt(80)
_LFBE_MEL = _mel_matrix(40, 513, 0.0, 8000.0)


def kws_mfcc(clip: Array) -> npt.NDArray[np.float32]:
    """MLPerf Tiny keyword spotting: int16 (16000,) to (49, 10). The largest sample becomes 1."""
    wave = clip.astype(np.float64) / max(1, int(clip.max()))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    spectrum = np.abs(np.fft.rfft(frames(wave, 480, 320) * window, 512))
    mfcc = np.log(spectrum @ _KWS_MEL + 1e-6) @ _KWS_DCT.T
    return np.asarray(mfcc, np.float32)


def kws_codes(mfcc: Array) -> npt.NDArray[np.int8]:
    """Codes as the MLPerf Tiny data set makes them: towards zero."""
    return np.clip(np.trunc(mfcc / KWS_SCALE + KWS_ZERO), -128, 127).astype(np.int8)


def wake_features(wave: Array) -> npt.NDArray[np.float32]:
    """MLPerf Tiny streaming wake word: wave within +-1 to (count, 1, 40) within 0..1."""
    wave = wave.astype(np.float64)
    sharp = wave - (1 - 2**-5) * np.r_[0, wave[:-1]]
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(1024) / 1023)
    power = np.abs(np.fft.rfft(frames(sharp, 1024, 512) * window, 1024)) ** 2 / 1024
    level = 10 * np.log10(np.maximum(power @ _LFBE_MEL, 1e-30))
    return np.clip((level + 52) / 64, 0, 1).astype(np.float32)[:, None, :]


def machine_windows(recording: Array) -> npt.NDArray[np.float32]:
    """Five frames after each other: log-mel (200, 128) to (196, 640)."""
    view = np.lib.stride_tricks.sliding_window_view(recording, 5, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1).reshape(-1, 640), np.float32)


def resize(image: Array, height: int, width: int) -> Real:
    """Bilinear, half-pixel centres: (h, w) or (h, w, 3)."""
    for axis, size in ((0, height), (1, width)):
        old = image.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.minimum(at.astype(int), old - 2)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        below, above = np.take(image, low, axis), np.take(image, low + 1, axis)
        image = below * (1 - part) + above * part
    return np.asarray(image, np.float64)


def training_clips(folder: Path, n: int, without: Array) -> Array:
    """Clips of the keyword training pack, evenly over its classes, int16 (about n, 16000).

    without  clips of the test set: some lie in the training pack too, and are left out
    """
    import soundfile

    test = {clip.tobytes() for clip in without}
    found: list[Array] = []
    files = sorted(folder.glob("*.flac"))
    for path in files:
        pcm, _ = soundfile.read(path, dtype="int16")
        clips = [clip for clip in pcm.reshape(-1, RATE_HZ) if clip.tobytes() not in test]
        found += clips[:: max(1, len(clips) * len(files) // n)][: -(-n // len(files))]
    return np.stack(found)


def auc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative."""
    p, n = np.asarray(positive, np.float64)[:, None], np.asarray(negative, np.float64)[None, :]
    return float(((p > n) + 0.5 * (p == n)).mean())


def si_sdr_db(estimate: Real, clean: Real) -> float:
    """Scale-invariant signal-to-distortion ratio in dB."""
    estimate, clean = estimate - estimate.mean(), clean - clean.mean()
    target = (estimate @ clean) / (clean @ clean) * clean
    rest = estimate - target
    return float(10 * np.log10((target @ target) / (rest @ rest + 1e-12)))


def snr_db(values: Array, due: Array) -> float | None:
    """Power of what is due over that of the difference; None if they are the same."""
    due = np.asarray(due, np.float64)
    error = float(np.square(np.asarray(values, np.float64).reshape(due.shape) - due).sum())
    signal = float(np.square(due).sum())
    return round(10 * np.log10(signal / error), 1) if error > 0 and signal > 0 else None
