"""Geometry of sliding windows: one rule for the shapes, the kernels and the importer."""

from __future__ import annotations

from collections.abc import Iterator

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]

NO_PADS: Pads = (0, 0, 0, 0)


def extent(kernel: int, dilation: int) -> int:
    """Positions that a dilated kernel spans in one direction."""
    return dilation * (kernel - 1) + 1


def out_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Windows that fit in one direction, the last partial one left out; 0 or less if none fits."""
    return (size + before + after - extent(kernel, dilation)) // stride + 1


def out_sizes(size: Pair, kernel: Pair, stride: Pair, dilation: Pair, pads: Pads) -> Pair:
    """(h, w) of a window op's output; pads are (top, left, bottom, right)."""
    top, left, bottom, right = pads
    return (
        out_size(size[0], kernel[0], stride[0], dilation[0], top, bottom),
        out_size(size[1], kernel[1], stride[1], dilation[1], left, right),
    )


def taps(
    kernel: Pair, stride: Pair, dilation: Pair, out: Pair
) -> Iterator[tuple[int, int, slice, slice]]:
    """(ky, kx, rows, columns) of each kernel position: what it reads from the padded input."""
    for ky in range(kernel[0]):
        y = ky * dilation[0]
        rows = slice(y, y + (out[0] - 1) * stride[0] + 1, stride[0])
        for kx in range(kernel[1]):
            x = kx * dilation[1]
            yield ky, kx, rows, slice(x, x + (out[1] - 1) * stride[1] + 1, stride[1])
