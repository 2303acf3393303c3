"""Real values and the code bytes of ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.spec.program import Port

Bytes = npt.NDArray[np.uint8]


def fine_of(meta: Mapping[str, Any]) -> int:
    """Parts of a step that an input's codes hold besides whole ones; 1: none.

    meta  what the image's metadata says of the input
    """
    return int(meta.get("fine", 1))


def levels_of(values: npt.ArrayLike, least: float) -> npt.NDArray[np.float32]:
    """What every sample of (n, ...) is divided by to come in at one level: (n, 1, ...).

    Its largest magnitude, or `least` where that is more.
    """
    sizes = np.abs(np.asarray(values, np.float32))
    largest = sizes.max(axis=tuple(range(1, sizes.ndim)), keepdims=True)
    return np.asarray(np.maximum(largest, np.float32(least)))


def values_shape(port: Port, fine: int) -> tuple[int, int, int]:
    """(h, w, c) of the real values that a port's codes stand for."""
    return port.h, port.w, port.c if fine == 1 else port.c // 2


def fine_codes(
    values: npt.ArrayLike, scale: float, zero_point: int, fine: int
) -> npt.NDArray[np.int64]:
    """Real values (..., c) as codes 0..255 (..., 2c): whole steps, rounded down, then the rest.

    fine  parts of a step; the rest is counted in them, from the zero point
    """
    parts = np.rint(np.asarray(values, np.float64) * (fine / scale)) + fine * zero_point
    whole, rest = np.divmod(np.clip(parts, 0, 256 * fine - 1).astype(np.int64), fine)
    return np.concatenate([whole, rest + zero_point], axis=-1)


def quantise_port(port: Port, values: npt.ArrayLike, fine: int = 1) -> Bytes:
    """Real values (n, h, w, c) as the code bytes of a port: half to even, saturated.

    fine  parts of a step; above 1 the port has 2c channels, as of `fine_codes`
    """
    if fine > 1:
        return fine_codes(values, port.real_scale, port.zero_point, fine).astype(np.uint8)
    lo, hi = (-128, 127) if port.signed else (0, 255)
    codes = np.rint(np.asarray(values, np.float64) / port.real_scale) + port.zero_point
    return np.asarray(np.clip(codes, lo, hi).astype(np.int16).astype(np.uint8))


def dequantise_port(port: Port, data: Bytes, fine: int = 1) -> npt.NDArray[np.float64]:
    """Code bytes of a port as real values; `fine` as for `quantise_port`."""
    codes = data.view(np.int8) if port.signed else data
    values = port.real_scale * (codes.astype(np.float64) - port.zero_point)
    if fine == 1:
        return values
    whole, rest = np.split(values, 2, axis=-1)
    return np.asarray(whole + rest / fine)
