"""Choose quantisation parameters of activations and weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.ir.graph import Floats, QParams

Real = npt.NDArray[np.float64]

_SHRINK = np.linspace(0.4, 1.0, 31)
_MAX_VALUES = 65536
_MOST_CODES = 1024
_LEAST_REPEATS = 4


def sample(values: npt.NDArray[Any], limit: int = _MAX_VALUES) -> Real:
    """At most `limit` values, taken at equal distances: deterministic, in float64."""
    flat = values.reshape(-1)
    return flat[:: even_step(flat.size, limit)].astype(np.float64)


def even_step(size: int, limit: int) -> int:
    """A step that takes at most `limit` of `size` elements and has no factor in common with it.

    A step that divides a tensor's inner size would see the same channels or columns again and
    again, and never the others.
    """
    step = max(1, -(-size // limit))
    while math.gcd(step, size) > 1:
        step += 1
    return step


def margin(n_inputs: int) -> float:
    """By what part a range observed on so many inputs is widened for those not seen.

    8 / n_inputs, at most a half: docs/decisions/0078.
    """
    return min(8 / n_inputs, 0.5)


def is_coded(values: Floats) -> bool:
    """Whether values are few and come again and again, as pixels do: their ends are known."""
    seen = sample(values)
    n_distinct = len(np.unique(seen))
    return n_distinct <= _MOST_CODES and n_distinct * _LEAST_REPEATS <= len(seen)


def activation_qparams(
    values: Floats, clamp: tuple[float, float], signed: bool, *, grow: bool = True
) -> QParams:
    """Scale and zero point with the least squared error on observed values, and room beyond.

    values  observed real values, (n, ...)
    clamp   the activation's own bounds (an open side is infinite)
    signed  codes are int8, else uint8
    grow    widen the range by the `margin` of n inputs, within the clamp
    The range always holds 0, so that zero padding is exact. Ranges from 40 % to all of the
    observed one are tried; ties go to the larger.
    """
    observed = sample(values)
    lo = min(float(values.min(initial=0.0)), 0.0)
    hi = max(float(values.max(initial=0.0)), 0.0)
    least, most = min(clamp[0], 0.0), max(clamp[1], 0.0)
    lo, hi = max(lo, least), min(hi, most)
    if hi - lo <= 0:
        return QParams(1.0, -128 if signed else 0, signed)
    best, best_error = 1.0, np.inf
    for shrink in _SHRINK[::-1]:
        trial = _affine(lo * shrink, hi * shrink, signed)
        error = float(np.mean((fake_quantise(observed, trial) - observed) ** 2))
        if error < best_error:
            best, best_error = float(shrink), error
    if grow:
        best *= 1 + margin(len(values))
    return _affine(max(lo * best, least), min(hi * best, most), signed)


def _affine(lo: float, hi: float, signed: bool) -> QParams:
    scale = float(hi - lo) / 255
    base = -128 if signed else 0
    zero_point = int(np.clip(round(base - lo / scale), base, base + 255))
    return QParams(scale, zero_point, signed)


def quantise(values: npt.ArrayLike, q: QParams) -> npt.NDArray[np.int64]:
    """Real values to codes: round half to even (as ONNX QuantizeLinear), zero point, saturate."""
    codes = np.rint(np.asarray(values, np.float64) / q.scale) + q.zero_point
    return np.asarray(np.clip(codes, q.lo, q.hi), np.int64)


def dequantise(codes: npt.ArrayLike, q: QParams) -> Real:
    """Codes to real values."""
    return np.asarray(q.scale * (np.asarray(codes, np.float64) - q.zero_point))


def fake_quantise(values: Real, q: QParams) -> Real:
    """Real values as the codes can hold them."""
    return dequantise(quantise(values, q), q)


def clamp_codes(clamp: tuple[float, float], q: QParams) -> tuple[int, int]:
    """Real bounds of an activation as codes; an open side is the end of the code range."""
    lo, hi = (
        bound if math.isinf(bound) else round(bound / q.scale) + q.zero_point for bound in clamp
    )
    return int(max(lo, q.lo)), int(min(hi, q.hi))


def weight_codes(
    weight: Floats, limit: int, least: npt.ArrayLike = 0.0
) -> tuple[npt.NDArray[np.int16], Real]:
    """Per-output-channel codes within +-limit and their scales (c_out,), `least` or more.

    Slightly clipped scales are tried per channel and kept where the squared error is smaller.
    """
    flat = weight.reshape(-1, weight.shape[-1]).astype(np.float64)
    peak = np.abs(flat).max(axis=0)
    peak[peak == 0] = 1.0
    scale = np.maximum(peak / limit, least)
    best_error = np.full(len(peak), np.inf)
    best = scale.copy()
    for shrink in (1.0, 0.95, 0.9, 0.85, 0.8):
        trial = np.maximum(scale * shrink, least)
        codes = np.clip(np.rint(flat / trial), -limit, limit)
        error = ((codes * trial - flat) ** 2).sum(axis=0)
        better = error < best_error
        best[better], best_error[better] = trial[better], error[better]
    return codes_of(weight, best, limit), best


def codes_of(weight: Floats, scale: Real, limit: int) -> npt.NDArray[np.int16]:
    """Codes of weights whose scale per output channel is given, within +-limit."""
    codes = np.clip(np.rint(weight.astype(np.float64) / scale), -limit, limit)
    return np.asarray(codes, np.int16)
