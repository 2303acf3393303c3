"""Quantise a graph for a chip, operation by operation, on the chip's own integers.

The calibration set runs through the layers that are already quantised, so every search sees the
codes that the chip will see, and aims at the real outputs of the original model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Floats, Graph, Op, QParams, Tensor
from norcim.ir.lowered import LayerError, QuantGraph, QuantOp, TileShape
from norcim.quantise import simple_ops
from norcim.quantise.conv_plan import (
    ConvTask,
    Weights,
    forward,
    line_zero,
    wordline_codes,
)
from norcim.quantise.equalise import equalise
from norcim.quantise.requantise_search import fit_columns, search_requantise
from norcim.quantise.rows import sample_positions
from norcim.quantise.scales import (
    activation_qparams,
    fake_quantise,
    quantise,
    sample,
    weight_codes,
)
from norcim.quantise.shift_search import choose_copies, import_shift, search_shift
from norcim.spec.program import Encoding, Rule, Stage

Codes = npt.NDArray[np.int64]
Floats64 = npt.NDArray[np.float64]
Progress = Callable[[str, int, int], None]

_POSITIONS = 8192
_LARGEST = 1e30  # real value: leaves float32 room for equalisation
_OCTAVE_TOLERANCE = 0.002  # two scales this far from a power of two apart count as one
_BIAS_LIMIT = 1 << 24  # of a digital bias, in steps of a column's sum: 32 bits with its fractions


@dataclass(frozen=True)
class Layout:
    """How convolutions go onto the chip; the mapper's side of the bargain.

    on_vector_path  whether a convolution runs beside the arrays
    tile            (convolution, wordlines an input) -> its tiles
    copies_of       convolution -> most copies of its wordlines that a tile can hold
    bias_rows       bias rows that every tile may use
    """

    on_vector_path: Callable[[Op], bool]
    tile: Callable[[Op, int], tuple[TileShape, ...]]
    copies_of: Callable[[Op], int]
    bias_rows: int


@dataclass
class _State:
    """What is known so far: parameters, codes and errors by tensor, and the finished steps."""

    chip: Chip
    graph: Graph
    layout: Layout
    expected: Mapping[str, Floats]
    q: dict[str, QParams]
    codes: dict[str, Codes]
    tied: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rescaled: list[str] = field(default_factory=list)
    done: list[QuantOp] = field(default_factory=list)
    errors: dict[str, LayerError] = field(default_factory=dict)


def quantise_graph(
    graph: Graph,
    chip: Chip,
    layout: Layout,
    calibration: Mapping[str, Floats],
    *,
    integer_inputs: bool = False,
    progress: Progress = lambda step, done, total: None,
) -> QuantGraph:
    """Quantise every tensor and weight.

    layout       how convolutions go onto the chip
    calibration  per graph input tensor, float32 (n, h, w, c); n may be 1 if nothing is to be chosen
    integer_inputs  the calibration inputs are codes 0..255: they become the input codes
    Returns the graph with parameters on every tensor.
    """
    with np.errstate(all="ignore"):  # what overflows is told just below
        expected = evaluate(graph, calibration, fake_quantise=_has_qparams(graph))
    _check_range(graph, expected)
    quarters: dict[str, tuple[int, ...]] = {}
    if not _has_qparams(graph):
        graph, quarters = equalise(graph, expected, per_column=chip.stage == Stage.REQUANTISE)
        expected = evaluate(graph, calibration)
    tied = _tied_operands(graph) if chip.stage == Stage.SHIFT else {}
    state = _State(chip, graph, layout, expected, {}, {}, tied)
    for port in graph.inputs:
        state.q[port.tensor] = _input_qparams(state, graph.tensors[port.tensor], integer_inputs)
        state.codes[port.tensor] = quantise(expected[port.tensor], state.q[port.tensor])
    last_use = {name: i for i, op in enumerate(graph.ops) for name in op.inputs}
    for index, op in enumerate(graph.ops):
        progress(f"quantise {op.node}", index, len(graph.ops))
        if op.kind == "conv":
            state.done.append(_conv(state, op))
            _note_error(state, op.output)
        else:
            _simple(state, _prepared(state, op))
        for name in op.inputs:
            if last_use[name] == index:
                state.codes.pop(name, None)
    progress("quantise", len(graph.ops), len(graph.ops))
    if state.rescaled:
        state.notes.append(
            f"{len(state.rescaled)} layer(s) whose own scales are not a power of two apart, as "
            f"chip {chip.name!r} needs, got new ones from the calibration set: "
            + ", ".join(state.rescaled)
        )
    _own_codes(state)
    tensors = {n: replace(t, qparams=state.q[n]) for n, t in state.graph.tensors.items()}
    quantised = replace(state.graph, tensors=tensors, ops=tuple(done.op for done in state.done))
    return QuantGraph(quantised, tuple(state.done), tuple(state.notes), quarters, state.errors)


def _prepared(state: _State, op: Op) -> Op:
    """The operation, after a table step for an input that it cannot take as it is."""
    if op.kind == "add" and state.chip.stage == Stage.SHIFT:
        return _level_operands(state, op)
    if op.kind == "pad":
        return _widen_for_border(state, op)
    return op


def _widen_for_border(state: _State, op: Op) -> Op:
    """A pad whose input's codes reach to the value of its border."""
    source, value = op.inputs[0], op.attrs["value"]
    q = state.q[source]
    if abs(fake_quantise(np.array(value), q) - value) <= q.scale:
        return op
    wanted = state.graph.tensors[op.output].qparams
    wide = wanted or activation_qparams(state.expected[op.output], (-math.inf, math.inf), q.signed)
    name = f"{op.output}~widened"
    _append_table(state, source, name, wide, op.node)
    return replace(op, inputs=(name,))


