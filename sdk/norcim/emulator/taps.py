"""Windows of an array, and the depthwise sums over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from norcim.emulator.arrays import Activation, Floats, Thunk
from norcim.emulator.stages import Real
from norcim.spec.program import Descriptor

CODE_LIMIT = 255
"""Largest magnitude of a code, whatever its sign."""


def tap_view(x: Activation, d: Descriptor) -> Floats:
    """Every window of a bordered array: (n, out_h, out_w, kernel_h, kernel_w, c), no copy."""
    start = x.full[:, x.border.top - d.pad_top :, x.border.left - d.pad_left :]
    n, row, pixel, channel = x.full.strides
    shape = (len(x.full), d.out_h, d.out_w, d.kernel_h, d.kernel_w, d.in_c)
    strides = (
        n, row * d.stride_h, pixel * d.stride_w, row * d.dilation_h, pixel * d.dilation_w, channel,
    )  # fmt: skip
    return as_strided(start, shape, strides)


def make_taps(
    d: Descriptor, x: Activation, weights: npt.NDArray[Any], first: int, acc: Real
) -> Thunk:
    """Depthwise sums: acc (n, out_h, out_w, c) from weights (kernel_h, kernel_w, c).

    first  first input channel
    With stride 1 along a row the inner loop of one einsum runs over whole rows of (w, c); the
    multiply-add in it beats nine passes of multiply and add.
    """
    taps = weights.astype(acc.dtype)
    count = taps.shape[-1]
    windows = tap_view(x, d)
    if d.stride_w == 1 and count == x.full.shape[-1]:
        n, row, _, tap_y, tap_x, channel = windows.strides
        inner = d.out_w * count
        shape = (len(acc), d.out_h, d.kernel_h, d.kernel_w, inner)
        rows = as_strided(windows, shape, (n, row, tap_y, tap_x, channel))
        tiled = np.ascontiguousarray(np.tile(taps, (1, 1, d.out_w)))
        flat = acc.reshape(len(acc), d.out_h, inner)
        return lambda: np.einsum("bhijn,ijn->bhn", rows, tiled, out=flat)
    part = windows[..., first : first + count]
    return lambda: np.einsum("bhwijc,ijc->bhwc", part, taps, out=acc)
