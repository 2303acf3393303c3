"""Quantise a convolution: encoding, copies of wordlines, scales, and its codes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.ir.graph import Op, QParams
from norcim.ir.lowered import QuantOp, TileShape
from norcim.quantise.conv_plan import ConvTask, Weights, forward, line_zero, wordline_codes
from norcim.quantise.requantise_search import fit_columns, search_requantise
from norcim.quantise.rows import sample_positions
from norcim.quantise.scales import activation_qparams, clamp_codes, weight_codes
from norcim.quantise.shift_search import choose_copies, import_shift, search_shift
from norcim.quantise.state import State
from norcim.spec.program import Encoding, Rule, Stage

Floats64 = npt.NDArray[np.float64]

_POSITIONS = 8192
_BIAS_LIMIT = 1 << 24  # of a digital bias, in steps of a column's sum: 32 bits with its fractions


def _encoding(q_in: QParams, chip: Chip) -> Encoding:
    """Unsigned codes drive the lines as they are; signed ones too where the drivers take them."""
    if chip.arrays.signed_rows or not q_in.signed:
        return Encoding.DIRECT
    return Encoding.OFFSET


def _needs_pn(
    op: Op, q_in: QParams, encoding: Encoding, chip: Chip, bias_rows: int, copies: int
) -> bool:
    """Whether the zero-point correction of a layer is out of the bias rows' reach.

    copies  wordlines that carry the same input: the correction grows with their number
    Only where nothing digital can correct after the converter: the `shift` stage. Half of the
    reach is kept for the bias and the output zero point.
    """
    assert op.weight is not None
    zero = line_zero(q_in, encoding)
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


def _task(state: State, op: Op, encoding: Encoding, copies: int) -> ConvTask:
    """Everything that a search needs."""
    assert op.weight is not None
    q_in, chip, layout = state.q[op.inputs[0]], state.chip, state.layout
    lines = wordline_codes(state.codes[op.inputs[0]], q_in, encoding)
    tiles: tuple[TileShape, ...] = ()
    if not layout.on_vector_path(op):
        tiles = layout.tile(op, copies * (2 if encoding == Encoding.PN else 1))
    zero, expected = line_zero(q_in, encoding), state.expected[op.output]
    bias = np.zeros(op.weight.shape[-1]) if op.bias is None else op.bias.astype(np.float64)
    lossy = bool(tiles) and chip.converter.rule != Rule.LOSSLESS
    return ConvTask(
        op, chip, q_in, state.graph.tensors[op.output].qparams, lines,
        sample_positions(lines, op, zero, expected, _POSITIONS), encoding, copies, tiles,
        layout.bias_rows, bias, op.attrs["clamp"] or (-math.inf, math.inf),
        correct_bias=op.weight_codes is None or lossy,
    )  # fmt: skip


def _conv_requantise(state: State, op: Op) -> QuantOp:
    on_vector = state.layout.on_vector_path(op)
    q_in = state.q[op.inputs[0]]
    task = _task(state, op, Encoding.DIRECT if on_vector else _encoding(q_in, state.chip), 1)
    q_out = task.q_out or activation_qparams(state.expected[op.output], task.clamp, False)
    if op.weight_codes is not None:
        weight, scale = op.weight_codes.codes.astype(np.int16), op.weight_codes.scale
    else:
        assert op.weight is not None
        least = _least_scale(task.bias, q_in.scale, q_out.scale)
        weight, scale = weight_codes(op.weight, min(127, task.chip.arrays.cell_hi), least)
    clamp = clamp_codes(task.clamp, q_out)
    if op.weight_codes is None and task.tiles and task.chip.converter.rule != Rule.LOSSLESS:
        weight, scale = fit_columns(task, scale, q_out, clamp)
    conv = search_requantise(task, weight, scale, q_out, clamp)
    return _record(state, task, weight, QuantOp(op, clamp, conv), q_out)


def _least_scale(bias: Floats64, in_scale: float, out_scale: float) -> Floats64:
    """Smallest useful weight scale of every channel, float64 (c_out,).

    Folding batch normalisation into a dead channel leaves weights of 1e-20 beside a plain bias;
    steps below 2^-20 of an output step would only drive the integer bias out of 32 bits.
    """
    return np.maximum(np.abs(bias) / _BIAS_LIMIT, out_scale / 2.0**20) / in_scale


def _conv_shift(state: State, op: Op) -> QuantOp:
    q_in, chip, layout = state.q[op.inputs[0]], state.chip, state.layout
    encoding = _encoding(q_in, chip)
    if _needs_pn(op, q_in, encoding, chip, layout.bias_rows, 1):
        encoding = Encoding.PN
    task = _task(state, op, encoding, 1)
    result = None
    if op.weight_codes is not None and task.q_out is not None:
        scale = op.weight_codes.scale
        if float(np.ptp(scale)) == 0:
            result = import_shift(task, op.weight_codes.codes.astype(np.int16), float(scale[0]))
        if result is None:
            state.rescaled.append(op.node)
    if result is None:
        most = layout.copies_of(op)
        copies = choose_copies(
            op, q_in.scale, state.expected[op.output], chip.converter.gain_lo, most
        )
        if _needs_pn(op, q_in, encoding, chip, layout.bias_rows, copies):
            encoding = Encoding.PN
        if encoding == Encoding.PN:
            copies = min(copies, max(1, most // 2))
        if (encoding, copies) != (task.encoding, task.copies):
            task = _task(state, op, encoding, copies)
        other = state.tied.get(op.output, "")
        result = search_shift(task, state.q[other].scale if other in state.q else None)
    q = result.q_out
    if result.clamp[0] >= 0 and q.zero_point == 0:
        q = QParams(q.scale, 0, False)
    return _record(state, task, result.weight, QuantOp(op, result.clamp, result.conv), q)


def _record(
    state: State, task: ConvTask, weight: Weights, done: QuantOp, q_out: QParams
) -> QuantOp:
    """Remember the parameters and the codes that the layer gives on the calibration set."""
    assert done.conv is not None
    state.q[done.op.output] = q_out
    state.codes[done.op.output] = forward(task, weight, done.conv, q_out, done.clamp)
    return done
