"""Boxes of a tensor along one axis, as the pieces of a move."""

from __future__ import annotations

from dataclasses import replace

from norcim.ir.graph import Shape
from norcim.ir.moves import Piece


def with_size(shape: Shape, axis: int, size: int) -> Shape:
    """The shape (h, w, c) with another size along an axis, 0 or 1."""
    return (size, *shape[1:]) if axis == 0 else (shape[0], size, shape[2])


def frames_piece(
    source: int, shape: Shape, axis: int, first: int, count: int, out_shape: Shape, at: int
) -> Piece:
    """The copy of `count` frames of an input, from `first` on, to the output's frames from `at`.

    source      which input; `shape` is its shape
    axis        0 or 1: along which the frames lie, in both
    """
    (_, w, c), (_, out_w, _) = shape, out_shape
    step, out_step = (w * c, out_w * c) if axis == 0 else (c, c)
    size = with_size(shape, axis, count)
    return Piece(
        source,
        first * step,
        (w * c, c, 1),
        size[:2],
        (0, 0),
        at * out_step,
        (out_w * c, c, 1),
        size,
    )


def per_frame(piece: Piece, frames: int, sizes: tuple[int, int], n: int) -> Piece | None:
    """The piece for `n` frames where it does the same with each of `frames`, else None.

    sizes  elements of a frame of its input and of the output, where frames lie one after the other
    """
    for axis in (0, 1):
        outer = (piece.size[axis], piece.out_size[axis], piece.pads[axis]) == (frames, frames, 0)
        steps = (piece.strides[axis], piece.out_strides[axis])
        if outer and steps == sizes:
            one = _with_frames(piece, axis, 1)
            alone = one.last < sizes[0] and one.out_last < sizes[1]
            return _with_frames(piece, axis, n) if alone else None
    return None


def _with_frames(piece: Piece, axis: int, n: int) -> Piece:
    (y, x), (out_y, out_x, c) = piece.size, piece.out_size
    if axis == 0:
        return replace(piece, size=(n, x), out_size=(n, out_x, c))
    return replace(piece, size=(y, n), out_size=(out_y, n, c))