def _level_operands(state: _State, op: Op) -> Op:
    """An add whose operands' scales are a power of two apart, as the `shift` stage needs.

    Where they are not, a table brings the one that loses less by it to the next such scale.
    """
    a, b = (state.q[name].scale for name in op.inputs)
    octaves = math.log2(a / b)
    if abs(octaves - round(octaves)) < _OCTAVE_TOLERANCE:
        return op
    grow_a, grow_b = math.ceil(octaves) - octaves, octaves - math.floor(octaves)
    index = 0 if grow_a < grow_b else 1
    q = state.q[op.inputs[index]]
    scale = b * 2.0 ** math.ceil(octaves) if index == 0 else a * 2.0 ** -math.floor(octaves)
    base = q.lo + (q.zero_point - q.lo) * q.scale / scale
    name = f"{op.output}~levelled"
    _append_table(state, op.inputs[index], name, QParams(scale, round(base), q.signed), op.node)
    inputs = (name, op.inputs[1]) if index == 0 else (op.inputs[0], name)
    return replace(op, inputs=inputs)


def _own_codes(state: _State) -> None:
    """Append a table to every integer output whose codes are not the model's own.

    The chip may need other scales inside; who reads the output goes by the model's.
    """
    ports = []
    for port in state.graph.outputs:
        name, own = port.tensor, state.graph.tensors[port.tensor].qparams
        if port.codes != "float32" and own is not None and state.q[name] != own:
            shown = port.name or name
            state.notes.append(f"output {shown}: a table gives it the model's own codes")
            _append_table(state, name, f"{name}~codes", own, shown)
            port = replace(port, tensor=f"{name}~codes", name=shown)
        ports.append(port)
    state.graph = replace(state.graph, outputs=tuple(ports))


def _append_table(state: _State, source: str, name: str, q: QParams, node: str) -> None:
    """A step that gives a tensor's values other parameters, under another name."""
    tensor = Tensor(name, state.graph.tensors[source].shape, q)
    state.graph = replace(state.graph, tensors={**state.graph.tensors, name: tensor})
    state.expected = {**state.expected, name: state.expected[source]}
    _simple(state, Op("clip", node, (source,), name, MappingProxyType({"clamp": None})))


def _simple(state: _State, op: Op) -> None:
    state.done.append(
        simple_ops.quantise_op(op, state.q, state.codes, state.expected, state.graph, state.chip)
    )
    _note_error(state, op.output)


def _note_error(state: _State, name: str) -> None:
    state.errors[name] = _layer_error(state.codes[name], state.q[name], state.expected[name])


