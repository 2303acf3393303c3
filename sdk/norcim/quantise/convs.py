"""Quantise a convolution: encoding, copies of wordlines, scales, and its codes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.ir.graph import Op, QParams
from norcim.ir.lowered import QuantOp, TileShape
from norcim.quantise.conv_plan import ConvTask, Weights, forward, line_offset, wordline_codes
from norcim.quantise.requantise_search import (
    converted_error,
    exact_error,
    fit_columns,
    search_requantise,
)
from norcim.quantise.rows import sample_positions
from norcim.quantise.scales import activation_qparams, clamp_codes, quantise, weight_codes
from norcim.quantise.shift_search import (
    MOST_COPIES,
    ShiftResult,
    choose_copies,
    import_shift,
    search_shift,
)
from norcim.quantise.state import State
from norcim.spec.program import Encoding, Rule, Stage

Floats64 = npt.NDArray[np.float64]

_POSITIONS = 8192
_WORTH = 0.8  # of the error: what a dearer reading has to gain
_MORE_TILES = (2, 3, 4, 6, 8)  # of the rows of a layer whose sums are small
_NEAR_EXACT = 1.6  # times the error of exact sums: nothing to gain beyond
_BIAS_LIMIT = 1 << 24  # of a digital bias, in steps of a column's sum: 32 bits with its fractions


@dataclass(frozen=True)
class _Drive:
    """How wordlines are driven: encoding, and the code that PN splits around."""

    encoding: Encoding
    centre: int = 0

    def zero(self, q: QParams) -> int:
        """The wordline value that stands for real 0."""
        if self.encoding == Encoding.PN:
            return q.zero_point - self.centre
        return q.zero_point + line_offset(self.encoding)


def _plain(q_in: QParams, chip: Chip) -> _Drive:
    """Unsigned codes drive the lines as they are; signed ones too where the drivers take them."""
    direct = chip.arrays.signed_rows or not q_in.signed
    return _Drive(Encoding.DIRECT if direct else Encoding.OFFSET)


def _needs_pn(op: Op, zero: int, chip: Chip, bias_rows: int, copies: int) -> bool:
    """Whether the zero-point correction of a layer is out of the bias rows' reach.

    zero    the wordline value that stands for real 0
    copies  wordlines that carry the same input: the correction grows with their number
    Only where nothing digital can correct after the converter: the `shift` stage. Half of the
    reach is kept for the bias and the output zero point.
    """
    assert op.weight is not None
    if chip.stage != Stage.SHIFT or zero == 0:
        return False
    if op.weight_codes is not None:
        codes = op.weight_codes.codes.astype(np.float64)
    else:
        codes = op.weight.astype(np.float64) * (127 / (float(np.abs(op.weight).max()) or 1.0))
    sums = np.abs(codes.reshape(-1, codes.shape[-1]).sum(axis=0)).max()
    return bool(copies * sums * zero / 128 > 64 * bias_rows)


def quantise_conv(state: State, op: Op) -> QuantOp:
    """Decide the integers of one convolution; adds its output to the state."""
    if state.chip.stage == Stage.SHIFT:
        return _conv_shift(state, op)
    return _conv_requantise(state, op)


def _task(state: State, op: Op, drive: _Drive, copies: int) -> ConvTask:
    """Everything that a search needs."""
    assert op.weight is not None
    q_in, chip, layout = state.q[op.inputs[0]], state.chip, state.layout
    lines = wordline_codes(state.codes[op.inputs[0]], drive.encoding, drive.centre)
    tiles: tuple[TileShape, ...] = ()
    if not layout.on_vector_path(op):
        per_input = copies * (2 if drive.encoding == Encoding.PN else 1)
        tiles = layout.tile(op, per_input, state.choice(op).row_tiles or 1)
    zero, expected = drive.zero(q_in), state.expected[op.output]
    bias = np.zeros(op.weight.shape[-1]) if op.bias is None else op.bias.astype(np.float64)
    lossy = bool(tiles) and chip.converter.rule != Rule.LOSSLESS
    return ConvTask(
        op, chip, q_in, state.graph.tensors[op.output].qparams, lines,
        sample_positions(lines, op, zero, expected, _POSITIONS), drive.encoding, copies, tiles,
        layout.bias_rows, zero, bias, op.attrs["clamp"] or (-math.inf, math.inf),
        len(state.codes[op.inputs[0]]), correct_bias=op.weight_codes is None or lossy,
        gain=state.choice(op).gain,
    )  # fmt: skip


def _conv_requantise(state: State, op: Op) -> QuantOp:
    earlier = _earlier(state, op)
    if earlier is not None:
        return earlier
    on_vector = state.layout.on_vector_path(op)
    q_in = state.q[op.inputs[0]]
    drive = _Drive(Encoding.DIRECT) if on_vector else _plain(q_in, state.chip)
    task = _with_repeats(state, _task(state, op, drive, 1), drive)
    q_out = task.q_out or activation_qparams(state.expected[op.output], state.limits(op), False)
    clamp = clamp_codes(task.clamp, q_out)
    if task.tiles and state.chip.converter.rule != Rule.LOSSLESS:
        task, weight, scale = _best_reading(state, task, q_out, clamp)
    else:
        weight, scale = _exact_weights(task, q_out)
    conv = search_requantise(task, weight, scale, q_out, clamp)
    done = QuantOp(op, clamp, conv)
    task = replace(
        task, codes=wordline_codes(state.codes[op.inputs[0]], task.encoding, task.centre)
    )
    if op.output in state.repeats.values():
        state.leaders[op.output] = (task, weight, done)
    return _record(state, task, weight, done, q_out)


def _with_repeats(state: State, task: ConvTask, drive: _Drive) -> ConvTask:
    """The task on the real inputs of later convolutions that will be what this one becomes too."""
    op, tensors = task.op, state.graph.tensors
    later = [
        other
        for other in state.graph.ops
        if state.repeats.get(other.output) == op.output
        and task.q_out is not None
        and tensors[other.output].qparams == task.q_out
    ]
    if not later:
        return task
    inputs = [quantise(state.expected[other.inputs[0]], task.q_in) for other in later]
    lines = [wordline_codes(codes, drive.encoding, drive.centre) for codes in inputs]
    codes = np.concatenate([task.codes, *lines])
    expected = np.concatenate([state.expected[o.output] for o in (op, *later)])
    sampled = sample_positions(codes, op, task.zero, expected, _POSITIONS)
    return replace(task, codes=codes, sampled=sampled)


def _earlier(state: State, op: Op) -> QuantOp | None:
    """What an earlier convolution of equal weights became, if it has the same parameters."""
    found = state.leaders.get(state.repeats.get(op.output, ""))
    if found is None:
        return None
    task, weight, done = found
    q_out = state.q[done.op.output]
    same = (state.q[op.inputs[0]], state.graph.tensors[op.output].qparams) == (task.q_in, q_out)
    if not same or state.choice(op) != state.choice(done.op):
        return None
    codes = wordline_codes(state.codes[op.inputs[0]], task.encoding, task.centre)
    return _record(state, replace(task, codes=codes), weight, replace(done, op=op), q_out)


def _exact_weights(task: ConvTask, q_out: QParams) -> tuple[Weights, Floats64]:
    """The model's own codes, or those with the least error of each weight."""
    op = task.op
    if op.weight_codes is not None:
        return op.weight_codes.codes.astype(np.int16), op.weight_codes.scale
    assert op.weight is not None
    least = _least_scale(task.bias, task.q_in.scale, q_out.scale)
    return weight_codes(op.weight, min(127, task.chip.arrays.cell_hi), least)


