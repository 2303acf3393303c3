"""Fast kernels: each returns the work of one descriptor, bound to its arrays.

Values are float32 codes; every product and sum is exact because its bound is checked here, else
the kernel uses float64. Results equal `norcim.emulator.reference` bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from norcim.arith.float32 import EXACT_LIMIT
from norcim.emulator.arrays import Activation, Floats, Scratch, Thunk, tap_view, with_border
from norcim.emulator.reference import TileCells, missing_taps, tile_cells
from norcim.emulator.stages import (
    Ints,
    Real,
    Saturation,
    code_bounds,
    column_records,
    make_convert,
    make_digital,
    requantise_float64,
)
from norcim.emulator.steps import Border, needs_border
from norcim.image.model import ImageContent
from norcim.spec.program import BIAS_DRIVE, Descriptor, Encoding, Tile

CODE_LIMIT = 255
"""Largest magnitude of a code, whatever its sign."""


def run_all(work: Sequence[Thunk]) -> Thunk:
    """One thunk out of several."""
    if len(work) == 1:
        return work[0]

    def run() -> None:
        for item in work:
            item()

    return run


# --- matrix-vector multiply ---------------------------------------------------------------------


def effective_weights(d: Descriptor, tile: Tile, cells: TileCells) -> tuple[Ints, Ints] | None:
    """Weights on the raw codes (n_rows, n_cols) and a constant (n_cols,) that give the same sums.

    Copies of a wordline add up. OFFSET adds 128 to every input, PN drives w on positive and -w on
    negative inputs: both are a product with the raw code plus a constant. None if a PN tile's halves are not mirrored.
    """
    copies = cells.weights.astype(np.int64).reshape(1 + tile.repeats, -1, tile.n_cols)
    weights = copies.sum(axis=0)
    constant = BIAS_DRIVE * cells.bias.astype(np.int64).sum(axis=0)
    if d.encoding == Encoding.OFFSET:
        return weights, constant + 128 * weights.sum(axis=0)
    if d.encoding == Encoding.PN:
        positive, negative = np.split(weights, 2)
        if not np.array_equal(positive, -negative):
            return None
        return positive, constant - d.in_zp * positive.sum(axis=0)
    return weights, constant


def depthwise_taps(d: Descriptor, tile: Tile, weights: Ints) -> Floats | None:
    """Weights (kernel_h, kernel_w, c) of a block-diagonal tile, None if the tile is not one."""
    taps, c = d.kernel_h * d.kernel_w, tile.in_c_count
    if c < 2 or tile.n_cols != c or tile.n_rows != taps * c or d.stride_w != 1:
        return None
    blocks = weights.reshape(taps, c, c)
    diagonal = np.diagonal(blocks, axis1=1, axis2=2)
    if np.count_nonzero(blocks) != np.count_nonzero(diagonal):
        return None
    return diagonal.reshape(d.kernel_h, d.kernel_w, c).astype(np.float32)


def supports_mvm(d: Descriptor, content: ImageContent) -> bool:
    """Whether the fast path can run an MVM (all but PN tiles with unmirrored cells)."""
    tiles = content.tiles[d.tile_base : d.tile_base + d.n_tiles]
    return all(
        effective_weights(d, tile, tile_cells(content, tile, d.encoding)) is not None
        for tile in tiles
    )


def make_mvm(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats, saturation: Saturation,
    kernel_order: tuple[int, int], scratch: Scratch,
) -> Thunk:  # fmt: skip
    """Matrix-vector multiply: im2col, one product a tile, converter, sum, digital stage.

    kernel_order  axes of (kernel_h, kernel_w) in the order of the program's im2col vector
    """
    x, work = with_border(x, needs_border(d))
    columns: dict[tuple[int, int, bool], Floats] = {}
    group: list[_Part] = []
    for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
        weights, constant = _weights_of(d, content, tile)
        # A tile of whole vectors may take its inputs in any order: the arrays' own is fastest.
        whole = tile.n_rows == d.kernel_h * d.kernel_w * tile.in_c_count
        natural = whole or kernel_order == (0, 1)
        if whole and kernel_order == (1, 0):
            weights = _swap_kernel(d, tile, weights)
        bound = CODE_LIMIT * np.abs(weights).sum(axis=0)
        wide = int((bound + np.abs(constant)).max()) + (1 << tile.gain) >= EXACT_LIMIT
        dtype = np.float64 if wide else np.float32
        acc = scratch.take((len(out), d.out_h, d.out_w, tile.n_cols), dtype)
        taps = depthwise_taps(d, tile, weights) if whole and not wide else None
        if taps is not None:
            work.append(_make_taps(d, x, taps, tile.in_c_first, acc))
        else:
            key = (tile.in_c_first, tile.in_c_count, natural)
            if key not in columns:
                columns[key], gather = _im2col(d, x, key, scratch)
                work += gather
            rows = columns[key][:, tile.k_first : tile.k_first + tile.n_rows]
            work.append(_make_product(rows, weights, acc))
        group.append(_convert(d, tile, acc, bound, constant, saturation, work))
        if tile.last:
            work.append(_make_group(d, content, tile, group, out))
            group = []
    return run_all(work)


@dataclass(frozen=True)
class _Part:
    """Codes of one row tile: bound of their magnitude, a constant still to add, their step."""

    codes: Real
    bound: Ints
    constant: Ints
    step: int


def _convert(
    d: Descriptor, tile: Tile, acc: Real, bound: Ints, constant: Ints, saturation: Saturation,
    work: list[Thunk],
) -> _Part:  # fmt: skip
    """Append the converter's work; the constant can wait where nothing is rounded."""
    convert = make_convert(d, tile, acc, saturation)
    limit = bound
    if convert is not None:
        if constant.any():
            work.append(_make_add(acc, constant))
        work.append(convert)
        lo, hi = code_bounds(d)
        limit, constant = np.minimum(bound + np.abs(constant), max(-lo, hi)), 0 * constant
    if tile.align:
        work.append(_make_scale(acc, 1 << tile.align))
    return _Part(acc, limit << tile.align, constant << tile.align, 1 << tile.align)


