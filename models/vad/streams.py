"""Streams of words over noise, their features, and which of their frames are speech."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from norcim.audio import LogMelConfig, log_mel

CONFIG = LogMelConfig()
RATE_HZ = CONFIG.sample_rate_hz
SAMPLES = 4 * RATE_HZ
FRAMES = CONFIG.n_frames(SAMPLES)
SPEECH_DB = 25.0
"""A frame is speech within so many dB of its word's loudest frame."""

GAP_FRAMES = 5
"""A shorter silence between two frames of speech, 100 ms, is speech too."""


@dataclass(frozen=True)
class Streams:
    """codes uint8 (n, FRAMES, n_mels); speech bool (n, FRAMES)."""

    codes: np.ndarray
    speech: np.ndarray


def mark_speech(pcm: np.ndarray) -> np.ndarray:
    """Which frames of a clean recording of a word, int16 (n_samples,), are speech."""
    n = CONFIG.n_frames(len(pcm))
    starts = np.arange(n)[:, None] * CONFIG.hop + np.arange(CONFIG.window)
    power = np.square(pcm[starts], dtype=np.float64).mean(axis=1) + 1
    speech = 10 * np.log10(power / power.max()) > -SPEECH_DB
    marked = np.flatnonzero(speech)
    for start, stop in pairwise(marked):
        if stop - start <= GAP_FRAMES:
            speech[start:stop] = True
    return speech


def mix_stream(
    words: list[np.ndarray], noise: np.ndarray, snr_db: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Words at random places over noise: int16 (SAMPLES,), and its speech frames bool (FRAMES,).

    noise    (SAMPLES,), of any level
    snr_db   mean power of the frames of speech over that of the noise
    """
    pcm, speech = np.zeros(SAMPLES), np.zeros(FRAMES, bool)
    room = FRAMES // max(len(words), 1)
    for i, word in enumerate(words):
        marked = mark_speech(word)
        at = i * room + int(rng.integers(0, room - len(marked)))
        pcm[at * CONFIG.hop :][: len(word)] += word
        speech[at : at + len(marked)] = marked
    frames = np.repeat(speech, CONFIG.hop)
    power = np.square(pcm[: len(frames)][frames]).mean() if speech.any() else 1e5
    level = np.sqrt(power / (np.square(noise.astype(np.float64)).mean() + 1e-9))
    mixed = pcm + noise * level * 10 ** (-snr_db / 20)
    loudest = np.abs(mixed).max() + 1
    mixed *= min(10 ** (rng.uniform(-14, 6) / 20), 32767 / loudest)
    return np.round(mixed).astype(np.int16), speech


def make_streams(
    clips: np.ndarray,
    noises: list[np.ndarray],
    n: int,
    snr_db: tuple[float, float],
    seed: int,
    computed: float = 0.0,
    empty: float = 0.15,
) -> Streams:
    """n streams of one to three words each.

    clips    int16 (n_clips, 16000), one word each
    noises   recordings (n_samples,) to cut from
    snr_db   lowest and highest
    computed, empty   shares of the streams that have computed noise, and that hold noise alone
    """
    rng = np.random.default_rng(seed)
    mixed = []
    for _ in range(n):
        n_words = 0 if rng.random() < empty else int(rng.integers(1, 4))
        words = [clips[i] for i in rng.integers(0, len(clips), n_words)]
        noise = compute_noise(rng) if rng.random() < computed else _cut(noises, rng)
        mixed.append(mix_stream(words, noise, rng.uniform(*snr_db), rng))
    codes = np.concatenate([log_mel(pcm[None], CONFIG) for pcm, _ in mixed])
    return Streams(codes, np.stack([speech for _, speech in mixed]))


def compute_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise of a random colour that swells and ebbs, at times with hum or knocks: (SAMPLES,)."""
    spectrum = np.fft.rfft(rng.standard_normal(SAMPLES))
    knots = np.interp(
        np.linspace(0, 1, len(spectrum)) ** 0.4, np.linspace(0, 1, 6), rng.normal(0, 8, 6)
    )
    spectrum *= 10 ** (knots / 20) * np.maximum(np.arange(len(spectrum)), 80.0) ** -rng.uniform(
        0, 1
    )
    noise = np.fft.irfft(spectrum, SAMPLES)
    noise /= noise.std()
    t = np.arange(SAMPLES) / RATE_HZ
    noise *= 10 ** (rng.uniform(0, 6) / 20 * np.sin(2 * np.pi * rng.uniform(0.1, 3) * t))
    if rng.random() < 0.3:
        hum = sum(np.sin(2 * np.pi * i * rng.choice([50, 60, 120]) * t) / i for i in range(1, 6))
        noise += rng.uniform(0.2, 1) * hum
    if rng.random() < 0.3:
        knocks = np.zeros(SAMPLES)
        knocks[rng.integers(0, SAMPLES, rng.integers(2, 20))] = rng.uniform(5, 40)
        ring = np.exp(-np.arange(800) / rng.uniform(20, 200)) * rng.standard_normal(800)
        noise += np.convolve(knocks, ring)[:SAMPLES]
    return noise


def _cut(noises: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    recording = noises[int(rng.integers(len(noises)))]
    start = int(rng.integers(0, max(1, len(recording) - SAMPLES)))
    return np.resize(recording[start : start + SAMPLES], SAMPLES).astype(np.float64)
