"""Activation arrays of a bound plan: float32 codes, channels last, with an optional border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.emulator.steps import NO_BORDER, Border

Floats = npt.NDArray[np.float32]
Thunk = Callable[[], object]
"""A piece of work bound to its arrays; what it returns is not used."""


def run_all(work: Sequence[Thunk]) -> Thunk:
    """One thunk out of several."""
    if len(work) == 1:
        return work[0]

    def run() -> None:
        for item in work:
            item()

    return run


@dataclass(frozen=True)
class Activation:
    """Codes of one tensor: `full` is (n, h + top + bottom, w + left + right, c) and contiguous."""

    full: Floats
    border: Border

    @property
    def interior(self) -> Floats:
        """The tensor itself, (n, h, w, c)."""
        b = self.border
        _, h, w, _ = self.full.shape
        return self.full[:, b.top : h - b.bottom, b.left : w - b.right]


def new_activation(n: int, shape: tuple[int, int, int], border: Border = NO_BORDER) -> Activation:
    """An array for n tensors of shape (h, w, c), its border filled."""
    h, w, c = shape
    size = (n, h + border.top + border.bottom, w + border.left + border.right, c)
    return Activation(np.full(size, border.code, np.float32), border)


class Scratch:
    """Working memory that steps share: each step's slots hold until the next step begins.

    Few large buffers that are used again and again stay in cache; one per step would not.
    """

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []
        self._next = 0

    def begin_step(self) -> None:
        """From here on all slots are free again."""
        self._next = 0

    def take(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An uninitialised array of this shape in the next slot."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self._next == len(self._buffers):
            self._buffers.append(np.empty(size, np.uint8))
        if len(self._buffers[self._next]) < size:
            self._buffers[self._next] = np.empty(size, np.uint8)
        buffer = self._buffers[self._next]
        self._next += 1
        return buffer[:size].view(dtype).reshape(shape)


def as_shape(
    x: Activation, shape: tuple[int, int, int], swapped: bool
) -> tuple[Activation, list[Thunk]]:
    """The same bytes seen as another (h, w, c), and the copy that this takes (none if equal).

    swapped  whether arrays hold (w, h, c) of the program's (h, w, c)
    """
    if x.interior.shape[1:] == shape:
        return x, []
    y = new_activation(len(x.full), shape)

    def copy() -> None:
        source = x.interior.swapaxes(1, 2) if swapped else x.interior
        target = y.full.swapaxes(1, 2) if swapped else y.full
        target[...] = source.reshape(target.shape)

    return y, [copy]


def with_border(x: Activation, border: Border) -> tuple[Activation, list[Thunk]]:
    """`x` with the given border, and the work that keeps it up to date (none if it has it)."""
    if x.border == border:
        return x, []
    copy = new_activation(len(x.full), x.interior.shape[1:], border)
    return copy, [lambda: np.copyto(copy.interior, x.interior)]
