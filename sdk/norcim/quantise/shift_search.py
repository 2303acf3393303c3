"""Convolutions on chips whose converter code is the output: one divisor and one scale a layer.

The output scale is G * s_in * s_w, with G a power of two and s_w any real number, so scale, divisor
and zero point are searched together by least output error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from norcim import arith
from norcim.ir.graph import Op, QParams
from norcim.ir.lowered import QuantConv, QuantTile, TileShape
from norcim.quantise.conv_plan import (
    ConvTask,
    Ints,
    Real,
    Weights,
    make_tile,
    spread_bias,
    tile_sums,
)
from norcim.quantise.scales import clamp_codes, dequantise
from norcim.spec.program import BIAS_DRIVE, Stage

MOST_COPIES = 255
"""What a tile's record can say."""
_CELL_LIMIT = 127
_SEARCH_POSITIONS = 2048
_SHRINK = (1.0, 0.9, 0.8, 0.7)
_TIED_OCTAVES = range(-6, 7)
_FINEST_TIED = 4  # a tied weight scale may waste up to this factor beyond the free ones
_GROW = (1.0, 1.15, 1.3, 1.5, 1.7, 2.0)
_COARSE = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.5)


@dataclass(frozen=True)
class ShiftResult:
    """What the search decided for one layer.

    error  mean square of the outputs' error where the search looked
    """

    weight: Weights
    conv: QuantConv
    q_out: QParams
    clamp: tuple[int, int]
    error: float


@dataclass(frozen=True)
class _Trial:
    gain: int
    weight_scale: float
    zero_point: int


def search_shift(task: ConvTask, tied_scale: float | None = None) -> ShiftResult:
    """Search divisor, weight scale and zero point.

    tied_scale  if given, the output scale must be a power of two times it: the other operand of
                an add, on a chip that can only shift
    """
    assert task.op.weight is not None
    real = task.op.weight.astype(np.float64)
    peak = float(np.abs(real).max()) or 1.0
    lo_real, hi_real = _real_range(task)
    small = _subsample(task)
    best: tuple[float, _Trial] | None = None
    trials = _trials(task, peak, (lo_real, hi_real), tied_scale)
    for scale in sorted({trial.weight_scale for trial in trials}):
        weight = _codes(real, scale, task.copies)
        acc = [tile_sums(small.sampled.taps, weight, task.groups, tile) for tile in task.tiles]
        for trial in (t for t in trials if t.weight_scale == scale):
            error = _trial_error(small, weight, acc, trial)
            if best is None or error < best[0]:
                best = (error, trial)
    assert best is not None, "the trial list is never empty"
    return _build(task, real, *best)


def _real_range(task: ConvTask) -> tuple[float, float]:
    expected = task.sampled.expected
    return min(float(expected.min()), 0.0), max(float(expected.max()), 1e-6)


def _subsample(task: ConvTask) -> ConvTask:
    return replace(task, sampled=task.sampled.thinned(_SEARCH_POSITIONS))


def _trials(
    task: ConvTask, peak: float, span: tuple[float, float], tied_scale: float | None
) -> list[_Trial]:
    """Candidates whose 256 codes span between 45 % and 300 % of the real range."""
    converter = task.chip.converter
    limit = _CELL_LIMIT * task.copies
    lo, hi = span
    free = [peak / limit * f for f in (*_SHRINK, *_GROW[1:])]
    for_range = (hi - lo) / (255 * 2.0**converter.gain_hi * task.q_in.scale)
    coarse = max(_bias_scale(task), for_range)
    if coarse > free[-1]:
        free += [coarse * f for f in _COARSE]
    found = []
    for gain in task.gains:
        step = 2.0**gain * task.q_in.scale
        scales = free
        if tied_scale is not None:
            tied = [tied_scale * 2.0**n / step for n in _TIED_OCTAVES]
            scales = [s for s in tied if min(free) <= s <= _FINEST_TIED * max(free)]
        for weight_scale in scales:
            scale = step * weight_scale
            if not 0.45 * (hi - lo) <= 255 * scale <= 3 * (hi - lo):
                continue
            found += [_Trial(gain, weight_scale, z) for z in _zero_points(lo, hi, scale)]
    if found:
        return found
    # Nothing spans the range well: the smallest step that the weights can make is the nearest.
    return [_Trial(task.gains[0], peak / limit, 0)]


