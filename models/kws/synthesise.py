"""Synthetic speech (espeak-ng) and noise, both ours to redistribute."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from recordings import CLIP_SAMPLES, LABELS, RATE_HZ, Clips

ACCENTS = (
    "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029",
)  # fmt: skip
"""espeak-ng's English voices; en-gb sounds the same with every variant, the others do not."""
TRAIN_VARIANTS = (
    "adam", "Alex", "Andy", "Annie", "AnxiousAndy", "antonio", "aunty", "boris", "caleb", "david",
    "Denis", "Diogo", "ed", "edward", "Gene", "grandma", "grandpa", "Henrique", "Hugo", "iven",
    "Jacky", "klatt", "klatt2", "klatt3", "klatt4", "Lee", "marcelo", "Marco", "Mario", "michel",
    "miguel", "Mike", "Nguyen", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert",
    "sandro", "steph2", "steph3", "travis", "victor", "zac", "anika", "f1", "f2", "f3", "f4", "f5",
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8",
)  # fmt: skip
"""espeak-ng's files of voice variants, by their exact names: it ignores a name it does not know."""
_UNKNOWN = """
backward bed bird cat dog eight five follow forward four happy house learn marvin nine one seven
sheila six three tree two visual wow zero gone goat good gold low bow toe dough town dawn done
brown noun cup pup hop top shop step stock dot light night ride rice lift lap laugh let love
less yet yell guess chess open own offer awful all arm and ankle only hello computer lamp music
red green blue ten eleven monday water apple orange table window stuff often soft lock nose new
knee noon ghost coal bus pop stomp store star spot left-over rewrite upper nothing turn play
pause please what where light-bulb kitchen door seat sit yesterday yard
"""
UNKNOWN_WORDS = tuple(_UNKNOWN.split())


def synthesise_words(n_per_keyword: int, n_unknown: int, seed: int) -> Clips:
    """Keyword and unknown-word clips by espeak-ng voices, one second each."""
    if shutil.which("espeak-ng") is None:
        raise SystemExit("espeak-ng not found: install it, or pass --synthetic 0")
    rng = np.random.default_rng(seed)
    words = [w for w in LABELS if not w.startswith("_") for _ in range(n_per_keyword)]
    words += [UNKNOWN_WORDS[i % len(UNKNOWN_WORDS)] for i in range(n_unknown)]
    voices = list(_draw_voices(len(words), TRAIN_VARIANTS, rng))
    with ThreadPoolExecutor(2) as pool:
        speech = list(pool.map(speak, words, voices))
    pcm = np.stack([place(s, rng) for s in speech])
    label = [LABELS.index(w) if w in LABELS else LABELS.index("_unknown_") for w in words]
    return Clips(pcm, np.array(label), np.array([v[0] for v in voices], dtype="U64"))


def _draw_voices(
    n: int, variants: tuple[str, ...], rng: np.random.Generator
) -> Iterator[tuple[str, int, int]]:
    for _ in range(n):
        voice = f"{rng.choice(ACCENTS)}+{rng.choice(variants)}"
        yield voice, int(rng.integers(110, 240)), int(rng.integers(15, 90))


def speak(word: str, voice: tuple[str, int, int]) -> np.ndarray:
    """One word, int16 at RATE_HZ without the silence around it.

    voice   espeak-ng voice name, words a minute, pitch 0..99
    """
    name, speed, pitch = voice
    command = ["espeak-ng", "-v", name, "-s", str(speed), "-p", str(pitch), "-g", "0"]
    done = subprocess.run([*command, "--stdout", word], capture_output=True, check=True)
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate_hz = file.getframerate()
    pcm = np.frombuffer(done.stdout[44:], "<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(pcm) > 0.02 * np.abs(pcm).max())
    return _resample(pcm[loud[0] : loud[-1] + 1], rate_hz)


def _resample(pcm: np.ndarray, rate_hz: int) -> np.ndarray:
    n = round(len(pcm) * RATE_HZ / rate_hz)
    spectrum = np.fft.rfft(pcm)[: n // 2 + 1]
    return np.clip(np.round(np.fft.irfft(spectrum, n) * n / len(pcm)), -32768, 32767).astype("<i2")


def place(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Speech somewhere in one second of silence; what is too long is shortened by its ends."""
    speech = speech[max(0, len(speech) - CLIP_SAMPLES) // 2 :][:CLIP_SAMPLES]
    clip = np.zeros(CLIP_SAMPLES, np.int16)
    start = int((CLIP_SAMPLES - len(speech)) * rng.uniform(0.2, 0.8))
    clip[start : start + len(speech)] = speech
    return clip


def make_noise(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Unit-power noise of a random colour, sometimes with mains hum or slow swelling; float."""
    spectrum = rng.standard_normal(n_samples // 2 + 1) + 1j * rng.standard_normal(
        n_samples // 2 + 1
    )
    f = np.arange(n_samples // 2 + 1) * RATE_HZ / n_samples
    slope = rng.uniform(-0.3, 1.3)
    noise = np.fft.irfft(spectrum / np.maximum(f, 30) ** slope, n_samples)
    noise /= noise.std()
    t = np.arange(n_samples) / RATE_HZ
    if rng.random() < 0.25:
        mains_hz = rng.choice([50, 60, 100, 120]) * (1 + rng.normal(0, 0.002))
        for harmonic in range(1, int(rng.integers(2, 12))):
            level = rng.uniform(0, 1.5) / harmonic
            noise += level * np.sin(2 * np.pi * (mains_hz * harmonic * t + rng.random()))
    if rng.random() < 0.3:
        noise *= 1 + 0.9 * np.sin(2 * np.pi * (rng.uniform(0.3, 6) * t + rng.random()))
    return noise / noise.std()
