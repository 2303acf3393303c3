"""Cluttered scenes with a digit in them, or with a digit cut up and put together wrongly.

The clutter is computed. Without a digit the same ink is there, in wrong order: what has to be seen
is the shape, not that there are strokes.

    python -m models.trigger.scenes --output drawn.npz
    python -m models.trigger.scenes --mnist PATH/TO/mnist --output mnist.npz

write test sets: of digits that the script draws, or of MNIST's test digits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.common.test_data import write_test_data
from models.digits.data import load_digits
from models.digits.strokes import draw_digits

SIZE = 48
LABELS = ("nothing", "digit")


def make_scene(digit: np.ndarray, present: bool, rng: np.random.Generator) -> np.ndarray:
    """One scene, uint8 (SIZE, SIZE).

    digit     uint8 (28, 28), 0 is paper
    present   whether it is shown whole; else its quarters are shuffled and turned
    """
    scene = _background(rng)
    ink = digit / 255.0 if present else _cut_up(digit / 255.0, rng)
    size = int(rng.integers(22, 39))
    place = np.arange(size) * (28 / size)
    y = np.clip(np.round(place + rng.uniform(-0.5, 0.5)), 0, 27).astype(int)
    x = np.clip(np.round(place + rng.uniform(-0.5, 0.5)), 0, 27).astype(int)
    ink = ink[y][:, x]
    top, left = rng.integers(0, SIZE - size + 1, 2)
    window = scene[top : top + size, left : left + size]
    tone = rng.uniform(60, 130) * rng.choice([-1, 1])
    window += ink * tone
    scene += rng.normal(0, rng.uniform(2, 12), scene.shape)
    return np.clip(np.round(scene), 0, 255).astype(np.uint8)


def make_scenes(digits: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scenes uint8 (n, 1, SIZE, SIZE), every other one with a digit, and labels int64 (n,).

    digits   uint8 (n_digits, 28, 28) to draw from
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    drawn = digits[rng.integers(0, len(digits), n)]
    pairs = zip(drawn, labels, strict=True)
    return np.stack([make_scene(digit, label == 1, rng) for digit, label in pairs])[:, None], labels


def _background(rng: np.random.Generator) -> np.ndarray:
    """A slope of light, patches, and a few bars and rings."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    scene = rng.uniform(80, 175) + rng.uniform(-50, 50) * x + rng.uniform(-50, 50) * y
    coarse = rng.normal(0, rng.uniform(0, 18), (6, 6))
    scene = scene + np.kron(coarse, np.ones((8, 8)))
    for _ in range(rng.integers(1, 6)):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.45, 0.45)
        across = np.cos(angle) * x + np.sin(angle) * y - offset
        along = np.cos(angle) * y - np.sin(angle) * x - rng.uniform(-0.4, 0.4)
        bar = (np.abs(across) < rng.uniform(0.01, 0.04)) & (np.abs(along) < rng.uniform(0.05, 0.3))
        scene += rng.uniform(-90, 90) * bar
    for _ in range(rng.integers(0, 3)):
        middle, radius = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.04, 0.2)
        ring = np.abs(np.hypot(x - middle[0], y - middle[1]) - radius) < 0.025
        scene += rng.uniform(-90, 90) * ring
    return scene


def _cut_up(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The four quarters of a digit's frame in another order, each turned."""
    rows = ink[3:25, 3:25].reshape(2, 11, 2, 11).transpose(0, 2, 1, 3).reshape(4, 11, 11)
    order = rng.permutation(4)
    while np.array_equal(order, np.arange(4)):
        order = rng.permutation(4)
    parts = [np.rot90(rows[i], int(rng.integers(1, 4))) for i in order]
    return np.pad(np.block([parts[:2], parts[2:]]), 3)


def make_calibration() -> tuple[np.ndarray, np.ndarray]:
    """64 scenes of drawn digits, and their labels."""
    return make_scenes(draw_digits(100, seed=7)[0], 64, seed=7)


def make_test_set(mnist: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """1,000 scenes of test digits, drawn ones or MNIST's, and their labels."""
    return make_scenes(load_digits(mnist)[0], 1000, seed=1000)


if __name__ == "__main__":
    write_test_data(__doc__, make_test_set)