def _weights_of(d: Descriptor, content: ImageContent, tile: Tile) -> tuple[Ints, Ints]:
    found = effective_weights(d, tile, tile_cells(content, tile, d.encoding))
    assert found is not None, "supports_mvm was not asked"
    return found


def _swap_kernel(d: Descriptor, tile: Tile, weights: Ints) -> Ints:
    """Rows in (kernel_w, kernel_h, c) order, brought to (kernel_h, kernel_w, c)."""
    if tile.n_rows != d.kernel_h * d.kernel_w * tile.in_c_count:
        return weights
    parts = weights.reshape(d.kernel_w, d.kernel_h, tile.in_c_count, tile.n_cols)
    return parts.swapaxes(0, 1).reshape(weights.shape)


def _im2col(
    d: Descriptor, x: Activation, key: tuple[int, int, bool], scratch: Scratch
) -> tuple[Floats, list[Thunk]]:
    """The im2col matrix (n * out_h * out_w, taps * channels) of a channel window.

    key  first channel, channels, and whether taps run in the arrays' order (else in the program's)
    """
    first, count, natural = key
    n, _, _, c = x.full.shape
    pointwise = d.kernel_h == d.kernel_w == d.stride_h == d.stride_w == 1
    if pointwise and count == c and x.interior.shape == x.full.shape:
        return x.full.reshape(-1, c), []
    view = tap_view(x, d)[..., first : first + count]
    if not natural:
        view = view.swapaxes(3, 4)
    matrix: Floats = scratch.take(
        (n * d.out_h * d.out_w, d.kernel_h * d.kernel_w * count), np.float32
    )
    target = matrix.reshape(view.shape)
    return matrix, [lambda: np.copyto(target, view)]


def _make_product(rows: Floats, weights: Ints, acc: Real) -> Thunk:
    flat = acc.reshape(-1, acc.shape[-1])
    operand = weights.astype(acc.dtype)
    if acc.dtype == np.float32:
        return lambda: np.matmul(rows, operand, out=flat)
    return lambda: np.matmul(rows.astype(np.float64), operand, out=flat)


def _make_taps(
    d: Descriptor, x: Activation, taps: Floats, first: int, acc: npt.NDArray[np.float32]
) -> Thunk:
    """Depthwise sums: one einsum whose inner loop runs over whole rows of (w, c)."""
    count = taps.shape[-1]
    if d.stride_w == 1 and count == x.full.shape[-1]:
        view = tap_view(x, d)
        n, row, _, tap_y, tap_x, channel = view.strides
        inner = d.out_w * count
        shape = (len(acc), d.out_h, d.kernel_h, d.kernel_w, inner)
        rows = as_strided(view, shape, (n, row, tap_y, tap_x, channel))
        tiled = np.ascontiguousarray(np.tile(taps, (1, 1, d.out_w)))
        flat = acc.reshape(len(acc), d.out_h, inner)
        return lambda: np.einsum("bhijn,ijn->bhn", rows, tiled, out=flat)
    windows = tap_view(x, d)[..., first : first + count]
    return lambda: np.einsum("bhwijc,ijc->bhwc", windows, taps, out=acc)


def _make_add(acc: Real, constant: Ints) -> Thunk:
    n, h, w, c = acc.shape
    flat = acc.reshape(n, h, w * c)
    tiled = np.tile(constant.astype(acc.dtype), w)
    return lambda: np.add(flat, tiled, out=flat)