def _bias_scale(task: ConvTask) -> float:
    """The weight scale at which the bias rows just reach the largest bias.

    A bias that is large beside the weights asks for coarser weights than their peak does.
    """
    reach = BIAS_DRIVE * min(-_reach(task)[0], _reach(task)[1])
    return float(np.abs(task.bias).max(initial=0.0)) / (task.q_in.scale * max(1, reach))


def _zero_points(lo: float, hi: float, scale: float) -> list[int]:
    """Zero points worth a trial: all codes used, half of them for a positive output, centred."""
    low = int(np.clip(math.floor(-128 - lo / scale + 0.5), -128, 127))
    centred = int(np.clip(round(-0.5 - (lo + hi) / 2 / scale), -128, 127))
    return sorted({low, centred, max(low, -96), max(low, -64), 0})


def _bias_sums(
    task: ConvTask, weight: Weights, trial: _Trial, acc: list[Ints]
) -> list[npt.NDArray[np.int64]]:
    """Bias-row sums of every tile, so that the codes add up to real / scale + zero point.

    Row tiles of one column group are centred each on its own; what is left goes to the last, and
    what is beyond its reach to those before.
    """
    unit = task.q_in.scale * trial.weight_scale
    flat = weight.astype(np.int64).reshape(-1, weight.shape[-1]).sum(axis=0)
    want = task.bias / unit - task.zero * flat
    want = want + trial.zero_point * 2.0**trial.gain
    reach = _reach(task)
    sums: list[Ints] = []
    group: list[Ints] = []
    for index, shape in enumerate(task.tiles):
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        if not _is_last(task.tiles, index):
            total = np.rint(-acc[index].mean(axis=0) / BIAS_DRIVE)
            group.append(np.clip(total, *reach).astype(np.int64))
            continue
        left = np.rint(want[span] / BIAS_DRIVE - sum(group)).astype(np.int64)
        for place, total in enumerate(group):
            over = left - np.clip(left, *reach)
            group[place] = np.clip(total + over, *reach)
            left -= group[place] - total
        sums += [*group, left]
        group = []
    return sums


def _is_last(tiles: tuple[TileShape, ...], index: int) -> bool:
    return index + 1 == len(tiles) or tiles[index + 1].out_c_first != tiles[index].out_c_first


def _reach(task: ConvTask) -> tuple[int, int]:
    arrays = task.chip.arrays
    return task.bias_rows * arrays.cell_lo, task.bias_rows * arrays.cell_hi


def _codes(weight: npt.NDArray[np.float64], scale: float, copies: int) -> Weights:
    limit = _CELL_LIMIT * copies
    return np.clip(np.rint(weight / scale), -limit, limit).astype(np.int16)


def _total(task: ConvTask, acc: list[Ints], bias: list[Ints], gain: int, c_out: int) -> Ints:
    chip = task.chip.converter
    lo, hi = _reach(task)
    out = np.zeros((len(acc[0]), c_out), np.int64)
    for shape, sums, extra in zip(task.tiles, acc, bias, strict=True):
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        out[:, span] += arith.convert(
            sums + BIAS_DRIVE * np.clip(extra, lo, hi), chip.rule, gain, chip.bits
        )
    return out


def _clamp(task: ConvTask, q: QParams) -> tuple[int, int]:
    lo, hi = clamp_codes(task.clamp, q)
    return min(lo, q.hi), max(hi, q.lo)


def _q_out(task: ConvTask, trial: _Trial) -> QParams:
    scale = 2.0**trial.gain * task.q_in.scale * trial.weight_scale
    return QParams(scale, trial.zero_point, True)


def _trial_error(task: ConvTask, weight: Weights, acc: list[Ints], trial: _Trial) -> float:
    total = _total(task, acc, _bias_sums(task, weight, trial, acc), trial.gain, weight.shape[-1])
    q = _q_out(task, trial)
    codes = arith.shift_codes(total, 0, 0, *_clamp(task, q))
    return float(((dequantise(codes, q) - task.sampled.expected) ** 2).mean())


def _build(
    task: ConvTask, real: npt.NDArray[np.float64], error: float, trial: _Trial
) -> ShiftResult:
    weight = _codes(real, trial.weight_scale, task.copies)
    acc = [tile_sums(task.sampled.taps, weight, task.groups, shape) for shape in task.tiles]
    q = _q_out(task, trial)
    clamp = _clamp(task, q)
    bias = _bias_sums(task, weight, trial, acc)
    if task.correct_bias:
        bias = _correct(task, acc, bias, trial, q, clamp)
    return ShiftResult(weight, build_conv(task, weight, trial.gain, bias), q, clamp, error)


