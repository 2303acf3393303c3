"""Fast kernels of the vector path: each returns the work of one descriptor, bound to its arrays.

Values are float32 codes; every product and sum is exact because its bound is checked here, else
the kernel uses float64. Results equal `norcim.emulator.reference` bit for bit.
"""

from __future__ import annotations

import numpy as np

from norcim.arith.float32 import EXACT_LIMIT
from norcim.emulator.arrays import Activation, Floats, Scratch, Thunk, run_all, with_border
from norcim.emulator.reference import missing_taps
from norcim.emulator.stages import Sums, column_records, make_digital, make_exact
from norcim.emulator.steps import Border, needs_border
from norcim.emulator.taps import CODE_LIMIT, make_taps, tap_view
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor


def make_dwconv(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats,
    swapped: bool, scratch: Scratch,
) -> Thunk:  # fmt: skip
    """Depthwise convolution on the vector path."""
    x, work = with_border(x, needs_border(d))
    count = d.kernel_h * d.kernel_w * d.in_c
    flat = np.frombuffer(content.vector_weights, np.int8, count, d.weight_base).astype(np.int64)
    if swapped:
        weights = flat.reshape(d.kernel_w, d.kernel_h, d.in_c).swapaxes(0, 1)
    else:
        weights = flat.reshape(d.kernel_h, d.kernel_w, d.in_c)
    bound = CODE_LIMIT * np.abs(weights).sum(axis=(0, 1))
    wide = int(bound.max()) >= EXACT_LIMIT
    acc = scratch.take(out.shape, np.float64 if wide else np.float32)
    work.append(make_taps(d, x, weights, 0, acc))
    records = column_records(content, d.column_base, d.out_c)
    sums = Sums(acc, bound, np.zeros(d.out_c, np.int64), 1, 1)
    work.append(make_digital(d, records, sums, out))
    return run_all(work)


def make_add(d: Descriptor, a: Activation, b: Activation, out: Floats, scratch: Scratch) -> Thunk:
    """Elementwise add in float64: products of 9 and 16 bits over 2^k, and their sum, are exact."""
    scale = 2.0**-d.shift
    left_factor, right_factor = d.multiplier_a * scale, d.multiplier_b * scale
    offset = 0.5 - d.in_zp * left_factor - d.in2_zp * right_factor + d.out_zp
    left, right = scratch.take(out.shape, np.float64), scratch.take(out.shape, np.float64)
    x, y = a.interior, b.interior

    def run() -> None:
        np.multiply(x, left_factor, out=left, dtype=np.float64)
        np.multiply(y, right_factor, out=right, dtype=np.float64)
        np.add(left, right, out=left)
        np.add(left, offset, out=left)
        np.floor(left, out=left)
        left.clip(d.clamp_lo, d.clamp_hi, out=out)

    return run


def make_maxpool(d: Descriptor, x: Activation, out: Floats) -> Thunk:
    """Largest code of every window; the border holds a code below all others."""
    need = needs_border(d)
    border = Border(need.top, need.left, need.bottom, need.right, -32768 if not need.empty else 0)
    x, work = with_border(x, border)
    view = tap_view(x, d)
    taps = [view[:, :, :, i, j] for i in range(d.kernel_h) for j in range(d.kernel_w)]

    def run() -> None:
        np.copyto(out, taps[0])
        for tap in taps[1:]:
            np.maximum(out, tap, out=out)
        out.clip(d.clamp_lo, d.clamp_hi, out=out)

    return run_all([*work, run])


def make_avgpool(d: Descriptor, content: ImageContent, x: Activation, out: Floats) -> Thunk:
    """Average pool; window sums of codes less the zero point stay exact in float64."""
    need = needs_border(d)
    border = Border(need.top, need.left, need.bottom, need.right, d.in_zp if not need.empty else 0)
    x, work = with_border(x, border)
    missing = missing_taps(d)
    _, m, k = column_records(content, d.column_base, int(missing.max()) + 1)
    n_taps = d.kernel_h * d.kernel_w
    constant = np.array(-n_taps * d.in_zp, np.int64)
    axes: tuple[int, ...] = (3, 4)
    dtype: np.dtype[np.floating] = np.dtype(np.float64)
    view = tap_view(x, d)
    if x.full.shape[1:3] == (d.kernel_h, d.kernel_w) and n_taps * CODE_LIMIT < EXACT_LIMIT:
        # One window over everything: a plain sum, exact in float32.
        axes, view, dtype = (3,), x.full.reshape(len(out), 1, 1, n_taps, -1), np.dtype(np.float32)
    total = np.empty(out.shape, dtype)
    digital = make_exact(d, constant, m[missing][..., None], k[missing][..., None], total, out)
    return run_all([*work, lambda: np.add.reduce(view, axis=axes, out=total), digital])


def make_softmax(d: Descriptor, content: ImageContent, x: Activation, out: Floats) -> Thunk:
    """The firmware's softmax; all values are integers below 2^53."""
    table = np.frombuffer(content.tables, "<u2", 256, d.argument * 256).astype(np.float64)
    codes = x.interior

    def run() -> None:
        e = table[(codes.max(axis=-1, keepdims=True) - codes).astype(np.int64)]
        total = e.sum(axis=-1, keepdims=True)
        y = np.floor((256 * e + np.floor(total / 2)) / total) + d.out_zp
        np.copyto(out, np.minimum(y, d.clamp_hi), casting="same_kind")

    return run


def make_table(d: Descriptor, content: ImageContent, x: Floats, out: Floats) -> Thunk:
    """Look every code up; `x` and `out` may be the same array."""
    raw = np.frombuffer(content.tables, np.uint8, 256, d.table * 256)
    table = (raw.view(np.int8) if d.out_signed else raw).astype(np.float32)

    def run() -> None:
        out[...] = table[x.astype(np.int16).astype(np.uint8)]

    return run
