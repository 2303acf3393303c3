"""Convolutions on chips with a per-column requantiser: gain per tile, bias rows, columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

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
    finish,
    make_tile,
    spread_bias,
    tile_sums,
    vector_total,
)
from norcim.quantise.scales import codes_of, dequantise, margin
from norcim.spec.program import BIAS_DRIVE, Rule, Stage

FRACTION_BITS = 8
"""Codes of the finest tile are shifted left by this much: the digital bias has fractions.

By less where 32 bits would not hold the bias.
"""
_BIAS_LIMIT = 1 << 30
_FIT_POSITIONS = 2048
_LEAST_DIVISOR = 0.5  # of a column that says something about the gain
_REACH = 4.0  # standard deviations of a column's sums: rarer ones may be clipped
_LIKELY = 5.0  # over the root of n inputs: how far beyond those seen a sum can be expected
_FITS = (0.0, 0.6, 0.75, 0.9, 1.05, 1.3)  # of the scale at which a column's range just fits


@dataclass(frozen=True)
class _Reading:
    """How a tile's sums are converted.

    bias    bias rows of every tile of the stack
    pushed  what they add to the sum that the codes stand for, (n_cols,)
    """

    gain: int
    bias: tuple[Cells, ...]
    pushed: Real


def search_requantise(
    task: ConvTask, weight: Weights, weight_scale: Real, q_out: QParams, clamp: tuple[int, int]
) -> QuantConv:
    """Choose gains and bias rows by least output error, then the columns.

    weight        codes (kernel_h, kernel_w, c_in / groups, c_out)
    weight_scale  (c_out,)
    clamp         output codes
    """
    unit, offset = _unit_and_offset(task, weight, weight_scale)
    window = _output_window(task, unit, offset, q_out, clamp)
    chosen = [_search_tile(task, weight, shape, unit, window) for shape in task.tiles]
    finest = min((reading.gain for reading in chosen), default=0)
    pushed = np.zeros(weight.shape[-1])
    for reading, shape in zip(chosen, task.tiles, strict=True):
        pushed[shape.out_c_first : shape.out_c_first + shape.n_cols] += reading.pushed
    lossy = bool(task.tiles) and task.chip.converter.rule != Rule.LOSSLESS
    fraction = _fraction_bits(offset - pushed, finest) if lossy else 0
    tiles = tuple(
        make_tile(shape, weight, task, reading.gain, reading.gain - finest + fraction, bias)
        for shape, reading in zip(task.tiles, chosen, strict=True)
        for bias in reading.bias
    )
    return _columns(task, weight, tiles, unit, offset - pushed, finest - fraction, q_out, clamp)


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
    wanted = _wanted_divisors(small, codes_of(task.op.weight, scale, limit), scale, q_out, clamp)
    alive = wanted[wanted >= _LEAST_DIVISOR]
    usual = round(math.log2(float(np.median(alive)))) if len(alive) else 0
    best: tuple[float, Real] = (math.inf, scale)
    for gain in range(usual - 1, usual + 3):
        gain = int(np.clip(gain, task.gains[0], task.gains[-1]))
        chosen, least = scale.copy(), np.full(len(scale), math.inf)
        for factor in _FITS:
            trial = np.maximum(scale, scale * wanted / 2.0**gain * factor)
            error = _column_errors(
                small, codes_of(task.op.weight, trial, limit), trial, gain, q_out, clamp
            )
            better = error < least
            chosen[better], least[better] = trial[better], error[better]
        if least.sum() < best[0]:
            best = (float(least.sum()), chosen)
    return codes_of(task.op.weight, best[1], limit), best[1]


def _wanted_divisors(
    task: ConvTask, weight: Weights, scale: Real, q_out: QParams, clamp: tuple[int, int]
) -> Real:
    """Divisor at which what matters of every column's sums just fills the codes, (c_out,)."""
    window = _output_window(task, *_unit_and_offset(task, weight, scale), q_out, clamp)
    wanted = np.zeros(weight.shape[-1])
    for shape in task.tiles:
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        acc = _tile_sums(task, weight, shape)
        seen = np.clip(acc, *_tile_window(task, shape, window))
        width = (seen.max(axis=0) - seen.min(axis=0)) / (task.stack << task.chip.converter.bits)
        wanted[span] = np.maximum(wanted[span], width)
    return wanted


