"""How bad a line is, from the frames that got lost on it, and what frame size suits it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from norcim.spec.protocol import DATA_REQUEST_WORDS, GRAIN_BYTES, PAGE_BYTES

DATA_FRAME_BYTES = 4 + 4 * DATA_REQUEST_WORDS + 4 + 2
"""What a DATA frame has beside its data: header, request, CRC-32, COBS and the zero at the end."""

SIZES = (32, 48, 64, 96, 128, 192, PAGE_BYTES)
assert all(size % GRAIN_BYTES == 0 for size in SIZES)

MEMORY_FRAMES = 64
"""A frame counts 1/e as much after so many later ones."""

DOUBT = 16

NOISY = 2e-6
"""Errors a bit from which on small frames in any order beat windows of long ones in order."""

QUIET = 5e-7
"""Errors a bit below which long frames are tried again."""


@dataclass
class Noise:
    """Errors a bit of a line, as far as the frames of late tell.

    A line is taken for good until it shows that it is not: the start is MEMORY_FRAMES long frames
    without a loss. bytes_each is a running mean.
    """

    n_frames: float = MEMORY_FRAMES
    n_lost: float = 0.0
    n_bytes: float = MEMORY_FRAMES * 1024.0

    def record(self, n_bytes: int, *, lost: bool) -> None:
        """A frame of n_bytes on the wire has arrived, or has not."""
        keep = 1 - 1 / MEMORY_FRAMES
        self.n_frames = self.n_frames * keep + 1
        self.n_lost = self.n_lost * keep + lost
        self.n_bytes = self.n_bytes * keep + n_bytes

    def doubt(self) -> None:
        """Weigh the losses of late more, so that the size is found within a few frames."""
        self.n_frames /= DOUBT
        self.n_bytes /= DOUBT

    @property
    def errors_per_bit(self) -> float:
        """What explains the share of lost frames, if each bit may fail by itself."""
        share = min(self.n_lost / self.n_frames, 0.95)
        return -math.log1p(-share) * self.n_frames / (8 * self.n_bytes)

    @property
    def data_bytes(self) -> int:
        """Data bytes of a frame with which most data arrives in a given time."""
        return max(SIZES, key=lambda size: expected_rate(size, self.errors_per_bit))


def expected_rate(size: int, errors_per_bit: float) -> float:
    """Share of a line that data takes in DATA frames of `size` bytes, those lost sent again."""
    n_bytes = size + DATA_FRAME_BYTES
    return size / n_bytes * math.exp(-8 * n_bytes * errors_per_bit)
