"""Quantise a graph for a chip, operation by operation, on the chip's own integers.

The calibration set runs through the layers that are already quantised, so every search sees the
codes that the chip will see, and aims at the real outputs of the original model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from norcim.chips.model import Chip
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Floats, Graph, Op, QParams, Tensor, repeated_weights
from norcim.ir.lowered import LayerError, QuantGraph
from norcim.quantise import simple_ops
from norcim.quantise.convs import quantise_conv
from norcim.quantise.equalise import equalise
from norcim.quantise.gates import equalise_gated
from norcim.quantise.inputs import input_qparams, split_inputs
from norcim.quantise.levels import level_norms
from norcim.quantise.repeats import tie_repeats
from norcim.quantise.scales import (
    activation_qparams,
    dequantise,
    fake_quantise,
    quantise,
    sample,
)
from norcim.quantise.shift_search import MOST_COPIES, choose_copies
from norcim.quantise.spans import Span, limit_spans
from norcim.quantise.state import Codes, Layout, State
from norcim.spec.program import Rule, Stage

Progress = Callable[[str, int, int], None]

_LARGEST = 1e30  # real value: leaves float32 room for equalisation
_COPIES_MARGIN = 1.25
_MOST_CLASSES = 256
_OCTAVE_TOLERANCE = 0.002  # two scales this far from a power of two apart count as one


@dataclass(frozen=True)
class Prepared:
    """A graph ready to be quantised for a chip.

    expected  its real values on the calibration set, by tensor, (n, h, w, c), cut to what the
              readers can tell apart
    quarters  by tensor whose channels were scaled, see `QuantGraph`
    spans     by tensor that was cut, to what
    """

    graph: Graph
    expected: Mapping[str, Floats]
    quarters: Mapping[str, tuple[int, ...]]
    spans: Mapping[str, Span]


def prepare(graph: Graph, chip: Chip, calibration: Mapping[str, Floats]) -> Prepared:
    """Run the calibration set through a graph, and level its channels.

    calibration  per graph input tensor, float32 (n, h, w, c); n may be 1 if nothing is to be chosen
    Raises NC-E0403 if the calibration set drives a layer out of range.
    """
    with np.errstate(all="ignore"):  # what overflows is told just below
        expected = evaluate(graph, calibration, fake_quantise=_has_qparams(graph))
    _check_range(graph, expected)
    quarters: dict[str, tuple[int, ...]] = {}
    spans: dict[str, Span] = {}
    if not _has_qparams(graph):
        graph, quarters = equalise(graph, expected, per_column=chip.stage == Stage.REQUANTISE)
        expected = evaluate(graph, calibration)
        gated, more = equalise_gated(graph, expected, chip.stage == Stage.REQUANTISE)
        if more:
            graph, quarters = gated, {**quarters, **more}
            expected = evaluate(graph, calibration)
        levelled = level_norms(graph, expected)
        if levelled is not graph:
            graph = levelled
            expected = {**evaluate(graph, calibration), **_shared(expected, graph)}
        graph, expected, spans = limit_spans(graph, expected)
    return Prepared(graph, expected, quarters, spans)


def with_fine_inputs(prepared: Prepared, whole: frozenset[str]) -> Prepared:
    """The same graph with 12 bits for the inputs that need them; itself if there is none.

    whole  inputs that stay as they are
    """
    graph, expected = split_inputs(prepared.graph, prepared.expected, whole)
    return (
        prepared if graph is prepared.graph else replace(prepared, graph=graph, expected=expected)
    )


def _shared(values: Mapping[str, Floats], graph: Graph) -> dict[str, Floats]:
    return {name: array for name, array in values.items() if name in graph.tensors}


def wanted_copies(prepared: Prepared, chip: Chip) -> dict[str, int]:
    """Most wordlines that an input of each convolution should drive, by output tensor.

    A little more than the real ranges ask for: the layers before may choose others.
    """
    if chip.stage != Stage.SHIFT:
        return {}
    found = {}
    for op in prepared.graph.ops:
        if op.kind == "conv":
            values = prepared.expected[op.inputs[0]]
            limits = prepared.spans.get(op.inputs[0], (-math.inf, math.inf))
            q = activation_qparams(values, limits, False)
            expected = prepared.expected[op.output]
            scale = _COPIES_MARGIN * q.scale
            gain_lo = chip.converter.gain_lo
            found[op.output] = choose_copies(op, scale, expected, gain_lo, MOST_COPIES)
    return found


def quantise_graph(
    prepared: Prepared,
    chip: Chip,
    layout: Layout,
    *,
    integer_inputs: frozenset[str] = frozenset(),
    progress: Progress = lambda step, done, total: None,
) -> QuantGraph:
    """Quantise every tensor and weight.

    layout       how convolutions go onto the chip
    integer_inputs  input tensors whose calibration values are codes 0..255: they become the codes
    Returns the graph with parameters on every tensor.
    """
    graph, spans = prepared.graph, _spans(prepared, layout)
    expected = {
        name: np.clip(values, *spans[name]) if name in spans else values
        for name, values in prepared.expected.items()
    }
    tied = _tied_operands(graph) if chip.stage == Stage.SHIFT else {}
    repeats: dict[str, str] = {}
    if chip.stage == Stage.REQUANTISE:
        graph, repeats = tie_repeats(graph, expected), repeated_weights(graph)
    notes = [
        f"input {port.name or port.tensor}: 12 bits, as whole steps and sixteenths of a step"
        for port in graph.inputs
        if port.fine > 1
    ]
    notes += [
        f"input {port.name or port.tensor}: every sample goes in at one level, which outputs follow"
        for port in graph.inputs
        if port.level
    ]
    state = State(chip, graph, layout, expected, spans, {}, {}, tied, repeats, notes)
    for port in graph.inputs:
        state.q[port.tensor] = _input_qparams(state, graph.tensors[port.tensor], integer_inputs)
        state.codes[port.tensor] = quantise(expected[port.tensor], state.q[port.tensor])
    shown = {port.tensor for port in graph.outputs}
    last_use = {name: i for i, op in enumerate(graph.ops) for name in op.inputs}
    for index, op in enumerate(graph.ops):
        progress(f"quantise {op.node}", index, len(graph.ops))
        if op.kind == "conv":
            state.done.append(quantise_conv(state, op))
            _note_error(state, op.output)
        else:
            _simple(state, _prepared(state, op))
        for name in op.inputs:
            if last_use[name] == index and name not in shown:
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
    lost = [_lost_points(state, prepared, port.tensor) for port in prepared.graph.outputs]
    return QuantGraph(
        quantised, tuple(state.done), tuple(state.notes), prepared.quarters, state.errors,
        state.spent_cells, max(lost),
    )  # fmt: skip


def _lost_points(state: State, prepared: Prepared, name: str) -> float:
    """What an output loses, in percent: samples of another class, or the relative error.

    An output of 2 to 256 values is taken for the scores of classes.
    """
    codes, expected = state.codes[name], prepared.expected[name]
    codes, expected = codes.reshape(len(codes), -1), expected.reshape(len(codes), -1)
    if 2 <= expected.shape[1] <= _MOST_CLASSES:
        return 100 * float((codes.argmax(axis=1) != expected.argmax(axis=1)).mean())
    error = float(np.square(dequantise(codes, state.q[name]) - expected).mean())
    return 100 * math.sqrt(error / (float(np.square(expected).mean()) or 1.0))


def _spans(prepared: Prepared, layout: Layout) -> Mapping[str, Span]:
    """The ranges beyond which values are clipped on purpose, by tensor: the user's go first."""
    chosen = {op.output: layout.choices[op.node].range for op in prepared.graph.ops
              if op.node in layout.choices}  # fmt: skip
    return {**prepared.spans, **{name: span for name, span in chosen.items() if span is not None}}