def _unit_and_offset(task: ConvTask, weight: Weights, scale: Real) -> tuple[Real, Real]:
    """Real value of one LSB of a column's sum, and what is added to the sum, (c_out,) each."""
    unit = task.q_in.scale * scale
    weight_sum = weight.astype(np.int64).reshape(-1, weight.shape[-1]).sum(axis=0)
    return unit, task.bias / unit - task.zero * weight_sum


def exact_error(
    task: ConvTask, weight: Weights, weight_scale: Real, q_out: QParams, clamp: tuple[int, int]
) -> float:
    """Mean square error of the real outputs, on some positions, if the sums were read exactly."""
    small = _thinned(task)
    unit, offset = _unit_and_offset(task, weight, weight_scale)
    sums = np.zeros_like(small.sampled.expected)
    for shape in task.tiles:
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        sums[:, span] += tile_sums(small.sampled.taps, weight, task.groups, shape)
    real = (sums + offset) * unit
    codes = np.clip(np.rint(real / q_out.scale) + q_out.zero_point, *clamp)
    return _mean_square(codes, q_out, small)


def converted_error(
    task: ConvTask, weight: Weights, weight_scale: Real, q_out: QParams, clamp: tuple[int, int]
) -> float:
    """As `exact_error`, with the sums as the converter reads them at the best gains."""
    small = _thinned(task)
    conv = search_requantise(small, weight, weight_scale, q_out, clamp)
    total = column_total(small.sampled.taps, weight, conv, small)
    return _mean_square(finish(total, conv, q_out, clamp), q_out, small)


def _mean_square(codes: npt.ArrayLike, q_out: QParams, task: ConvTask) -> float:
    return float(((dequantise(codes, q_out) - task.sampled.expected) ** 2).mean())


def _thinned(task: ConvTask) -> ConvTask:
    return replace(task, sampled=task.sampled.thinned(_FIT_POSITIONS))


def _column_errors(
    task: ConvTask, weight: Weights, scale: Real, gain: int, q_out: QParams, clamp: tuple[int, int]
) -> Real:
    """Mean square error of every column's real output with one gain for all tiles."""
    unit, offset = _unit_and_offset(task, weight, scale)
    window = _output_window(task, unit, offset, q_out, clamp)
    exact = np.zeros((len(task.sampled.taps) + 2, len(scale)))
    seen = np.zeros_like(exact)
    for shape in task.tiles:
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        acc = _tile_sums(task, weight, shape)
        totals = _bias_totals(task, _middle(task, acc, shape, window), gain)
        exact[:, span] += acc
        seen[:, span] += _read(task, acc, totals, gain)
    wanted = (np.clip(exact, *window) + offset) * unit
    wanted[:-2] = task.sampled.expected
    real = (np.clip(seen, *window) + offset) * unit
    return np.asarray(((real - wanted) ** 2).mean(axis=0))


def _fraction_bits(bias: Real, finest: int) -> int:
    """As many bits of fraction as leave every column's bias within the limit."""
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
) -> _Reading:
    """The gain and bias rows of one tile with the least squared error after the output clamp."""
    chip = task.chip
    span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
    if chip.converter.rule == Rule.LOSSLESS:
        return _Reading(0, (np.zeros((0, shape.n_cols), np.int8),), np.zeros(shape.n_cols))
    acc = _tile_sums(task, weight, shape)
    low, high = _tile_window(task, shape, window)
    middle = _middle(task, acc, shape, window)
    target = np.clip(acc, low, high)
    best_gain, best_error = task.gains[-1], math.inf
    for gain in task.gains:
        seen = _read(task, acc, _bias_totals(task, middle, gain), gain)
        error = float((((np.clip(seen, low, high) - target) * unit[span]) ** 2).mean())
        if error < best_error:
            best_gain, best_error = gain, error
    totals = _bias_totals(task, middle, best_gain)
    arrays, rows = chip.arrays, task.bias_rows
    bias = tuple(spread_bias(total, rows, arrays.cell_lo, arrays.cell_hi) for total in totals)
    return _Reading(best_gain, bias, _pushed(totals, best_gain))


def _tile_sums(task: ConvTask, weight: Weights, shape: TileShape) -> Ints:
    """Column sums of a tile on the sampled positions, then two that no input has reached.

    (positions + 2, n_cols). The last two lie beyond the smallest and the largest sum of each
    column, by the `margin` of the calibration set, or as far as the column's standard deviation
    lets expect.
    """
    acc = tile_sums(task.sampled.taps, weight, task.groups, shape)
    mean, reach = acc.mean(axis=0), _REACH * acc.std(axis=0)
    grown, likely = 1 + margin(task.n_inputs), 1 + _LIKELY / math.sqrt(task.n_inputs)

    def beyond(end: Ints) -> Real:
        seen = np.abs(end - mean)
        return np.asarray(np.maximum(seen * grown, np.minimum(seen * likely, reach)))

    low, high = mean - beyond(acc.min(axis=0)), mean + beyond(acc.max(axis=0))
    return np.concatenate([acc, np.rint([low, high]).astype(np.int64)])