def _make_scale(acc: Real, factor: int) -> Thunk:
    return lambda: np.multiply(acc, acc.dtype.type(factor), out=acc)


def _make_group(
    d: Descriptor, content: ImageContent, tile: Tile, group: list[_Part], out: Floats
) -> Thunk:
    """Sum the row tiles of a column group and run the digital stage."""
    bound = np.asarray(sum(part.bound for part in group))
    constant = np.asarray(sum(part.constant for part in group))
    first, rest = group[0].codes, [part.codes for part in group[1:]]
    reach = int((bound + np.abs(constant)).max()) + (1 << d.shift)
    wide = reach >= EXACT_LIMIT or any(c.dtype == np.float64 for c in (first, *rest))
    work: list[Thunk] = []
    total = first
    if wide and first.dtype == np.float32:
        total = np.empty(first.shape, np.float64)
        work.append(lambda: np.copyto(total, first))
    work += [_make_sum(total, codes) for codes in rest]
    span = slice(tile.out_c_first, tile.out_c_first + tile.n_cols)
    records = column_records(content, d.column_base + tile.out_c_first, tile.n_cols)
    step = min(part.step for part in group)
    work.append(make_digital(d, records, bound, total, out[..., span], constant, step))
    return run_all(work)


def _make_sum(total: Real, codes: Real) -> Thunk:
    return lambda: np.add(total, codes, out=total)


# --- vector path --------------------------------------------------------------------------------


def make_dwconv(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats,
    kernel_order: tuple[int, int], scratch: Scratch,
) -> Thunk:  # fmt: skip
    """Depthwise convolution on the vector path."""
    x, work = with_border(x, needs_border(d))
    count = d.kernel_h * d.kernel_w * d.in_c
    flat = np.frombuffer(content.vector_weights, np.int8, count, d.weight_base)
    if kernel_order == (0, 1):
        weights = flat.reshape(d.kernel_h, d.kernel_w, d.in_c)
    else:
        weights = flat.reshape(d.kernel_w, d.kernel_h, d.in_c).swapaxes(0, 1)
    bound = CODE_LIMIT * np.abs(weights.astype(np.int64)).sum(axis=(0, 1))
    wide = int(bound.max()) >= EXACT_LIMIT
    acc = scratch.take(out.shape, np.float64 if wide else np.float32)
    taps = np.ascontiguousarray(weights).astype(acc.dtype)
    if wide:
        view = tap_view(x, d)
        work.append(lambda: np.einsum("bhwijc,ijc->bhwc", view, taps, out=acc))
    else:
        work.append(_make_taps(d, x, taps, 0, acc))
    records = column_records(content, d.column_base, d.out_c)
    work.append(make_digital(d, records, bound, acc, out, np.zeros(d.out_c, np.int64)))
    return run_all(work)


def make_add(d: Descriptor, a: Activation, b: Activation, out: Floats, scratch: Scratch) -> Thunk:
    """Elementwise add in float64, where products of 9 and 16 bits and their sum are exact."""
    offset = float((1 << (d.shift - 1)) - d.in_zp * d.multiplier_a - d.in2_zp * d.multiplier_b)
    left, right = scratch.take(out.shape, np.float64), scratch.take(out.shape, np.float64)
    x, y = a.interior, b.interior
    scale = 2.0**-d.shift

    def run() -> None:
        np.multiply(x, float(d.multiplier_a), out=left, dtype=np.float64)
        np.multiply(y, float(d.multiplier_b), out=right, dtype=np.float64)
        np.add(left, right, out=left)
        np.add(left, offset, out=left)
        np.multiply(left, scale, out=left)
        np.floor(left, out=left)
        np.add(left, d.out_zp, out=left)
        left.clip(d.clamp_lo, d.clamp_hi, out=left)
        np.copyto(out, left, casting="same_kind")

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
    multiplier, shift = m[missing][..., None], k[missing][..., None]
    n_taps = d.kernel_h * d.kernel_w
    constant = np.array(-n_taps * d.in_zp, np.int64)
    axes: tuple[int, ...]
    dtype: np.dtype[np.floating]
    if x.full.shape[1:3] == (d.kernel_h, d.kernel_w) and n_taps * CODE_LIMIT < EXACT_LIMIT:
        # One window over everything: a plain sum, exact in float32.
        view, axes, dtype = x.full.reshape(len(out), 1, 1, n_taps, -1), (3,), np.dtype(np.float32)
    else:
        view, axes, dtype = tap_view(x, d), (3, 4), np.dtype(np.float64)

    def run() -> None:
        total = np.add.reduce(view, axis=axes, dtype=dtype).astype(np.float64)
        out[...] = requantise_float64(total, constant, multiplier, shift, d)

    return run_all([*work, run])


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
