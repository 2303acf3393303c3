"""Boxes of elements that the operation `move` carries from its inputs into its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from norcim.ir.graph import Floats, Op, Shape

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Piece:
    """One strided copy of a box (y, x, c), as the hardware runs it.

    source       which input
    start        row-major element of the input at which the box begins
    strides      input elements from one y, x, c to the next; 0 repeats
    size         (y, x) positions that the input has; channels are those of the output box
    pads         (y, x) positions of the output box in front of the first of the input
    out_start, out_strides, out_size   the same of the output box, all three dimensions
    Positions of the output box for which the input has none hold real 0.
    """

    source: int
    start: int
    strides: Triple
    size: tuple[int, int]
    pads: tuple[int, int]
    out_start: int
    out_strides: Triple
    out_size: Triple

    @property
    def last(self) -> int:
        """Row-major element of the input that the box reads last."""
        sizes = (*self.size, self.out_size[2])
        return self.start + sum((n - 1) * s for n, s in zip(sizes, self.strides, strict=True))

    @property
    def out_last(self) -> int:
        """Row-major element of the output that the box writes last."""
        pairs = zip(self.out_size, self.out_strides, strict=True)
        return self.out_start + sum((n - 1) * stride for n, stride in pairs)

    @property
    def fills(self) -> bool:
        """Whether some positions have no input."""
        return self.pads != (0, 0) or self.size != self.out_size[:2]


def move_shape(op: Op, shapes: Sequence[Shape], declared: Shape) -> Shape:
    """The declared shape, if the pieces lie inside the tensors and are as many as its elements."""
    pieces: tuple[Piece, ...] = op.attrs["pieces"]
    total = sum(prod(piece.out_size) for piece in pieces)
    if total != prod(declared):
        raise ValueError(f"the pieces hold {total} elements, {declared} has {prod(declared)}")
    if {piece.source for piece in pieces} != set(range(len(shapes))):
        raise ValueError("every input needs a piece, and every piece an input")
    for piece in pieces:
        legal = min(*piece.strides, piece.start, *piece.pads, piece.out_start) >= 0
        legal &= min(*piece.size, *piece.out_size, *piece.out_strides) >= 1
        inside = piece.last < prod(shapes[piece.source]) and piece.out_last < total
        if not (legal and inside):
            raise ValueError(f"{piece} leaves {shapes[piece.source]} or {declared}")
    return declared


def move(op: Op, inputs: Sequence[Floats], out_shape: Shape) -> Floats:
    """All pieces, on float32 (n, h, w, c)."""
    n = len(inputs[0])
    out = np.zeros((n, prod(out_shape)), np.float32)
    carry(op, [np.ascontiguousarray(x).reshape(n, -1) for x in inputs], out)
    return out.reshape(n, *out_shape)


def carry(op: Op, inputs: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Move elements of inputs (n, elements) to out (n, elements); filled positions stay."""
    for piece in op.attrs["pieces"]:
        x = inputs[piece.source]
        (top, left), (h, w), c = piece.pads, piece.size, piece.out_size[2]
        first = piece.out_start + top * piece.out_strides[0] + left * piece.out_strides[1]
        h, w = min(h, piece.out_size[0] - top), min(w, piece.out_size[1] - left)
        if h > 0 and w > 0:
            _box(out, first, piece.out_strides, (h, w, c))[...] = _box(
                x, piece.start, piece.strides, (h, w, c)
            )


def _box(x: np.ndarray, start: int, strides: Triple, size: Triple) -> np.ndarray:
    steps = (x.strides[0], *(stride * x.strides[1] for stride in strides))
    return as_strided(x[:, start:], (len(x), *size), steps)
