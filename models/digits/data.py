"""Digits that nobody trained on, as a file that `norcim eval` takes.

    python -m models.digits.data --output drawn.npz
    python -m models.digits.data --mnist PATH/TO/mnist --output mnist.npz

Drawn by the script, or the test digits of MNIST: its folder holds test.npz (`x` uint8 (n, 28, 28),
`y`), or the IDX files of its test part.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from models.common.test_data import write_test_data
from models.digits.strokes import SIZE, draw_digits

N_TEST, TEST_SEED = 1000, 1000


def load_digits(mnist: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Test digits, uint8 (n, 28, 28), and what they show, int64 (n,).

    mnist  folder of MNIST; None: drawn ones
    """
    if mnist is None:
        return draw_digits(N_TEST, TEST_SEED)
    if (mnist / "test.npz").exists():
        with np.load(mnist / "test.npz") as data:
            return data["x"], data["y"].astype(np.int64)
    images = _read_idx(mnist, "t10k-images-idx3-ubyte", 16)
    return images.reshape(-1, SIZE, SIZE), _read_idx(mnist, "t10k-labels-idx1-ubyte", 8).astype(
        np.int64
    )


def _read_idx(folder: Path, name: str, header: int) -> np.ndarray:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            content = path.read_bytes()
            raw = gzip.decompress(content) if path.suffix == ".gz" else content
            return np.frombuffer(raw, np.uint8, offset=header)
    raise SystemExit(f"{folder}: neither test.npz nor {name}[.gz]")


def make_calibration() -> tuple[np.ndarray, np.ndarray]:
    """100 drawn digits: uint8 (100, 1, 28, 28), and what they show."""
    images, digits = draw_digits(100, seed=7)
    return images[:, None], digits


def make_test_set(mnist: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Test digits as the network takes them, uint8 (n, 1, 28, 28), and what they show."""
    images, digits = load_digits(mnist)
    return images[:, None], digits


if __name__ == "__main__":
    write_test_data(__doc__, make_test_set)
