"""Convolutions on chips with a per-column requantiser: gain per tile, bias rows, columns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from norcim import arith
from norcim.arith.float32 import friendly_multipliers
from norcim.ir.graph import QParams
from norcim.ir.lowered import Cells, QuantConv, QuantTile, TileShape
from norcim.quantise.conv_plan import (
    ConvTask,
    Ints,
    Real,
    Weights,
    column_total,
    line_zero,
    make_tile,
    spread_bias,
    tile_sums,
    vector_total,
)
from norcim.quantise.scales import codes_of, dequantise
from norcim.spec.program import BIAS_DRIVE, Rule, Stage

FRACTION_BITS = 8
"""Codes of the finest tile are shifted left by this much: the digital bias has fractions.

By less where 32 bits would not hold the bias.
"""
_BIAS_LIMIT = 1 << 30
_FIT_POSITIONS = 2048
_FITS = (0.0, 0.6, 0.75, 0.9, 1.05, 1.3)  # of the scale at which a column's range just fits


def search_requantise(
    task: ConvTask, weight: Weights, weight_scale: Real, q_out: QParams, clamp: tuple[int, int]
) -> QuantConv:
    """Choose gains and bias rows by least output error, then the columns.

    weight        codes (kernel_h, kernel_w, c_in / groups, c_out)
    weight_scale  (c_out,)
    clamp         output codes
    """
    unit = task.q_in.scale * weight_scale  # real value of one LSB of a column sum
    weight_sum = weight.astype(np.int64).reshape(-1, weight.shape[-1]).sum(axis=0)
    offset = task.bias / unit - line_zero(task.q_in, task.encoding) * weight_sum
    window = _output_window(task, unit, offset, q_out, clamp)
    chosen = [_search_tile(task, weight, shape, unit, window) for shape in task.tiles]
    finest = min((gain for gain, _ in chosen), default=0)
    lossy = bool(task.tiles) and task.chip.converter.rule != Rule.LOSSLESS
    fraction = _fraction_bits(offset, chosen, task.tiles, finest) if lossy else 0
    tiles = tuple(
        make_tile(shape, weight, task, gain, gain - finest + fraction, bias)
        for shape, (gain, bias) in zip(task.tiles, chosen, strict=True)
    )
    return _columns(task, weight, tiles, unit, offset, finest - fraction, q_out, clamp)


def fit_columns(
    task: ConvTask, scale: Real, q_out: QParams, clamp: tuple[int, int]
) -> tuple[Weights, Real]:
    """Weight scales (c_out,) at which every column uses the converter well, and their codes.

    All columns of a tile share a gain, a power of two, but their sums differ in range. A coarser
    weight scale shrinks a column's sums, so for each gain every column takes the scale, among a
    few around the one that just fits its range, with the least error against the real outputs.
    """
    assert task.op.weight is not None
    limit = min(127, task.chip.arrays.cell_hi)
    small = _thinned(task)
    expected = small.sampled.expected
    spread = np.maximum(expected.max(axis=0) - expected.min(axis=0), q_out.scale)
    full = 1 << task.chip.converter.bits
    at_finest = spread / (full * task.q_in.scale * scale)  # divisor that a column would like
    usual = int(np.clip(round(math.log2(float(np.median(at_finest)))), 0, 30))
    best: tuple[float, Real] = (math.inf, scale)
    for gain in range(usual - 1, usual + 3):
        gain = int(np.clip(gain, task.chip.converter.gain_lo, task.chip.converter.gain_hi))
        chosen, least = scale.copy(), np.full(len(scale), math.inf)
        for factor in _FITS:
            trial = np.maximum(scale, spread / (full * task.q_in.scale * 2.0**gain) * factor)
            error = _column_errors(
                small, codes_of(task.op.weight, trial, limit), trial, gain, q_out, clamp
            )
            better = error < least
            chosen[better], least[better] = trial[better], error[better]
        if least.sum() < best[0]:
            best = (float(least.sum()), chosen)
    return codes_of(task.op.weight, best[1], limit), best[1]


def _thinned(task: ConvTask) -> ConvTask:
    step = max(1, len(task.sampled.taps) // _FIT_POSITIONS)
    taps, expected = task.sampled.taps[::step], task.sampled.expected[::step]
    return replace(task, sampled=replace(task.sampled, taps=taps, expected=expected))


def _column_errors(
    task: ConvTask, weight: Weights, scale: Real, gain: int, q_out: QParams, clamp: tuple[int, int]
) -> Real:
    """Mean square error of every column's real output with one gain for all tiles."""
    unit = task.q_in.scale * scale
    weight_sum = weight.astype(np.int64).reshape(-1, weight.shape[-1]).sum(axis=0)
    offset = task.bias / unit - line_zero(task.q_in, task.encoding) * weight_sum
    window = _output_window(task, unit, offset, q_out, clamp)
    converter = task.chip.converter
    seen = np.zeros((len(task.sampled.taps), len(scale)))
    for shape in task.tiles:
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        acc = tile_sums(task.sampled.taps, weight, task.groups, shape)
        pushed = BIAS_DRIVE * _tile_bias(task, acc, shape, window).astype(np.int64).sum(axis=0)
        code = arith.convert(acc + pushed, converter.rule, gain, converter.bits)
        seen[:, span] += (code << gain) - pushed
    real = np.clip(seen, *window) * unit + offset * unit
    return np.asarray(((real - task.sampled.expected) ** 2).mean(axis=0))


