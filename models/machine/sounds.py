"""Sounds of made-up machines, healthy and worn, computed from a few physical quantities.

A machine is a fan or a gear with its own speeds and resonances. Healthy sounds vary in speed, load,
microphone and room noise; a fault adds to that what faults of this kind are known to add.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE_HZ = 16000
SAMPLES = 2 * RATE_HZ
FAULTS = ("bearing", "imbalance", "tooth", "rub")


@dataclass(frozen=True)
class Machine:
    """rate_hz: turns a second; n_parts: blades or teeth; partials: levels of the harmonics of
    rate_hz * n_parts; hum_hz and resonance_hz: of the drive and of the housing.
    """

    rate_hz: float
    n_parts: int
    partials: np.ndarray
    hum_hz: float
    resonance_hz: float
    turbulence: float


def make_machine(seed: int) -> Machine:
    """Even seeds are fans (few blades, much turbulence), odd ones gears."""
    rng = np.random.default_rng(seed)
    fan = seed % 2 == 0
    levels = rng.uniform(0.3, 1.0, 8) * 0.7 ** np.arange(8)
    return Machine(
        rate_hz=rng.uniform(18, 32),
        n_parts=int(rng.integers(5, 10) if fan else rng.integers(17, 32)),
        partials=levels,
        hum_hz=float(rng.choice([100, 120])),
        resonance_hz=rng.uniform(1800, 4500),
        turbulence=rng.uniform(0.5, 0.8) if fan else rng.uniform(0.1, 0.25),
    )


def make_sound(machine: Machine, fault: str | None, rng: np.random.Generator) -> np.ndarray:
    """Two seconds, int16 (SAMPLES,)."""
    t = np.arange(SAMPLES) / RATE_HZ
    wobble = rng.uniform(0, 0.01) * np.sin(2 * np.pi * rng.uniform(0.3, 2) * t + rng.uniform(0, 6))
    turns = np.cumsum(machine.rate_hz * rng.uniform(0.97, 1.03) * (1 + wobble)) / RATE_HZ
    load = rng.uniform(0.8, 1.2)
    sound = _partials(machine, turns, load, rng)
    sound += 0.3 * np.sin(2 * np.pi * machine.hum_hz * t + rng.uniform(0, 6))
    air = machine.turbulence * load * _coloured(rng, -0.5)
    severity = rng.uniform(0.1, 0.6)
    if fault == "bearing":
        sound += severity * _knocks(turns * rng.uniform(3.1, 4.9), machine.resonance_hz, rng)
    elif fault == "imbalance":
        swing = np.sin(2 * np.pi * turns)
        sound, air = sound * (1 + severity * swing) + severity * swing, air * (1 + severity * swing)
    elif fault == "tooth":
        sound += 1.5 * severity * _knocks(turns, 0.5 * machine.resonance_hz, rng)
    elif fault == "rub":
        air += severity * _coloured(rng, 0.5) * (0.6 + 0.4 * np.sin(2 * np.pi * turns))
    room = 10 ** rng.uniform(-1.8, -0.8) * _coloured(rng, rng.uniform(-1, 0))
    level = 10 ** rng.uniform(2.8, 3.2)
    return np.clip(np.round(level * (sound + air + room)), -32768, 32767).astype(np.int16)


def _partials(
    machine: Machine, turns: np.ndarray, load: float, rng: np.random.Generator
) -> np.ndarray:
    sound = np.zeros(len(turns))
    for i, level in enumerate(machine.partials, 1):
        frequency = i * machine.n_parts * machine.rate_hz
        if frequency < 0.45 * RATE_HZ:
            phase = rng.uniform(0, 2 * np.pi)
            level = level * load * rng.uniform(0.85, 1.15)
            sound += level * np.sin(2 * np.pi * i * machine.n_parts * turns + phase)
    return sound


def _knocks(cycles: np.ndarray, resonance_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A decaying ring at every whole cycle, of about unit power."""
    starts = np.flatnonzero(np.diff(np.floor(cycles)) > 0)
    train = np.zeros(len(cycles))
    train[starts] = rng.uniform(0.6, 1.4, len(starts))
    t = np.arange(RATE_HZ // 50) / RATE_HZ
    ring = np.exp(-t / 0.003) * np.sin(2 * np.pi * resonance_hz * t)
    sound = np.convolve(train, ring)[: len(train)]
    return sound / (sound.std() + 1e-9)


def _coloured(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """Noise of unit power whose amplitude goes with frequency to the power `tilt`."""
    spectrum = np.fft.rfft(rng.standard_normal(SAMPLES))
    spectrum *= np.maximum(np.arange(len(spectrum)), 200.0) ** tilt
    sound = np.fft.irfft(spectrum, SAMPLES)
    return sound / sound.std()
