"""Fast kernels: each returns the work of one descriptor, bound to its arrays.

Values are float32 codes; every product and sum is exact because its bound is checked here, else
the kernel uses float64. Results equal `norcim.emulator.reference` bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from norcim.emulator.arrays import Activation, Floats, Thunk, tap_view, with_border
from norcim.emulator.reference import TileCells, missing_taps, tile_cells
from norcim.emulator.rescale import EXACT_LIMIT, requantise_float64
from norcim.emulator.stages import (
    Ints,
    Real,
    Saturation,
    code_bounds,
    column_records,
    make_convert,
    make_digital,
)
from norcim.emulator.steps import Border, needs_border
from norcim.image.model import ImageContent
from norcim.spec.program import BIAS_DRIVE, Descriptor, Encoding, Rule, Tile

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

    Copies of a wordline add up. OFFSET adds 128 to every input, PN drives w on positive and -w on negative inputs: both are a
    product with the raw code plus a constant. None if a PN tile's halves are not mirrored.
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
        effective_weights(d, tile, tile_cells(content, tile, d.encoding)) is not None for tile in tiles
    )


def make_mvm(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats, saturation: Saturation,
    kernel_order: tuple[int, int],
) -> Thunk:  # fmt: skip
    """Matrix-vector multiply: im2col, one product a tile, converter, sum, digital stage.

    kernel_order  axes of (kernel_h, kernel_w) in the order of the program's im2col vector
    """
    x, work = with_border(x, needs_border(d))
    columns: dict[tuple[int, int], Floats] = {}
    n = len(out)
    group: list[tuple[Real, Ints, Ints]] = []
    for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
        weights, constant = _weights_of(d, content, tile)
        bound = CODE_LIMIT * np.abs(weights).sum(axis=0)
        window = (tile.in_c_first, tile.in_c_count)
        in_order = weights
        taps = depthwise_taps(d, tile, in_order) if kernel_order == (0, 1) else None
        if taps is None and kernel_order == (1, 0):
            taps = depthwise_taps(d, tile, _swap_kernel(d, tile, in_order))
        convert_constant = constant if d.rule != Rule.LOSSLESS else np.zeros_like(constant)
        left_over = constant - convert_constant
        wide = int((bound + np.abs(constant)).max()) + (1 << tile.gain) >= EXACT_LIMIT
        acc = np.empty((n, d.out_h, d.out_w, tile.n_cols), np.float64 if wide else np.float32)
        if taps is not None and not wide:
            work.append(_make_taps(d, x, taps, window[0], acc))
        else:
            if window not in columns:
                columns[window], gather = _im2col(d, x, window, kernel_order)
                work += gather
            rows = columns[window][:, tile.k_first : tile.k_first + tile.n_rows]
            work.append(_make_product(rows, weights, acc))
        if convert_constant.any():
            work.append(_make_add(acc, convert_constant))
        convert = make_convert(d, tile, acc, saturation)
        if convert is not None:
            work.append(convert)
            lo, hi = code_bounds(d)
            bound = np.minimum(bound + np.abs(constant), max(-lo, hi))
        if tile.align:
            work.append(_make_scale(acc, 1 << tile.align))
        group.append((acc, bound << tile.align, left_over << tile.align))
        if tile.last:
            work.append(_make_group(d, content, tile, group, out))
            group = []
    return run_all(work)


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
    d: Descriptor, x: Activation, window: tuple[int, int], kernel_order: tuple[int, int]
) -> tuple[Floats, list[Thunk]]:
    """The im2col matrix (n * out_h * out_w, taps * channels) of a channel window."""
    first, count = window
    n, _, _, c = x.full.shape
    pointwise = d.kernel_h == d.kernel_w == d.stride_h == d.stride_w == 1
    if pointwise and count == c and x.interior.shape == x.full.shape:
        return x.full.reshape(-1, c), []
    view = tap_view(x, d)[..., first : first + count]
    if kernel_order == (1, 0):
        view = view.swapaxes(3, 4)
    matrix = np.empty((n * d.out_h * d.out_w, d.kernel_h * d.kernel_w * count), np.float32)
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
    d: Descriptor, content: ImageContent, tile: Tile, group: list[tuple[Real, Ints, Ints]],
    out: Floats,
) -> Thunk:  # fmt: skip
    """Sum the row tiles of a column group and run the digital stage."""
    bound = np.asarray(sum(b for _, b, _ in group))
    constant = np.asarray(sum(c for _, _, c in group))
    total = group[0][0]
    rest = [acc for acc, _, _ in group[1:]]
    if rest and int(bound.max()) >= EXACT_LIMIT:
        total = total.astype(np.float64)
    elif any(acc.dtype == np.float64 for acc, _, _ in group):
        total = total if total.dtype == np.float64 else total.astype(np.float64)
    first = group[0][0]
    work: list[Thunk] = [] if total is first else [lambda: np.copyto(total, first)]
    work += [lambda acc=acc: np.add(total, acc, out=total) for acc in rest]  # type: ignore[misc]
    span = slice(tile.out_c_first, tile.out_c_first + tile.n_cols)
    records = column_records(content, d.column_base + tile.out_c_first, tile.n_cols)
    work.append(make_digital(d, records, bound, total, out[..., span], constant))
    return run_all(work)


# --- vector path --------------------------------------------------------------------------------


def make_dwconv(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats, kernel_order: tuple[int, int]
) -> Thunk:
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
    acc = np.empty((len(out), d.out_h, d.out_w, d.out_c), np.float64 if wide else np.float32)
    taps = np.ascontiguousarray(weights).astype(acc.dtype)
    if wide:
        view = tap_view(x, d)
        work.append(lambda: np.einsum("bhwijc,ijc->bhwc", view, taps, out=acc))
    else:
        work.append(_make_taps(d, x, taps, 0, acc))
    records = column_records(content, d.column_base, d.out_c)
    work.append(make_digital(d, records, bound, acc, out, np.zeros(d.out_c, np.int64)))
    return run_all(work)


def make_add(d: Descriptor, a: Activation, b: Activation, out: Floats) -> Thunk:
    """Elementwise add in float64, where products of 9 and 16 bits and their sum are exact."""
    offset = float((1 << (d.shift - 1)) - d.in_zp * d.multiplier_a - d.in2_zp * d.multiplier_b)
    left = np.empty(out.shape, np.float64)
    right = np.empty(out.shape, np.float64)
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
        np.clip(left, d.clamp_lo, d.clamp_hi, out=left)
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
        np.clip(out, d.clamp_lo, d.clamp_hi, out=out)

    return run_all([*work, run])


def make_avgpool(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats
) -> Thunk:
    """Average pool; window sums of codes less the zero point stay exact in float64."""
    need = needs_border(d)
    border = Border(need.top, need.left, need.bottom, need.right, d.in_zp if not need.empty else 0)
    x, work = with_border(x, border)
    view = tap_view(x, d)
    missing = missing_taps(d)
    _, m, k = column_records(content, d.column_base, int(missing.max()) + 1)
    multiplier, shift = m[missing][..., None], k[missing][..., None]
    constant = np.array(-d.kernel_h * d.kernel_w * d.in_zp, np.int64)

    def run() -> None:
        total = view.sum(axis=(3, 4), dtype=np.float64)
        out[...] = requantise_float64(
            total, constant, multiplier, shift, d.out_zp, d.clamp_lo, d.clamp_hi
        )

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
