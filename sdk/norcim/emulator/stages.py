"""Converter and digital stage of the fast path, in place on float32 or float64 sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim.arith.float32 import Rescale, prove_rescale
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Rule, Stage, Tile

Ints = npt.NDArray[np.int64]
Real = npt.NDArray[np.floating]
Work = Callable[[], object]


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
        acc.clip(lo, hi, out=acc)

    def wtm2101() -> None:
        np.multiply(acc, acc.dtype.type(4) * factor, out=acc)
        np.trunc(acc, out=acc)
        np.add(acc, acc.dtype.type(2), out=acc)
        np.multiply(acc, acc.dtype.type(0.25), out=acc)
        np.floor(acc, out=acc)
        saturation.add(acc, lo, hi)
        acc.clip(lo, hi, out=acc)

    return wtm2101 if d.rule == Rule.WTM2101 else linear


def column_records(content: ImageContent, first: int, count: int) -> tuple[Ints, Ints, Ints]:
    """Bias, multiplier and shift of column records, int64 (count,)."""
    records = content.columns[first : first + count]
    fields = np.array([(c.bias, c.multiplier, c.shift) for c in records], np.int64).reshape(-1, 3)
    return fields[:, 0], fields[:, 1], fields[:, 2]


def requantise_float64(
    sums: npt.NDArray[np.float64], bias: Ints, m: Ints, k: Ints, d: Descriptor
) -> npt.NDArray[np.float64]:
    """The law in float64: (s + bias) * m + half stays an exact integer while |s + bias| < 2^36."""
    product = (sums + bias) * m.astype(np.float64) + np.ldexp(1.0, (k - 1).astype(np.int32))
    scaled = np.floor(product * np.ldexp(1.0, -k.astype(np.int32))) + d.out_zp
    return scaled.clip(d.clamp_lo, d.clamp_hi)


def make_digital(
    d: Descriptor, columns: tuple[Ints, Ints, Ints], bound: Ints, sums: Real, out: Real,
    constant: Ints, step: int = 1,
) -> Work:  # fmt: skip
    """Bias, requantise or shift, zero point and clamp: from sums (n, h, w, c) to out.

    bound     largest magnitude of each column's sum, int64 (c,), the constant not included
    constant  integer (c,) added to the sums first: what the fast path left out of the product
    step      the sums are multiples of it
    """
    if d.stage == Stage.SHIFT:
        return _make_shift(d, sums, out, constant)
    bias, m, k = columns
    total = bias + constant
    rescale = None
    if sums.dtype == np.float32:
        rescale = prove_rescale(total, m, k, d.out_zp, d.clamp_lo, d.clamp_hi, bound, step)
    if rescale is not None:
        return _make_proven(rescale, sums, out)

    def exact() -> None:
        out[...] = requantise_float64(sums.astype(np.float64), total, m, k, d)

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
        sums.clip(d.clamp_lo, d.clamp_hi, out=out)

    return shift


def _make_proven(rescale: Rescale, sums: Real, out: Real) -> Work:
    """Rows of (w, c) are one inner loop: the constants are tiled over w."""
    n, h, w, c = sums.shape
    flat = sums.reshape(n, h, w * c)
    bias, scale = np.tile(rescale.bias, w), np.tile(rescale.scale, w)
    has_bias = bool(bias.any())
    whole_rows = out.strides[2] == c * out.itemsize
    source, target = sums, out
    if whole_rows:
        row_strides = (out.strides[0], out.strides[1], out.itemsize)
        source = flat
        target = np.lib.stride_tricks.as_strided(out, (n, h, w * c), row_strides)
    lo, hi = np.float32(rescale.lo), np.float32(rescale.hi)
    zero_point = np.float32(rescale.zero_point)

    def run() -> None:
        if has_bias:
            np.add(flat, bias, out=flat)
        np.multiply(flat, scale, out=flat)
        np.rint(flat, out=flat)
        if zero_point:
            np.add(flat, zero_point, out=flat)
        source.clip(lo, hi, out=target)

    if not rescale.patches:
        return run
    columns = np.array([patch.column for patch in rescale.patches])
    sums_hit = np.array([patch.acc for patch in rescale.patches], np.float32)
    codes = np.array([patch.code for patch in rescale.patches], np.float32)

    def run_patched() -> None:
        hits = np.nonzero(sums[..., columns] == sums_hit)
        run()
        if len(hits[0]):
            out[hits[0], hits[1], hits[2], columns[hits[3]]] = codes[hits[3]]

    return run_patched