def _fraction_bits(
    offset: Real, chosen: list[tuple[int, Cells]], shapes: tuple[TileShape, ...], finest: int
) -> int:
    """As many bits of fraction as leave every column's bias within the limit."""
    bias = offset.copy()
    for (_, rows), shape in zip(chosen, shapes, strict=True):
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        bias[span] -= BIAS_DRIVE * rows.astype(np.float64).sum(axis=0)
    room = math.log2(_BIAS_LIMIT / max(1.0, float(np.abs(bias).max()) / 2.0**finest))
    return int(np.clip(math.floor(room), 0, FRACTION_BITS))


def _output_window(
    task: ConvTask, unit: Real, offset: Real, q_out: QParams, clamp: tuple[int, int]
) -> tuple[Real, Real]:
    """Column sums (n_cols,) at which the output reaches its smallest and its largest code."""
    lo = (clamp[0] - q_out.zero_point) * q_out.scale / unit - offset
    hi = (clamp[1] - q_out.zero_point) * q_out.scale / unit - offset
    return lo, hi


def _search_tile(
    task: ConvTask, weight: Weights, shape: TileShape, unit: Real, window: tuple[Real, Real]
) -> tuple[int, Cells]:
    """The gain and bias rows of one tile with the least squared error after the output clamp."""
    chip = task.chip
    span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
    if chip.converter.rule == Rule.LOSSLESS:
        return 0, np.zeros((0, shape.n_cols), np.int8)
    acc = tile_sums(task.sampled.taps, weight, task.groups, shape)
    low, high = _tile_window(task, shape, window)
    bias = _tile_bias(task, acc, shape, window)
    shifted = acc + BIAS_DRIVE * bias.astype(np.int64).sum(axis=0)
    target = np.clip(acc, low, high)
    best_gain, best_error = chip.converter.gain_hi, math.inf
    for gain in range(chip.converter.gain_lo, chip.converter.gain_hi + 1):
        code = arith.convert(shifted, chip.converter.rule, gain, chip.converter.bits)
        seen = (code << gain) - (shifted - acc)
        error = float((((np.clip(seen, low, high) - target) * unit[span]) ** 2).mean())
        if error < best_error:
            best_gain, best_error = gain, error
    return best_gain, bias


def _tile_window(task: ConvTask, shape: TileShape, window: tuple[Real, Real]) -> tuple[Real, Real]:
    """Column sums beyond which a tile's codes cannot change the output."""
    span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
    if _alone(task, shape):
        return window[0][span], window[1][span]
    return np.full(shape.n_cols, -np.inf), np.full(shape.n_cols, np.inf)


def _tile_bias(task: ConvTask, acc: Ints, shape: TileShape, window: tuple[Real, Real]) -> Cells:
    """Bias rows that centre what matters of a tile's sums."""
    low, high = _tile_window(task, shape, window)
    lo = np.clip(acc.min(axis=0).astype(np.float64), low, high)
    hi = np.clip(acc.max(axis=0).astype(np.float64), low, high)
    return _centring_bias(task, (lo + hi) / 2)


def _alone(task: ConvTask, shape: TileShape) -> bool:
    """Whether a tile is the only one of its column group: then its code decides the output."""
    return sum(other.out_c_first == shape.out_c_first for other in task.tiles) == 1