def _best_reading(
    state: State, task: ConvTask, q_out: QParams, clamp: tuple[int, int]
) -> tuple[ConvTask, Weights, Floats64]:
    """The cheapest way of reading a layer's sums that is good enough, or the best there is.

    Row tiles and stacks come in the order of their price; a model's own weights are tried first,
    and fitted to the converter where they do not do.
    """
    exact, exact_scale = _exact_weights(task, q_out)
    power = float((task.sampled.expected**2).mean())
    least = exact_error(task, exact, exact_scale, q_out, clamp)
    enough = max(power / 10 ** (state.layout.layer_db / 10), _NEAR_EXACT * least)
    best: tuple[float, tuple[ConvTask, Weights, Floats64], int] | None = None
    for trial in _readings(state, task):
        extra = (trial.lines * trial.stack - 1) * sum(s.n_rows * s.n_cols for s in trial.tiles)
        ways = [fit_columns(trial, exact_scale, q_out, clamp)]
        if task.op.weight_codes is not None:
            ways.insert(0, (exact, exact_scale))
        for weight, scale in ways:
            error = converted_error(trial, weight, scale, q_out, clamp)
            if best is None or error < _WORTH * best[0]:
                best = error, (trial, weight, scale), extra
        if best is not None and best[0] <= enough:
            break
    assert best is not None, "one row tile without a stack is always tried"
    state.spent_cells += best[2]
    return best[1]


