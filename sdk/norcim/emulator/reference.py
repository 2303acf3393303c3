"""Executes a program one descriptor at a time with the golden arithmetic, on bytes.

This is the meaning of a program: the fast kernels, the gateware and the firmware are compared
with it. It is slow and has no shortcuts; the fast path falls back to it for rare steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim import arith
from norcim.emulator.regions import Bytes, input_regions, input_signs, output_region
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.spec.program import (
    BIAS_DRIVE,
    Descriptor,
    Function,
    Opcode,
    Stage,
    Tile,
    wordlines_per_input,
)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TileCells:
    """A tile's programmed cells: weights (wordlines, n_cols), bias (n_bias_rows, n_cols)."""

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int8]


def tile_cells(content: ImageContent, tile: Tile, encoding: int) -> TileCells:
    """Read a tile's cells from the image's weights."""
    n_lines = tile.n_rows * wordlines_per_input(encoding, tile)
    n_total = (n_lines + tile.n_bias_rows) * tile.n_cols
    flat = np.frombuffer(content.weights, np.int8, count=n_total, offset=tile.cells)
    cells = flat.reshape(n_lines + tile.n_bias_rows, tile.n_cols)
    return TileCells(cells[:n_lines], cells[n_lines:])


def signed_codes(data: Bytes, signed: int) -> Ints:
    """Bytes as int64 codes."""
    return data.view(np.int8).astype(np.int64) if signed else data.astype(np.int64)