def _check_range(graph: Graph, expected: Mapping[str, Floats]) -> None:
    """Raises NC-E0403 if the calibration set drives a layer towards the end of float32."""
    for op in graph.ops:
        values = expected[op.output]
        largest = max(float(values.max()), -float(values.min()))
        if not largest <= _LARGEST:
            raise NorcimError(
                "NC-E0403", "the calibration set drives a layer out of range",
                where=op.node, expected=f"magnitudes up to {_LARGEST:g}", got=f"{largest:g}",
                fix="give inputs scaled as those that the model was trained on",
            )  # fmt: skip


def _layer_error(codes: Codes, q: QParams, expected: Floats) -> LayerError:
    """How far a layer is from the real one on the calibration set, errors before it included."""
    steps = (sample(expected) / q.scale) + q.zero_point
    difference = sample(codes) - steps
    noise, signal = float((difference**2).mean()), float(((steps - q.zero_point) ** 2).mean())
    ratio = 10 * math.log10(signal / noise) if noise > 0 and signal > 0 else None
    return LayerError(math.sqrt(noise), ratio)


def _tied_operands(graph: Graph) -> dict[str, str]:
    """For the operand of every add that a convolution makes last: the other operand."""
    made_by = {op.output: index for index, op in enumerate(graph.ops)}
    tied = {}
    for op in graph.ops:
        if op.kind != "add":
            continue
        first, last = sorted(op.inputs, key=lambda name: made_by.get(name, -1))
        if first != last and last in made_by and graph.ops[made_by[last]].kind == "conv":
            tied[last] = first
    return tied


def needs_calibration(graph: Graph, chip: Chip) -> bool:
    """Whether something has to be chosen from data: a tensor without parameters, or a gain."""
    open_tensor = any(tensor.qparams is None for tensor in graph.tensors.values())
    return open_tensor or chip.converter.rule != Rule.LOSSLESS


def _has_qparams(graph: Graph) -> bool:
    return any(tensor.qparams is not None for tensor in graph.tensors.values())


def _input_qparams(state: _State, tensor: Tensor, integer_inputs: bool) -> QParams:
    values = state.expected[tensor.name]
    shift_stage = state.chip.stage == Stage.SHIFT
    if tensor.qparams is not None:
        q = tensor.qparams
        if shift_stage and q.signed and q.zero_point == 0 and float(values.min()) >= 0:
            state.notes.append(
                f"input {tensor.name}: no negative value in the calibration set, "
                "so its codes drive the wordlines as uint8; negative inputs would read as 0"
            )
            return QParams(q.scale, 0, False)
        return q
    if integer_inputs:
        return QParams(1.0, 0, False)
    return activation_qparams(values, (-math.inf, math.inf), False)


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


def _conv(state: _State, op: Op) -> QuantOp:
    if state.chip.stage == Stage.SHIFT:
        return _conv_shift(state, op)
    return _conv_requantise(state, op)


def _task(state: _State, op: Op, encoding: Encoding, copies: int) -> ConvTask:
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


def _conv_requantise(state: _State, op: Op) -> QuantOp:
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


def _conv_shift(state: _State, op: Op) -> QuantOp:
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
    state: _State, task: ConvTask, weight: Weights, done: QuantOp, q_out: QParams
) -> QuantOp:
    """Remember the parameters and the codes that the layer gives on the calibration set."""
    assert done.conv is not None
    state.q[done.op.output] = q_out
    state.codes[done.op.output] = forward(task, weight, done.conv, q_out, done.clamp)
    return done


def clamp_codes(clamp: tuple[float, float], q: QParams) -> tuple[int, int]:
    """Real bounds of an activation as codes; an open side is the end of the code range."""
    lo, hi = (
        bound if math.isinf(bound) else round(bound / q.scale) + q.zero_point for bound in clamp
    )
    return int(max(lo, q.lo)), int(min(hi, q.hi))


def require_calibration(graph: Graph, chip: Chip) -> NorcimError:
    """The error for a missing calibration set."""
    return NorcimError(
        "NC-E0402",
        f"calibration inputs are needed to compile for chip {chip.name!r}",
        where=graph.name,
        why="activation ranges and converter gains are chosen on them",
        fix="pass --calibration FILE.npz with about 100 representative inputs",
        exit_code=EXIT_USAGE,
    )
