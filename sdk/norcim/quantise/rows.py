"""im2col rows of a convolution, from activation codes, and the dense weights of its tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from norcim.ir.graph import Op
from norcim.ir.lowered import TileShape
from norcim.quantise.scales import even_step

Codes = npt.NDArray[np.float32]
Taps = npt.NDArray[np.float32]

_CHUNK_VALUES = 1 << 24


def windows(codes: Codes, op: Op, pad_code: float) -> Taps:
    """Taps of every output position: a view (n, out_h, out_w, kernel_h * kernel_w, c) or a copy.

    codes     (n, h, w, c), as they drive the wordlines
    pad_code  what a position outside the input drives
    """
    assert op.weight is not None
    kernel_h, kernel_w = op.weight.shape[:2]
    top, left, bottom, right = op.attrs["pads"]
    (stride_h, stride_w), (dil_h, dil_w) = op.attrs["stride"], op.attrs["dilation"]
    pads = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(codes, pads, constant_values=pad_code) if any(op.attrs["pads"]) else codes
    span = ((kernel_h - 1) * dil_h + 1, (kernel_w - 1) * dil_w + 1)
    view = sliding_window_view(padded, span, axis=(1, 2))
    taps = view[:, ::stride_h, ::stride_w, :, ::dil_h, ::dil_w]
    n, out_h, out_w, c = taps.shape[:4]
    return np.moveaxis(taps, 3, -1).reshape(n, out_h, out_w, kernel_h * kernel_w, c)


def batches(codes: Codes, op: Op, pad_code: float) -> Iterator[Taps]:
    """`windows` over parts of the batch, so that memory stays bounded."""
    assert op.weight is not None
    taps = op.weight.shape[0] * op.weight.shape[1]
    size = max(1, _CHUNK_VALUES // max(1, codes[0].size * taps))
    for start in range(0, len(codes), size):
        yield windows(codes[start : start + size], op, pad_code)


def tile_inputs(taps: Taps, shape: TileShape) -> Taps:
    """The im2col rows of a tile, (..., n_rows)."""
    window = taps[..., shape.in_c_first : shape.in_c_first + shape.in_c_count]
    flat = window.reshape(*window.shape[:-2], -1)
    return flat[..., shape.k_first : shape.k_first + shape.n_rows]


def tile_weights(
    weight: npt.NDArray[np.int16], groups: int, shape: TileShape
) -> npt.NDArray[np.int16]:
    """A tile's weights (n_rows, n_cols), block-diagonal where it spans several groups.

    weight  (kernel_h, kernel_w, c_in / groups, c_out)
    """
    kernel_h, kernel_w, c_group, c_out = weight.shape
    taps, cols = kernel_h * kernel_w, c_out // groups
    span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
    count = shape.in_c_count // c_group
    if count == 1 or groups == 1:
        flat = weight.reshape(taps * c_group, c_out)[:, span]
        return np.ascontiguousarray(flat[shape.k_first : shape.k_first + shape.n_rows])
    part = weight[..., span].reshape(taps, c_group, count, cols)
    blocks = np.zeros((taps, count, c_group, count, cols), np.int16)
    for group in range(count):
        blocks[:, group, :, group, :] = part[:, :, group, :]
    return blocks.reshape(shape.n_rows, shape.n_cols)


@dataclass(frozen=True)
class Sampled:
    """Output positions of the calibration set: every channel's extremes, then evenly spaced ones.

    taps        (p, kernel_h * kernel_w, c), wordline codes
    expected    (p, c_out), the real output after the activation
    n_extremes  positions at the front where a channel is largest or smallest: few samples would
                miss them, and what is chosen without them saturates there
    """

    taps: Taps
    expected: npt.NDArray[np.float64]
    n_extremes: int

    def thinned(self, limit: int) -> Sampled:
        """The extremes, and every n-th of the other positions, at most about `limit`."""
        step = even_step(len(self.taps), limit)
        kept = np.r_[: self.n_extremes, self.n_extremes : len(self.taps) : step]
        return Sampled(self.taps[kept], self.expected[kept], self.n_extremes)


def sample_positions(
    codes: Codes, op: Op, pad_code: float, expected: npt.NDArray[np.float32], limit: int
) -> Sampled:
    """About `limit` output positions at equal distances over the whole set, and the extremes."""
    flat = expected.reshape(-1, expected.shape[-1])
    step = even_step(len(flat), limit)
    extremes = np.unique([flat.argmax(axis=0), flat.argmin(axis=0)])
    chosen = np.concatenate([extremes, np.arange(0, len(flat), step)])
    taps, offset = np.empty(0, np.float32), 0
    for part in batches(codes, op, pad_code):
        rows = part.reshape(-1, *part.shape[3:])
        inside = (chosen >= offset) & (chosen < offset + len(rows))
        if not taps.size:
            taps = np.empty((len(chosen), *rows.shape[1:]), np.float32)
        taps[inside] = rows[chosen[inside] - offset]
        offset += len(rows)
    return Sampled(taps, flat[chosen].astype(np.float64), len(extremes))
