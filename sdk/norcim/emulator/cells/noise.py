"""Fast Gaussian noise that is the same however a batch is cut: one stream a sample.

A value is one of the 65,536 quantiles of a normal distribution that stand in the middle of equal
probabilities, chosen by 16 fresh bits of an SFC64 stream: independent values of mean 0, variance 1,
excess kurtosis -0.0008, the distribution function within 2^-17 of a Gaussian's. Nothing lies
beyond 4.33 sigma. A look-up costs a fourth of numpy's ziggurat. docs/decisions/0064 has the
reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

_QUANTILES = 1 << 16
_VALUES = 4
"""Values of a 64-bit word."""

_BURN_IN = 16
"""Words that a stream discards after seeding, as numpy does for its own seeding."""


@cache
def quantiles() -> npt.NDArray[np.float32]:
    """The values, ascending, (65,536,); read-only. Their variance is 1 exactly, up to float32."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((i + 0.5) / _QUANTILES) for i in range(_QUANTILES // 2, _QUANTILES)])
    upper /= np.sqrt(np.square(upper).mean())
    table = np.concatenate([-upper[::-1], upper]).astype(np.float32)
    table.flags.writeable = False
    return table


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
        self._table = quantiles()
        self._chosen = np.empty(0, np.intp)

    def begin(self, first: int) -> None:
        """The next values are those of the samples first, first + 1, ... from their start."""
        numbers = np.arange(first, first + len(self._streams), dtype=np.uint64)
        states = np.ones((len(numbers), 4), np.uint64)
        states[:, :3] = _mix(self._words[None, :] ^ _mix(numbers + np.uint64(1))[:, None])
        for stream, state in zip(self._streams, states, strict=True):
            stream.state = {
                "bit_generator": "SFC64",
                "state": {"state": state},
                "has_uint32": 0,
                "uinteger": 0,
            }
            stream.random_raw(_BURN_IN, output=False)

    def fill(self, out: npt.NDArray[np.float32]) -> None:
        """Fill (n, m), rows contiguous, with noise of mean 0 and variance 1."""
        n_values = out.shape[1]
        n_words = -(-n_values // _VALUES)
        if len(self._chosen) < n_values:
            self._chosen = np.empty(n_values, np.intp)
        chosen = self._chosen[:n_values]
        for row, stream in zip(out, self._streams, strict=True):
            # `take` would widen the indices itself, but into memory that is new every time.
            chosen[...] = stream.random_raw(n_words).view(np.uint16)[:n_values]
            # Every 16-bit number is an index: nothing wraps, but numpy then writes into the row
            # itself where mode="raise" would buffer it.
            self._table.take(chosen, out=row, mode="wrap")
