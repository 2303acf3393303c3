"""Converter and digital stage of the fast path, in place on float32 or float64 sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim.emulator.rescale import Rescale, prove_rescale, requantise_float64
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Rule, Stage, Tile

Ints = npt.NDArray[np.int64]
Real = npt.NDArray[np.floating]
Work = Callable[[], None]


@dataclass
class Saturation:
    """Counts saturated conversions of one descriptor while `enabled`."""

    enabled: bool = False
    count: int = 0

    def add(self, codes: Real, lo: int, hi: int) -> None:
        """Count codes outside lo..hi."""
        if self.enabled:
            self.count += int(np.count_nonzero((codes < lo) | (codes > hi)))


def code_bounds(d: Descriptor) -> tuple[int, int]:
    """Smallest and largest converter code; LOSSLESS has none (an empty range)."""
    if d.rule == Rule.LOSSLESS:
        return 0, 0
    if d.rule == Rule.WTM2101:
        return -128, 127
    return -(1 << (d.converter_bits - 1)), (1 << (d.converter_bits - 1)) - 1


def make_convert(d: Descriptor, tile: Tile, acc: Real, saturation: Saturation) -> Work | None:
    """Turn column sums into codes in place; None for LOSSLESS.

    All steps are exact: the sums are integers of at most 24 (53) bits, the factors powers of two,
    and adding a half to sum / 2^gain needs no bit below those of the sum and the half.
    """
    if d.rule == Rule.LOSSLESS:
        return None
    lo, hi = code_bounds(d)
    factor = acc.dtype.type(2.0**-tile.gain)

    def linear() -> None:
        np.multiply(acc, factor, out=acc)
        np.add(acc, acc.dtype.type(0.5), out=acc)
        np.floor(acc, out=acc)
        saturation.add(acc, lo, hi)
        np.clip(acc, lo, hi, out=acc)

    def wtm2101() -> None:
        np.multiply(acc, acc.dtype.type(4) * factor, out=acc)
        np.trunc(acc, out=acc)
        np.add(acc, acc.dtype.type(2), out=acc)
        np.multiply(acc, acc.dtype.type(0.25), out=acc)
        np.floor(acc, out=acc)
        saturation.add(acc, lo, hi)
        np.clip(acc, lo, hi, out=acc)

    return wtm2101 if d.rule == Rule.WTM2101 else linear


def column_records(content: ImageContent, first: int, count: int) -> tuple[Ints, Ints, Ints]:
    """Bias, multiplier and shift of column records, int64 (count,)."""
    records = content.columns[first : first + count]
    fields = np.array([(c.bias, c.multiplier, c.shift) for c in records], np.int64).reshape(-1, 3)
    return fields[:, 0], fields[:, 1], fields[:, 2]


def make_digital(
    d: Descriptor, columns: tuple[Ints, Ints, Ints], bound: Ints, sums: Real, out: Real,
    constant: Ints,
) -> Work:  # fmt: skip
    """Bias, requantise or shift, zero point and clamp: from sums (n, h, w, c) to out.

    bound     largest magnitude of each column's sum, int64 (c,), the constant not included
    constant  integer (c,) added to the sums first: what the fast path left out of the product
    """
    if d.stage == Stage.SHIFT:
        return _make_shift(d, sums, out, constant)
    bias, m, k = columns
    rescale = None
    if sums.dtype == np.float32:
        rescale = prove_rescale(bias + constant, m, k, d.out_zp, d.clamp_lo, d.clamp_hi, bound)
    if rescale is not None:
        return _make_proven(rescale, sums, out)
    total = bias + constant

    def exact() -> None:
        wide = sums.astype(np.float64)
        out[...] = requantise_float64(wide, total, m, k, d.out_zp, d.clamp_lo, d.clamp_hi)

    return exact


def _make_shift(d: Descriptor, sums: Real, out: Real, constant: Ints) -> Work:
    half = constant.astype(np.float64) + ((1 << d.shift) >> 1)
    plain = d.shift == 0 and not half.any()

    def shift() -> None:
        if not plain:
            np.add(sums, half.astype(sums.dtype), out=sums)
            np.multiply(sums, sums.dtype.type(2.0**-d.shift), out=sums)
            np.floor(sums, out=sums)
        if d.out_zp:
            np.add(sums, sums.dtype.type(d.out_zp), out=sums)
        np.clip(sums, d.clamp_lo, d.clamp_hi, out=out)

    return shift


def _make_proven(rescale: Rescale, sums: Real, out: Real) -> Work:
    """Rows of (w, c) are taken as one inner loop: the constants are tiled over w."""
    n, h, w, c = sums.shape
    merged = sums.strides[2] == c * sums.itemsize
    flat = sums.reshape(n, h, w * c) if merged else sums
    tiles = w if merged else 1
    bias, scale = np.tile(rescale.bias, tiles), np.tile(rescale.scale, tiles)
    contiguous = out.strides[2] == c * out.itemsize and merged
    target = np.lib.stride_tricks.as_strided(
        out, (n, h, w * c), (out.strides[0], out.strides[1], out.itemsize)
    ) if contiguous else out  # fmt: skip
    lo, hi = np.float32(rescale.lo), np.float32(rescale.hi)
    zero_point = np.float32(rescale.zero_point)
    patches = [(sums[..., p.column], p.acc, out[..., p.column], p.code) for p in rescale.patches]
    has_bias = bool(bias.any())

    def run() -> None:
        fixes = [(target_c, plane == acc, code) for plane, acc, target_c, code in patches]
        if has_bias:
            np.add(flat, bias, out=flat)
        np.multiply(flat, scale, out=flat)
        np.rint(flat, out=flat)
        if zero_point:
            np.add(flat, zero_point, out=flat)
        np.clip(flat if contiguous or not merged else sums, lo, hi, out=target)
        for plane, mask, code in fixes:
            plane[mask] = code

    return run
