"""Fast Gaussian noise that is the same however a batch is cut: one stream a sample.

A value is the signed sum of eight uniform bytes of an SFC64 stream: mean 0 and variance
8 (256^2 - 1) / 12 exactly, excess kurtosis -0.15, no value beyond 4.9 sigma, steps of 0.0048
sigma; its distribution function is within 0.002 of a Gaussian's. Eight bytes give two values, the
sum and the difference of two halves: uncorrelated, their squares correlated by -0.08, and they go
to conversions half a layer apart. Every value has 32 fresh bits of its own. It costs a fourth of
numpy's ziggurat. docs/decisions/0060 has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

N_BYTES = 8
VARIANCE = N_BYTES * (256**2 - 1) / 12
"""Variance of what `NoiseSource.fill` writes."""

_CENTRE = np.float32(N_BYTES * 255 / 2)
"""Mean of a sum; a difference has mean 0."""

_LOW_BYTES = np.uint64(0x00FF00FF00FF00FF)
_EIGHT = np.uint64(8)
_LANES = 4
"""16-bit sums in a 64-bit word."""

_WORDS = N_BYTES // 2
"""64-bit words that are added lane by lane, their even and their odd bytes apart."""

_BURN_IN = 16
"""Words that a stream discards after seeding, as numpy does for its own seeding."""

_BLOCK_WORDS = 1 << 14
"""Words that are made at a time: many for few numpy calls, few enough to stay in cache."""


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finaliser: a bijection of 64 bits in which every bit moves every other."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class NoiseSource:
    """Independent noise for the samples of a bound batch.

    `begin` sets every sample's stream from the key and the sample's number, so what a sample
    gets depends on nothing else: not on batch size, chunks or threads.
    """

    def __init__(self, key: Sequence[int], n: int) -> None:
        """key: whole numbers >= 0 that name the chip; n: samples of a batch."""
        self._words = np.random.SeedSequence(list(key)).generate_state(3, np.uint64)
        self._streams = [np.random.SFC64(0) for _ in range(n)]
        self._buffers: dict[int, _Words] = {}

    def begin(self, first: int) -> None:
        """The next values are those of the samples first, first + 1, ... from their start."""
        numbers = np.arange(first, first + len(self._streams), dtype=np.uint64)
        states = _mix(self._words[None, :] ^ _mix(numbers + np.uint64(1))[:, None])
        for stream, (a, b, c) in zip(self._streams, states, strict=True):
            state = np.array([a, b, c, 1], np.uint64)
            stream.state = {
                "bit_generator": "SFC64",
                "state": {"state": state},
                "has_uint32": 0,
                "uinteger": 0,
            }
            stream.random_raw(_BURN_IN, output=False)

    def fill(self, out: npt.NDArray[np.float32]) -> None:
        """Fill (n, m), contiguous, with noise of mean 0 and variance VARIANCE."""
        half = -(-out.shape[1] // 2)
        size = -(-half // _LANES)
        n_rows = min(len(out), max(1, _BLOCK_WORDS // (size * _WORDS)))
        if size not in self._buffers:
            shape = (3, n_rows, _WORDS, size)
            self._buffers[size] = np.empty(shape, np.uint64)
        for first in range(0, len(out), n_rows):
            rows = out[first : first + n_rows]
            raw, odd, even = self._buffers[size][:, : len(rows)]
            for words, stream in zip(raw, self._streams[first : first + n_rows], strict=True):
                words[...] = stream.random_raw(size * _WORDS).reshape(_WORDS, size)
            _add_bytes(raw, odd, even)
            np.subtract(raw[:, 0].view(np.int16)[:, :half], _CENTRE, out=rows[:, :half])
            np.copyto(rows[:, half:], raw[:, 1].view(np.int16)[:, : rows.shape[1] - half])


_Words = npt.NDArray[np.uint64]


def _add_bytes(raw: _Words, odd: _Words, even: _Words) -> None:
    """Sums and differences of bytes in 16-bit lanes: into word 0 and word 1 of `raw`.

    All (n, _WORDS, size); odd and even are working memory.
    """
    np.right_shift(raw, _EIGHT, out=odd)
    np.bitwise_and(odd, _LOW_BYTES, out=odd)
    np.bitwise_and(raw, _LOW_BYTES, out=even)
    for word in range(1, _WORDS):
        np.add(odd[:, 0], odd[:, word], out=odd[:, 0])
        np.add(even[:, 0], even[:, word], out=even[:, 0])
    left, right = even[:, 0].view(np.int16), odd[:, 0].view(np.int16)
    np.add(left, right, out=raw[:, 0].view(np.int16))
    np.subtract(left, right, out=raw[:, 1].view(np.int16))