def _centring_bias(task: ConvTask, middle: Real) -> Cells:
    """Bias rows that bring the middle of each column's range to code 0, as far as they reach."""
    arrays, rows = task.chip.arrays, task.bias_rows
    lo, hi = rows * arrays.cell_lo, rows * arrays.cell_hi
    total = np.clip(np.rint(-middle / BIAS_DRIVE), lo, hi).astype(np.int64)
    return spread_bias(total, rows, arrays.cell_lo, arrays.cell_hi)


def _columns(
    task: ConvTask, weight: Weights, tiles: tuple[QuantTile, ...], unit: Real, offset: Real,
    lsb_log2: int, q_out: QParams, clamp: tuple[int, int],
) -> QuantConv:  # fmt: skip
    """Digital bias, multiplier and shift of every column; one LSB of the sum is 2^lsb_log2."""
    c_out = weight.shape[-1]
    pushed = np.zeros(c_out)
    for tile in tiles:
        span = slice(tile.shape.out_c_first, tile.shape.out_c_first + tile.shape.n_cols)
        pushed[span] += BIAS_DRIVE * tile.bias.astype(np.float64).sum(axis=0)
    lsb = 2.0**lsb_log2
    pairs = [arith.encode_multiplier(float(u) * lsb / q_out.scale) for u in unit]
    multiplier = np.array([m for m, _ in pairs], np.int64)
    shift = np.array([k for _, k in pairs], np.int64)
    limit, step = _sum_limit(weight, tiles, task)
    # Sum and bias together hold 32 bits whatever the cells are; beyond, the output clips anyway.
    reach = max(int(limit.max()), 383 * 128 * weight[..., 0].size)
    room = (1 << 31) - 1 - reach
    bias = np.clip(np.rint((offset - pushed) / lsb), -room, room).astype(np.int64)
    vector = None if tiles else weight.reshape(*weight.shape[:2], c_out).astype(np.int8)
    conv = QuantConv(task.encoding, tiles, Stage.REQUANTISE, bias, multiplier, shift, vector)
    if task.correct_bias:
        conv = _correct(task, weight, conv, unit * lsb, room, q_out, clamp)
    m = friendly_multipliers(conv.bias, multiplier, shift, q_out.zero_point, *clamp, limit, step)
    return replace(conv, multiplier=m)


def _sum_limit(weight: Weights, tiles: tuple[QuantTile, ...], task: ConvTask) -> tuple[Ints, int]:
    """Largest magnitude of every column's sum, and what all sums are multiples of."""
    if not tiles or task.chip.converter.rule == Rule.LOSSLESS:
        return 255 * np.abs(weight.astype(np.int64)).reshape(-1, weight.shape[-1]).sum(axis=0), 1
    limit = np.zeros(weight.shape[-1], np.int64)
    for tile in tiles:
        span = slice(tile.shape.out_c_first, tile.shape.out_c_first + tile.shape.n_cols)
        limit[span] += 1 << (task.chip.converter.bits - 1 + tile.align)
    return limit, min(1 << tile.align for tile in tiles)


def _correct(
    task: ConvTask, weight: Weights, conv: QuantConv, lsb_real: Real, room: int, q_out: QParams,
    clamp: tuple[int, int],
) -> QuantConv:  # fmt: skip
    """Take the mean error of each channel out of its bias where that lowers the squared error."""
    taps, expected = task.sampled.taps, task.sampled.expected
    if conv.vector_weights is not None:
        total = vector_total(taps, weight)
    else:
        total = column_total(taps, weight, conv, task)
    bias = conv.bias.copy()

    def errors(trial: Ints) -> Real:
        zero_point = q_out.zero_point
        codes = arith.requantise(total + trial, conv.multiplier, conv.shift, zero_point, *clamp)
        return dequantise(codes, q_out) - expected

    error = errors(bias)
    for _ in range(3):
        step = np.rint(error.mean(axis=0) / lsb_real)
        moved = np.clip(bias - step, -room, room).astype(np.int64)
        trial = errors(moved)
        better = (trial**2).mean(axis=0) < (error**2).mean(axis=0)
        if not better.any():
            break
        bias[better] = moved[better]
        error[:, better] = trial[:, better]
    return replace(conv, bias=bias)
