"""Converter and digital stage of the fast path, in place on float32 or float64 sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.arith.float32 import EXACT_LIMIT, Rescale, prove_rescale
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Rule, Stage

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


def make_convert(
    d: Descriptor, gain: int, constant: npt.NDArray[Any], acc: Real, saturation: Saturation
) -> Work:
    """Turn column sums (n, h, w, c) plus a constant (c,), int64 or real, into codes, in place.

    With an integer constant all steps are exact: the sums are integers of at most 24 (53) bits,
    the factors powers of two, and adding constant / 2^gain and a half needs no bit below those
    of the sum. LOSSLESS has nothing to convert.
    """
    lo, hi = code_bounds(d)
    n, h, w, c = acc.shape
    rows = acc.reshape(n, h, w * c)
    real = acc.dtype.type
    factor = 2.0**-gain * (4 if d.rule == Rule.WTM2101 else 1)
    half = 0.0 if d.rule == Rule.WTM2101 else 0.5
    offset = np.tile((constant * factor + half).astype(acc.dtype), w)

    def run() -> None:
        if factor != 1:
            np.multiply(rows, real(factor), out=rows)
        np.add(rows, offset, out=rows)
        if d.rule == Rule.WTM2101:
            np.trunc(rows, out=rows)
            np.multiply(rows, real(0.25), out=rows)
            np.add(rows, real(0.5), out=rows)
        np.floor(rows, out=rows)
        saturation.add(rows, lo, hi)
        rows.clip(lo, hi, out=rows)

    return run


def column_records(content: ImageContent, first: int, count: int) -> tuple[Ints, Ints, Ints]:
    """Bias, multiplier and shift of column records, int64 (count,)."""
    records = content.columns[first : first + count]
    fields = np.array([(c.bias, c.multiplier, c.shift) for c in records], np.int64).reshape(-1, 3)
    return fields[:, 0], fields[:, 1], fields[:, 2]


@dataclass(frozen=True)
class Sums:
    """What the digital stage starts from.

    values    (n, h, w, c), overwritten
    bound     largest magnitude of each column of values * unit, int64 (c,)
    constant  integer (c,) that is still to be added to values * unit
    step      values * unit are multiples of it
    unit      power of two by which the values are still to be multiplied
    """

    values: Real
    bound: Ints
    constant: Ints
    step: int
    unit: int


def make_digital(d: Descriptor, columns: tuple[Ints, Ints, Ints], sums: Sums, out: Real) -> Work:
    """Bias, requantise or shift, zero point and clamp: from sums to out, both (n, h, w, c)."""
    if d.stage == Stage.SHIFT:
        return _make_shift(d, sums, out)
    bias, m, k = columns
    total = bias + sums.constant
    if sums.values.dtype == np.float32:
        clamp = (d.clamp_lo, d.clamp_hi)
        rescale = prove_rescale(total, m, k, d.out_zp, *clamp, sums.bound, sums.step)
        if rescale is not None:
            return _make_proven(rescale, sums, out)
    return make_exact(d, total, m, k, sums.values, out, sums.unit)


def make_exact(
    d: Descriptor, bias: Ints, m: Ints, k: Ints, values: Real, out: Real, unit: int = 1
) -> Work:
    """The law in float64, from values * unit.

    (s + bias) * m / 2^k + 1/2 is a multiple of 2^-k below 2^53 steps while |s + bias| < 2^36, so
    every operation is exact.
    """
    scale = m.astype(np.float64) * np.ldexp(1.0, -k.astype(np.int32))
    offset = bias * scale + 0.5
    wide = np.empty(values.shape, np.float64)

    def run() -> None:
        np.multiply(values, unit * scale, out=wide, dtype=np.float64)
        np.add(wide, offset, out=wide)
        np.floor(wide, out=wide)
        if d.out_zp:
            np.add(wide, float(d.out_zp), out=wide)
        wide.clip(d.clamp_lo, d.clamp_hi, out=out)

    return run


def _make_shift(d: Descriptor, sums: Sums, out: Real) -> Work:
    reach = int((sums.bound + np.abs(sums.constant)).max(initial=0)) + (1 << d.shift)
    source, values = sums.values, sums.values
    widen = values.dtype == np.float32 and reach >= EXACT_LIMIT
    if widen:
        values = np.empty(values.shape, np.float64)
    half = (sums.constant + ((1 << d.shift) >> 1)).astype(values.dtype)
    factor = values.dtype.type(2.0**-d.shift)
    plain = d.shift == 0 and not half.any()

    def shift() -> None:
        if widen:
            np.copyto(values, source)
        if sums.unit > 1:
            np.multiply(values, values.dtype.type(sums.unit), out=values)
        if not plain:
            np.add(values, half, out=values)
            np.multiply(values, factor, out=values)
            np.floor(values, out=values)
        if d.out_zp:
            np.add(values, values.dtype.type(d.out_zp), out=values)
        values.clip(d.clamp_lo, d.clamp_hi, out=out)

    return shift


def _make_proven(rescale: Rescale, sums: Sums, out: Real) -> Work:
    """Rows of (w, c) are one inner loop: the constants are tiled over w.

    The unit goes into the constants: scaling by a power of two commutes with every rounding.
    """
    values, unit = sums.values, np.float32(sums.unit)
    n, h, w, c = values.shape
    flat = values.reshape(n, h, w * c)
    bias, scale = np.tile(rescale.bias / unit, w), np.tile(rescale.scale * unit, w)
    has_bias = bool(bias.any())
    whole_rows = out.strides[2] == c * out.itemsize
    source, target = values, out
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
    sums_hit = np.array([patch.acc for patch in rescale.patches], np.float32) / unit
    codes = np.array([patch.code for patch in rescale.patches], np.float32)

    def run_patched() -> None:
        hits = np.nonzero(values[..., columns] == sums_hit)
        run()
        if len(hits[0]):
            out[hits[0], hits[1], hits[2], columns[hits[3]]] = codes[hits[3]]

    return run_patched
