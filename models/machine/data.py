"""Windows of features of machine sounds, and the sets for training, calibration and test."""

from __future__ import annotations

import numpy as np

from models.machine.sounds import FAULTS, make_machine, make_sound
from norcim.audio import LogMelConfig, log_mel

CONFIG = LogMelConfig(n_mels=32)
FRAMES = 5
WINDOW = FRAMES * CONFIG.n_mels
MACHINES = (0, 1, 2, 3)
TEST_SEED, TEST_CLIPS = 1000, 50
"""Healthy clips of each machine in the test set, and as many worn ones."""


def windows(pcm: np.ndarray) -> np.ndarray:
    """Codes uint8 (n, n_windows, WINDOW) of clips int16 (n, n_samples), a window a frame."""
    codes = log_mel(pcm, CONFIG)
    n = codes.shape[1] - FRAMES + 1
    return np.concatenate([codes[:, i : i + n] for i in range(FRAMES)], axis=2)


def healthy_clips(n: int, seed: int) -> np.ndarray:
    """n clips of each machine: int16 (4 * n, SAMPLES)."""
    rng = np.random.default_rng(seed)
    return np.stack([make_sound(make_machine(m), None, rng) for m in MACHINES for _ in range(n)])


def make_test_set() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows uint8 (400, n_windows, WINDOW), whether worn, bool (400,), the machine (400,)."""
    rng = np.random.default_rng(TEST_SEED)
    clips, worn, machine = [], [], []
    for m in MACHINES:
        for i in range(2 * TEST_CLIPS):
            fault = FAULTS[i % len(FAULTS)] if i < TEST_CLIPS else None
            clips.append(make_sound(make_machine(m), fault, rng))
            worn.append(fault is not None)
            machine.append(m)
    return windows(np.stack(clips)), np.array(worn), np.array(machine)


def make_calibration() -> np.ndarray:
    """100 windows of healthy machines, uint8 (100, WINDOW), none of them in the other sets."""
    found = windows(healthy_clips(5, seed=7))
    return np.ascontiguousarray(found[:, ::20][:, :5].reshape(-1, WINDOW))