def build_conv(task: ConvTask, weight: Weights, gain: int, bias: list[Ints]) -> QuantConv:
    """The layer with its bias rows filled, as few as hold the sums."""
    arrays = task.chip.arrays
    lo, hi = _reach(task)
    tiles: list[QuantTile] = []
    for shape, sums in zip(task.tiles, bias, strict=True):
        total = np.clip(sums, lo, hi)
        rows = spread_bias(total, task.bias_rows, arrays.cell_lo, arrays.cell_hi)
        tiles.append(make_tile(shape, weight, task, gain, 0, rows))
    empty = np.zeros(0, np.int64)
    return QuantConv(
        task.encoding, tuple(tiles), Stage.SHIFT, empty, empty, empty, centre=task.centre
    )


def _correct(
    task: ConvTask, acc: list[Ints], bias: list[Ints], trial: _Trial, q: QParams,
    clamp: tuple[int, int],
) -> list[Ints]:  # fmt: skip
    """Take the mean error of each channel out of its last tile's bias where that helps."""
    expected = task.sampled.expected
    unit = BIAS_DRIVE * q.scale / 2.0**trial.gain

    def errors(sums: list[Ints]) -> Real:
        total = _total(task, acc, sums, trial.gain, expected.shape[1])
        return dequantise(arith.shift_codes(total, 0, 0, *clamp), q) - expected

    error = errors(bias)
    for _ in range(3):
        step = np.rint(error.mean(axis=0) / unit).astype(np.int64)
        moved = [
            sums - step[shape.out_c_first : shape.out_c_first + shape.n_cols]
            if _is_last(task.tiles, index)
            else sums
            for index, (shape, sums) in enumerate(zip(task.tiles, bias, strict=True))
        ]
        trial_error = errors(moved)
        better = (trial_error**2).mean(axis=0) < (error**2).mean(axis=0)
        if not better.any():
            break
        bias = [
            np.where(better[shape.out_c_first : shape.out_c_first + shape.n_cols], new, old)
            for shape, new, old in zip(task.tiles, moved, bias, strict=True)
        ]
        error[:, better] = trial_error[:, better]
    return bias


def import_shift(task: ConvTask, weight: Weights, weight_scale: float) -> ShiftResult | None:
    """Take a QDQ layer as it is, if its scales are a power of two apart; None if they are not.

    The real bias must be a multiple of 128 sums (what bias rows hold), and in reach.
    """
    assert task.q_out is not None
    converter, q = task.chip.converter, task.q_out
    gain = math.log2(q.scale / (task.q_in.scale * weight_scale))
    exact = abs(gain - round(gain)) < 1e-6
    if not exact or not converter.gain_lo <= round(gain) <= converter.gain_hi or not q.signed:
        return None
    trial = _Trial(round(gain), weight_scale, q.zero_point)
    acc = [np.zeros((1, shape.n_cols), np.int64) for shape in task.tiles]
    bias = _bias_sums(task, weight, trial, acc)
    lo, hi = _reach(task)
    if any((sums < lo).any() or (sums > hi).any() for sums in bias):
        return None
    if not _is_representable(task, weight, weight_scale):
        return None
    conv = build_conv(task, weight, trial.gain, bias)
    return ShiftResult(weight, conv, q, _clamp(task, q), 0.0)


def _is_representable(task: ConvTask, weight: Weights, weight_scale: float) -> bool:
    """Whether bias and zero-point correction are multiples of 128, which bias rows hold exactly."""
    unit = task.q_in.scale * weight_scale
    flat = weight.astype(np.int64).reshape(-1, weight.shape[-1]).sum(axis=0)
    wanted = task.bias / unit - task.zero * flat
    rest = wanted / BIAS_DRIVE - np.rint(wanted / BIAS_DRIVE)
    return bool(np.abs(rest).max(initial=0.0) < 1e-3)


def choose_copies(
    op: Op, in_scale: float, expected: npt.NDArray[np.float32], gain_lo: int, most: int
) -> int:
    """Wordlines an input needs so that the smallest divisor lets 256 codes span the outputs.

    most  as many as the array allows
    A layer with few inputs gives sums too small for the converter; copies of its wordlines make
    them larger, and the weights finer.
    """
    assert op.weight is not None
    spread = max(float(expected.max()), 0.0) - min(float(expected.min()), 0.0)
    if spread <= 0:
        return 1
    peak = float(np.abs(op.weight).max())
    need = 255 * 2.0**gain_lo * in_scale * peak / _CELL_LIMIT / spread
    return max(1, min(most, math.ceil(need)))