def _prepared(state: State, op: Op) -> Op:
    """The operation, after a table step for an input that it cannot take as it is."""
    if op.kind == "add" and state.chip.stage == Stage.SHIFT:
        return _level_operands(state, op)
    if op.kind == "pad":
        return _widen_for_border(state, _rescaled(state, op))
    if op.kind in ("maxpool", "reshape", "transpose"):
        return _rescaled(state, op)
    return op


def _rescaled(state: State, op: Op) -> Op:
    """An operation that keeps codes, where the model gives its two sides different parameters."""
    tensors, source = state.graph.tensors, op.inputs[0]
    own, wanted = tensors[source].qparams, tensors[op.output].qparams
    if own is None or wanted is None or own == wanted or state.chip.stage == Stage.SHIFT:
        return op
    name = f"{op.output}~rescaled"
    _append_table(state, source, name, wanted, op.node)
    return replace(op, inputs=(name,))


def _widen_for_border(state: State, op: Op) -> Op:
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


def _level_operands(state: State, op: Op) -> Op:
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


def _own_codes(state: State) -> None:
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


def _append_table(state: State, source: str, name: str, q: QParams, node: str) -> None:
    """A step that gives a tensor's values other parameters, under another name."""
    tensor = Tensor(name, state.graph.tensors[source].shape, q)
    state.graph = replace(state.graph, tensors={**state.graph.tensors, name: tensor})
    state.expected = {**state.expected, name: state.expected[source]}
    _simple(state, Op("clip", node, (source,), name, MappingProxyType({"clamp": None})))


def _simple(state: State, op: Op) -> None:
    done = simple_ops.quantise_op(
        op, state.q, state.codes, state.expected, state.graph, state.chip, state.limits(op)
    )
    state.done.append(done)
    _note_error(state, op.output)


def _note_error(state: State, name: str) -> None:
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


def _input_qparams(state: State, tensor: Tensor, integer_inputs: frozenset[str]) -> QParams:
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
    if tensor.name in integer_inputs:
        return QParams(1.0, 0, False)
    return input_qparams(state.graph, state.expected, tensor.name)


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