def windows(codes: Ints, d: Descriptor, outside: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The taps of every window: (n, out_h, out_w, kernel_h, kernel_w, c), and which are inside.

    codes    (n, in_h, in_w, c)
    outside  what a tap outside the input reads as
    The mask has shape (out_h, out_w, kernel_h, kernel_w).
    """
    y = np.arange(d.out_h)[:, None] * d.stride_h - d.pad_top
    y = y + np.arange(d.kernel_h) * d.dilation_h
    x = np.arange(d.out_w)[:, None] * d.stride_w - d.pad_left
    x = x + np.arange(d.kernel_w) * d.dilation_w
    inside_y, inside_x = (y >= 0) & (y < d.in_h), (x >= 0) & (x < d.in_w)
    inside = inside_y[:, None, :, None] & inside_x[None, :, None, :]
    rows = np.clip(y, 0, d.in_h - 1)[:, None, :, None]
    cols = np.clip(x, 0, d.in_w - 1)[None, :, None, :]
    taps = codes[:, rows, cols, :]
    return np.where(inside[..., None], taps, outside), inside


def _pad_code(d: Descriptor) -> int:
    return d.pad_value - 256 if d.in_signed and d.pad_value > 127 else d.pad_value


def _finish(d: Descriptor, codes: Ints, content: ImageContent) -> Bytes:
    """Output bytes of clamped codes, through the table if the descriptor asks for it."""
    if d.use_table:
        table = np.frombuffer(content.tables, np.uint8, 256, d.table * 256)
        return arith.lookup(codes, table)
    return (codes & 0xFF).astype(np.uint8)


def _columns(content: ImageContent, first: int, count: int) -> tuple[Ints, Ints, Ints]:
    """Bias, multiplier and shift of column records."""
    records = content.columns[first : first + count]
    fields = [(c.bias, c.multiplier, c.shift) for c in records]
    bias, multiplier, shift = np.array(fields, np.int64).reshape(-1, 3).T
    return bias, multiplier, shift


def _clamped(d: Descriptor, codes: Ints) -> Ints:
    return np.clip(codes, d.clamp_lo, d.clamp_hi)


def tile_sums(d: Descriptor, tile: Tile, cells: TileCells, taps: Ints) -> Ints:
    """Column sums of one tile: (n, out_h, out_w, n_cols), bias rows included."""
    window = taps[..., tile.in_c_first : tile.in_c_first + tile.in_c_count]
    vector = window.reshape(*window.shape[:3], -1)
    vector = vector[..., tile.k_first : tile.k_first + tile.n_rows]
    lines = arith.encode_rows(vector, d.encoding, d.in_zp)
    lines = np.concatenate([lines] * (1 + tile.repeats), axis=-1)
    bias = BIAS_DRIVE * cells.bias.astype(np.int64).sum(axis=0)
    # Sums stay far below 2^53, so the float64 product is exact and runs on BLAS.
    product = lines.astype(np.float64) @ cells.weights.astype(np.float64)
    return np.asarray(product.astype(np.int64) + bias)


def _mvm(d: Descriptor, content: ImageContent, codes: Ints) -> tuple[Bytes, int]:
    taps, _ = windows(codes, d, _pad_code(d))
    out = np.zeros((len(codes), d.out_h, d.out_w, d.out_c), np.int64)
    saturated = 0
    total: Ints = np.zeros(0, np.int64)
    for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
        acc = tile_sums(d, tile, tile_cells(content, tile, d.encoding), taps)
        code = arith.convert(acc, d.rule, tile.gain, d.converter_bits)
        saturated += arith.count_saturated(acc, d.rule, tile.gain, d.converter_bits)
        aligned = arith.align_codes(code, tile.align)
        total = aligned if tile.first else total + aligned
        if tile.last:
            span = slice(tile.out_c_first, tile.out_c_first + tile.n_cols)
            out[..., span] = _digital(d, content, total, tile)
    return _finish(d, out, content), saturated


def _digital(d: Descriptor, content: ImageContent, total: Ints, tile: Tile) -> Ints:
    if d.stage == Stage.SHIFT:
        return arith.shift_codes(total, d.shift, d.out_zp, d.clamp_lo, d.clamp_hi)
    bias, m, k = _columns(content, d.column_base + tile.out_c_first, tile.n_cols)
    return arith.requantise(total + bias, m, k, d.out_zp, d.clamp_lo, d.clamp_hi)


def _dwconv(d: Descriptor, content: ImageContent, codes: Ints) -> tuple[Bytes, int]:
    taps, _ = windows(codes, d, _pad_code(d))
    count = d.kernel_h * d.kernel_w * d.in_c
    flat = np.frombuffer(content.vector_weights, np.int8, count, d.weight_base)
    weight = flat.reshape(d.kernel_h, d.kernel_w, d.in_c).astype(np.int64)
    bias, m, k = _columns(content, d.column_base, d.out_c)
    total = (taps * weight).sum(axis=(3, 4)) + bias
    y = arith.requantise(total, m, k, d.out_zp, d.clamp_lo, d.clamp_hi)
    return _finish(d, y, content), 0


def _add(d: Descriptor, content: ImageContent, a: Ints, b: Ints) -> tuple[Bytes, int]:
    zero_points, multipliers = (d.in_zp, d.in2_zp), (d.multiplier_a, d.multiplier_b)
    y = arith.add(a, b, zero_points, multipliers, d.shift, d.out_zp, d.clamp_lo, d.clamp_hi)
    return _finish(d, y, content), 0


def _mul(d: Descriptor, content: ImageContent, a: Ints, b: Ints) -> tuple[Bytes, int]:
    zero_points = (d.in_zp, d.in2_zp)
    y = arith.multiply(a, b, zero_points, d.multiplier_a, d.shift, d.out_zp, d.clamp_lo, d.clamp_hi)
    return _finish(d, y, content), 0


def _maxpool(d: Descriptor, content: ImageContent, codes: Ints) -> tuple[Bytes, int]:
    taps, inside = windows(codes, d, 0)
    flat = np.moveaxis(taps.reshape(*taps.shape[:3], -1, d.in_c), 3, -1)
    mask = inside.reshape(d.out_h, d.out_w, 1, -1)
    y = arith.max_pool(flat, np.broadcast_to(mask, flat.shape))
    return _finish(d, _clamped(d, y), content), 0


def missing_taps(d: Descriptor) -> Ints:
    """How many taps of each window lie outside the input, (out_h, out_w)."""
    _, inside = windows(np.zeros((1, d.in_h, d.in_w, 1), np.int64), d, 0)
    return np.asarray((~inside).sum(axis=(2, 3)))


def _avgpool(d: Descriptor, content: ImageContent, codes: Ints) -> tuple[Bytes, int]:
    taps, _ = windows(codes, d, d.in_zp)
    flat = np.moveaxis(taps.reshape(*taps.shape[:3], -1, d.in_c), 3, -1)
    missing = missing_taps(d)
    _, m, k = _columns(content, d.column_base, int(missing.max()) + 1)
    y = arith.average_pool(
        flat, d.in_zp, m[missing][..., None], k[missing][..., None],
        d.out_zp, d.clamp_lo, d.clamp_hi,
    )  # fmt: skip
    return _finish(d, y, content), 0


def _table(d: Descriptor, content: ImageContent, codes: Ints) -> tuple[Bytes, int]:
    return _finish(d, codes, content), 0


def _copy(d: Descriptor, content: ImageContent, codes: Ints) -> tuple[Bytes, int]:
    taps, _ = windows(codes, d, _pad_code(d))
    return _finish(d, taps[:, :, :, 0, 0], content), 0


def _softmax(d: Descriptor, content: ImageContent, codes: Ints) -> Ints:
    table = np.frombuffer(content.tables, "<u2", 256, d.argument * 256).astype(np.int64)
    return arith.softmax(codes, table, d.out_zp, d.clamp_hi)


def _arg_max(_d: Descriptor, _content: ImageContent, codes: Ints) -> Ints:
    return arith.arg_max(codes)


def _update(d: Descriptor, _content: ImageContent, gates: Ints, new: Ints, state: Ints) -> Ints:
    y = arith.update(
        gates[:, :, 0], new[:, 0, 0], state[:, :, 0], (d.in_zp, d.in2_zp),
        (d.multiplier_a, d.multiplier_b), d.shift,
    )  # fmt: skip
    return y[:, :, None]


FUNCTIONS: dict[int, Callable[..., Ints]] = {
    Function.SOFTMAX: _softmax,
    Function.ARGMAX: _arg_max,
    Function.UPDATE: _update,
}


def _firmware(d: Descriptor, content: ImageContent, *operands: Ints) -> tuple[Bytes, int]:
    if d.function not in FUNCTIONS:
        raise NorcimError(
            "NC-E0903", "unknown firmware step", expected=f"0..{max(Function)}",
            got=str(d.function), fix="compile the model again with this version of norcim",
        )  # fmt: skip
    return _finish(d, FUNCTIONS[d.function](d, content, *operands), content), 0


EXECUTE: dict[Opcode, Callable[..., tuple[Bytes, int]]] = {
    Opcode.MVM: _mvm,
    Opcode.DWCONV: _dwconv,
    Opcode.ADD: _add,
    Opcode.MUL: _mul,
    Opcode.MAXPOOL: _maxpool,
    Opcode.AVGPOOL: _avgpool,
    Opcode.TABLE: _table,
    Opcode.COPY: _copy,
    Opcode.FIRMWARE: _firmware,
}


def execute(d: Descriptor, content: ImageContent, memory: Bytes) -> int:
    """Run one descriptor on a batch of memories (n, n_bytes), in place.

    Returns how many conversions saturated.
    """
    operands = [
        signed_codes(np.ascontiguousarray(region.view(memory)), sign)
        for region, sign in zip(input_regions(d), input_signs(d), strict=False)
    ]
    out, saturated = EXECUTE[Opcode(d.opcode)](d, content, *operands)
    output_region(d).view(memory)[...] = out
    return saturated
