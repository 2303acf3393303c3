"""What an ONNX value is during import: a constant, or a strided view of an IR tensor.

Transpose, Reshape, Squeeze and the like only change the view. An IR operation for them is emitted
when, and only when, a reader needs the elements in another order than they lie in. So pairs of
layout changes cancel, and they slide through elementwise operations, without any pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Factor = tuple[int, int]
"""(size, stride): a run of positions in a tensor's row-major elements."""


BATCH = -(1 << 24)
"""Stands for the batch size in constants that are computed from a shape: it is not known."""


class Unsupported(Exception):
    """An operation or a variant of it that norcim does not run; collected, reported together.

    workaround  what the user can do; empty for the text of the operation's type
    """

    def __init__(self, reason: str, workaround: str = "") -> None:
        super().__init__(reason)
        self.workaround = workaround


class MovesBatch(Unsupported):
    """A variant that is possible where the batch is 1 and an axis like any other.

    at_one  True if that has to be known; False if what it does says so well enough
    """

    def __init__(self, reason: str, workaround: str = "", *, at_one: bool = True) -> None:
        super().__init__(reason, workaround)
        self.at_one = at_one


def merge(factors: Iterable[Factor]) -> tuple[Factor, ...]:
    """The same elements in the same order as the fewest factors."""
    merged: list[Factor] = []
    for size, stride in factors:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return tuple(merged)


@dataclass(frozen=True)
class View:
    """An activation: per-sample ONNX axes over the elements of IR tensor `tensor`.

    axes     one tuple of factors per axis, outermost first; an axis of size 1 has none
    integer  "int8" or "uint8" if the ONNX value is the tensor's codes; "" for its real values
    whole    the axes are all that the ONNX value has; else its batch is implied, in front of them
    """

    tensor: str
    axes: tuple[tuple[Factor, ...], ...]
    integer: str = ""
    whole: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Per-sample ONNX shape."""
        return tuple(prod(size for size, _ in axis) for axis in self.axes)

    def flat(self, order: Iterable[int] | None = None) -> tuple[Factor, ...]:
        """Factors of the elements with the axes in `order` (as they stand by default)."""
        chosen = self.axes if order is None else [self.axes[axis] for axis in order]
        return merge(factor for axis in chosen for factor in axis)

    def permuted(self, order: Sequence[int]) -> View:
        """The view with its per-sample axes in another order; axes of size 1 may be left out."""
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def by_stride(self) -> tuple[int, ...]:
        """Axes from the one that moves slowest in memory to the fastest; ties as they stand."""
        outer = [max((stride for _, stride in axis), default=0) for axis in self.axes]
        return tuple(sorted(range(len(self.axes)), key=lambda axis: -outer[axis]))


def contiguous(tensor: str, shape: Sequence[int]) -> View:
    """A view of a whole tensor, row-major, as `shape`."""
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axes = tuple(merge([(size, stride)]) for size, stride in zip(shape, strides, strict=True))
    return View(tensor, axes)


def split(factors: Sequence[Factor], shape: Sequence[int]) -> tuple[tuple[Factor, ...], ...] | None:
    """Distribute factors over axes of the given sizes; None if a size cuts across a factor."""
    rest = list(reversed(factors))
    axes = []
    for wanted in shape:
        axis: list[Factor] = []
        while wanted > 1:
            size, stride = rest.pop()
            if wanted % size == 0:
                axis.append((size, stride))
                wanted //= size
            elif size % wanted == 0:
                axis.append((wanted, stride * (size // wanted)))
                rest.append((size // wanted, stride))
                wanted = 1
            else:
                return None
        axes.append(merge(axis))
    return tuple(axes)


def element_order(factors: Iterable[Factor]) -> npt.NDArray[np.int64]:
    """Memory index of each element of a flattened view."""
    order = np.zeros(1, np.int64)
    for size, stride in factors:
        order = (order[:, None] + stride * np.arange(size)).reshape(-1)
    return order


@dataclass(frozen=True)
class Codes:
    """Integer codes behind a constant: value = scale * (codes - zero_point).

    codes  integers, (...); scale float64 and zero_point int64 broadcast to the same shape
    """

    codes: npt.NDArray[Any]
    scale: npt.NDArray[np.float64]
    zero_point: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Const:
    """A constant. `array` is float64 for a dequantised one, else as the model has it.

    symbolic  True if it holds BATCH, which may be moved but not computed with
    """

    array: npt.NDArray[Any]
    codes: Codes | None = None
    symbolic: bool = False


@dataclass(frozen=True)
class Unknown:
    """A value that a refused operation, or an input of open shape, keeps from being known.

    fixed  True if it depends on shapes only, so that it would be a constant
    """

    fixed: bool = False


Value = View | Const | Unknown | None
"""None stands for an optional input that is absent."""