def _tile_window(task: ConvTask, shape: TileShape, window: tuple[Real, Real]) -> tuple[Real, Real]:
    """Column sums beyond which a tile's codes cannot change the output."""
    span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
    if _alone(task, shape):
        return window[0][span], window[1][span]
    return np.full(shape.n_cols, -np.inf), np.full(shape.n_cols, np.inf)


def _middle(task: ConvTask, acc: Ints, shape: TileShape, window: tuple[Real, Real]) -> Real:
    """Middle of what matters of every column's sums."""
    low, high = _tile_window(task, shape, window)
    lo = np.clip(acc.min(axis=0).astype(np.float64), low, high)
    hi = np.clip(acc.max(axis=0).astype(np.float64), low, high)
    return np.asarray((lo + hi) / 2)


def _alone(task: ConvTask, shape: TileShape) -> bool:
    """Whether a tile is the only one of its column group: then its code decides the output."""
    return sum(other.out_c_first == shape.out_c_first for other in task.tiles) == 1


def _bias_totals(task: ConvTask, middle: Real, gain: int) -> list[Ints]:
    """Bias cells' sum of every tile of the stack, as far as the bias rows reach.

    They bring the middle of each column's range to code 0. The tiles of a stack convert the same
    sums, each shifted by one range of codes from the one before: where one saturates the next
    goes on, so that their codes add up to a code of so many times the range.
    """
    arrays, rows = task.chip.arrays, task.bias_rows
    apart = round(((1 << task.chip.converter.bits) - 1) * 2.0**gain / BIAS_DRIVE)
    first = np.rint(-middle / BIAS_DRIVE) + (task.stack - 1) * apart // 2
    return [
        np.clip(first - n * apart, rows * arrays.cell_lo, rows * arrays.cell_hi).astype(np.int64)
        for n in range(task.stack)
    ]


def _pushed(totals: list[Ints], gain: int) -> Real:
    """What the bias rows of a stack add to the sum that its codes stand for, (n_cols,).

    In the stretch of tile n the n before it are at their largest code, 2^(b-1) - 1, and those
    after it at their smallest, -2^(b-1).
    """
    mean = BIAS_DRIVE * np.mean([total.astype(np.float64) for total in totals], axis=0)
    return np.asarray(mean - 2.0**gain * (len(totals) - 1) / 2)


def _read(task: ConvTask, acc: Ints, totals: list[Ints], gain: int) -> Real:
    """Sums as the converter's codes give them back."""
    converter = task.chip.converter
    code = np.zeros_like(acc)
    for total in totals:
        code += arith.convert(acc + BIAS_DRIVE * total, converter.rule, gain, converter.bits)
    return np.asarray((code << gain) - _pushed(totals, gain))


def _columns(
    task: ConvTask, weight: Weights, tiles: tuple[QuantTile, ...], unit: Real, missing: Real,
    lsb_log2: int, q_out: QParams, clamp: tuple[int, int],
) -> QuantConv:  # fmt: skip
    """Digital bias, multiplier and shift of every column; one LSB of the sum is 2^lsb_log2.

    missing  what the codes leave to the digital bias, (c_out,)
    """
    c_out = weight.shape[-1]
    lsb = 2.0**lsb_log2
    pairs = [arith.encode_multiplier(float(u) * lsb / q_out.scale) for u in unit]
    multiplier = np.array([m for m, _ in pairs], np.int64)
    shift = np.array([k for _, k in pairs], np.int64)
    limit, step = _sum_limit(weight, tiles, task)
    # Sum and bias together hold 32 bits whatever the cells are; beyond, the output clips anyway.
    reach = max(int(limit.max()), 383 * 128 * weight[..., 0].size)
    room = (1 << 31) - 1 - reach
    bias = np.clip(np.rint(missing / lsb), -room, room).astype(np.int64)
    vector = None if tiles else weight.reshape(*weight.shape[:2], c_out).astype(np.int8)
    conv = QuantConv(
        task.encoding, tiles, Stage.REQUANTISE, bias, multiplier, shift, vector, task.centre
    )
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
