"""Variations of a clip that leave its word as it is, then features by the integer front end."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from recordings import CLIP_SAMPLES, LABELS, Clips
from synthesise import make_noise

from norcim.audio import LogMelConfig, log_mel

SILENCE = LABELS.index("_silence_")
N_FFT = 32768


def vary_clip(
    pcm: np.ndarray, label: int, background: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Speed, position, room, microphone, level and noise drawn at random; int16 in and out.

    A quarter of the clips change in position and level only.
    background   int16 recordings of noise, (n,), n may be 0: then all noise is made
    """
    x = _shift(pcm.astype(np.float64), int(rng.integers(-1600, 1601)))
    if rng.random() < 0.25:
        x *= 10 ** (rng.uniform(-8, 4) / 20)
        return np.clip(np.round(x), -32768, 32767).astype(np.int16)
    x = _colour(_change_speed(x, rng.uniform(0.85, 1.15)), rng)
    x *= 10 ** (rng.uniform(-14, 8) / 20)
    if rng.random() < 0.75:
        power = x.std() if label != SILENCE else 10 ** rng.uniform(0.5, 3.3)
        snr_db = rng.uniform(0, 35)
        x += (power + 1) * 10 ** (-snr_db / 20) * _draw_noise(background, rng)
    return np.clip(np.round(x), -32768, 32767).astype(np.int16)


def make_silence(n: int, seed: int) -> Clips:
    """Clips of noise alone, from inaudible to loud."""
    rng = np.random.default_rng(seed)
    levels = 10 ** rng.uniform(0, 3.6, n)
    pcm = [np.clip(a * make_noise(CLIP_SAMPLES, rng), -32768, 32767) for a in levels]
    return Clips(np.round(pcm).astype(np.int16), np.full(n, SILENCE), np.full(n, "noise", "U64"))


@dataclass(frozen=True)
class FeatureJob:
    """What every worker needs to vary clips; handed over once."""

    clips: Clips
    background: np.ndarray
    config: LogMelConfig
    seed: int

    def run(self, which: np.ndarray, part: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, part])
        clips = self.clips.take(which)
        pairs = zip(clips.pcm, clips.label, strict=True)
        varied = np.stack([vary_clip(pcm, label, self.background, rng) for pcm, label in pairs])
        return log_mel(varied, self.config)


def compute_features(job: FeatureJob, copies: int, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes uint8 (n * copies, n_frames, n_mels) and labels of `copies` variations a clip."""
    which = np.tile(np.arange(len(job.clips)), copies)
    parts = np.array_split(which, len(which) // 500 + 1)
    with ProcessPoolExecutor(workers, initializer=_take_job, initargs=(job,)) as pool:
        codes = list(pool.map(_run_job, parts, range(len(parts))))
    return np.concatenate(codes), job.clips.label[which]


def _take_job(job: FeatureJob) -> None:
    global _job
    _job = job


def _run_job(which: np.ndarray, part: int) -> np.ndarray:
    return _job.run(which, part)


def _change_speed(x: np.ndarray, speed: float) -> np.ndarray:
    centre = (len(x) - 1) / 2
    positions = (np.arange(len(x)) - centre) * speed + centre
    return np.interp(positions, np.arange(len(x)), x, left=0.0, right=0.0)


def _shift(x: np.ndarray, by: int) -> np.ndarray:
    padded = np.pad(x, abs(by))
    return padded[abs(by) - by :][: len(x)]


def _colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random frequency response, and in a third of cases a small reverberant room."""
    knots = np.linspace(0, 1, 7)
    gain_db = np.interp(np.linspace(0, 1, N_FFT // 2 + 1) ** 0.5, knots, rng.normal(0, 3, 7))
    response = 10 ** (gain_db / 20)
    if rng.random() < 0.33:
        n = int(rng.integers(800, 6400))
        room = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
        room *= rng.uniform(0.1, 0.7) / np.sqrt((room**2).sum())
        room[0] = 1.0
        response = response * np.fft.rfft(room, N_FFT)
    return np.fft.irfft(np.fft.rfft(x, N_FFT) * response, N_FFT)[: len(x)]


def _draw_noise(background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(background) > CLIP_SAMPLES and rng.random() < 0.4:
        start = int(rng.integers(0, len(background) - CLIP_SAMPLES))
        noise = background[start : start + CLIP_SAMPLES].astype(np.float64)
        return noise / (noise.std() + 1)
    return make_noise(CLIP_SAMPLES, rng)