def _readings(state: State, task: ConvTask) -> Iterator[ConvTask]:
    """The layer as it is, then with what may help, as far as there are cells for it."""
    op, layout, choice = task.op, state.layout, state.choice(task.op)
    yield replace(task, stack=choice.stack or 1)
    if choice.row_tiles or choice.stack:
        return
    codes = state.codes[op.inputs[0]]
    split = _task(state, op, _Drive(Encoding.PN, round(float(codes.mean()))), 1)
    spare = layout.spare_cells - state.spent_cells
    n_cells = sum(shape.n_rows * shape.n_cols for shape in task.tiles)
    for row_tiles, stack, base in (
        (2, 1, task), (4, 1, task), (1, 2, task), (1, 1, split), (1, 2, split), (1, 4, task),
        (1, 4, split),
    ):  # fmt: skip
        if (stack * base.lines - 1) * n_cells > spare or row_tiles > layout.row_tiles:
            continue
        shapes = layout.tile(op, base.lines, row_tiles)
        if row_tiles == 1 or len(shapes) > len(base.tiles):
            yield replace(base, tiles=shapes, stack=stack)


def _least_scale(bias: Floats64, in_scale: float, out_scale: float) -> Floats64:
    """Smallest useful weight scale of every channel, float64 (c_out,).

    Folding batch normalisation into a dead channel leaves weights of 1e-20 beside a plain bias;
    steps below 2^-20 of an output step would only drive the integer bias out of 32 bits.
    """
    return np.maximum(np.abs(bias) / _BIAS_LIMIT, out_scale / 2.0**20) / in_scale


def _conv_shift(state: State, op: Op) -> QuantOp:
    q_in, chip, layout = state.q[op.inputs[0]], state.chip, state.layout
    plain, split = _plain(q_in, chip), _Drive(Encoding.PN, q_in.zero_point)
    zero = plain.zero(q_in)
    drive = split if _needs_pn(op, zero, chip, layout.bias_rows, 1) else plain
    task = _task(state, op, drive, 1)
    result = None
    if op.weight_codes is not None and task.q_out is not None and not state.choice(op).copies:
        scale = op.weight_codes.scale
        if float(np.ptp(scale)) == 0:
            result = import_shift(task, op.weight_codes.codes.astype(np.int16), float(scale[0]))
        if result is None:
            state.rescaled.append(op.node)
    if result is None:
        most = layout.copies_of(op)
        expected = state.expected[op.output]
        need = choose_copies(op, q_in.scale, expected, chip.converter.gain_lo, MOST_COPIES)
        copies = state.choice(op).copies or min(need, most)
        if _needs_pn(op, zero, chip, layout.bias_rows, copies):
            drive = split
        if drive == split:
            copies = min(copies, max(1, most // 2))
        if (drive.encoding, copies) != (task.encoding, task.copies):
            task = _task(state, op, drive, copies)
        other = state.tied.get(op.output, "")
        tied = state.q[other].scale if other in state.q else None
        result = search_shift(task, tied)
        if not state.choice(op).copies:
            task, result = _with_more_copies(state, task, drive, need, tied, result)
    q = result.q_out
    if result.clamp[0] >= 0 and q.zero_point == 0:
        q = QParams(q.scale, 0, False)
    return _record(state, task, result.weight, QuantOp(op, result.clamp, result.conv), q)


def _with_more_copies(
    state: State, task: ConvTask, drive: _Drive, need: int, tied: float | None, result: ShiftResult
) -> tuple[ConvTask, ShiftResult]:
    """Copies of wordlines that cut a dense layer into more row tiles, where that pays.

    Twice as many double the sums; twice as many tiles add half as much error again.
    """
    op, layout = task.op, state.layout
    enough = float((task.sampled.expected**2).mean()) / 10 ** (layout.layer_db / 10)
    n_rows = sum(shape.n_rows for shape in task.tiles if shape.out_c_first == 0)
    n_cells = sum(shape.n_rows * shape.n_cols for shape in task.tiles)
    most_rows = max(region.n_rows for region in task.chip.arrays.regions)
    lines = task.lines // task.copies
    spent, tried = 0, task.copies
    for n_tiles in _MORE_TILES if task.groups == 1 else ():
        if result.error <= enough:
            break
        copies = min(need, most_rows // -(-n_rows // n_tiles) // lines)
        extra = (copies - task.copies) * lines * n_cells
        if copies <= tried or state.spent_cells + spent + extra > layout.spare_cells:
            continue
        tried, trial = copies, _task(state, op, drive, copies)
        found = search_shift(trial, tied)
        if found.error < _WORTH * result.error:
            task, result, spent = trial, found, spent + extra
    state.spent_cells += spent
    return task, result


def _record(
    state: State, task: ConvTask, weight: Weights, done: QuantOp, q_out: QParams
) -> QuantOp:
    """Remember the parameters and the codes that the layer gives on the calibration set."""
    assert done.conv is not None
    state.q[done.op.output] = q_out
    state.codes[done.op.output] = forward(task, weight, done.conv, q_out, done.clamp)
    return done
