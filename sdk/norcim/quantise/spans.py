"""What of a tensor's range its readers can tell apart.

A sigmoid sees no difference between 8 and 40, so codes for all of that range are taken from where
it does: the range is chosen by the error behind the function. The cell state of an LSTM, most of
whose units stay within a few units of 0 while some count to hundreds, is only usable so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from norcim.ir.functions import apply_table
from norcim.ir.graph import Floats, Graph, Op, Port
from norcim.ir.ops import OPS
from norcim.quantise.scales import activation_qparams, margin, sample

Span = tuple[float, float]

SATURATING = ("sigmoid", "tanh", "hard_sigmoid", "erf", "softsign")
_MOVERS = ("move", "reshape", "transpose")
_ALL: Span = (-math.inf, math.inf)
_NONE: Span = (math.inf, -math.inf)


def limit_spans(
    graph: Graph, expected: Mapping[str, Floats]
) -> tuple[Graph, dict[str, Floats], dict[str, Span]]:
    """Cut the values that only saturating functions read to what these can tell apart.

    expected  real values by tensor, (n, h, w, c)
    Returns the graph with one set of parameters for both ends of a state that is cut, the
    values that a quantiser should aim at, and by tensor to what they were cut: a wider range would
    hold values that differ from those for nothing.
    """
    olds = {new.tensor: old.tensor for old, new in states(graph)}
    spans = _spans(graph, expected, set(olds))
    aimed = dict(expected)
    aimed.update({name: np.clip(expected[name], *span) for name, span in spans.items()})
    cut = _carried(graph, aimed, set(spans))
    tensors, ends = dict(graph.tensors), set()
    for new, old in olds.items():
        if new not in cut:
            continue
        aimed[old] = np.clip(expected[old], aimed[new].min(), aimed[new].max())
        both = np.concatenate([aimed[old].reshape(-1), aimed[new].reshape(-1)])
        q = activation_qparams(both, (-math.inf, math.inf), True, grow=False)
        for name in (old, new):
            tensors[name] = replace(tensors[name], qparams=q)
        ends.add(old)
    _carried(graph, aimed, ends)
    return replace(graph, tensors=tensors), aimed, spans


def _carried(graph: Graph, aimed: dict[str, Floats], cut: set[str]) -> set[str]:
    """Take cut values along where they only move; returns all that are cut now."""
    found = set(cut)
    for op in graph.ops:
        if (
            op.kind in (*_MOVERS, "widen")
            and op.output not in cut
            and found.intersection(op.inputs)
        ):
            sources = [aimed[source] for source in op.inputs]
            aimed[op.output] = OPS[op.kind].evaluate(op, sources, graph.tensors[op.output].shape)
            found.add(op.output)
    return found


def _spans(graph: Graph, expected: Mapping[str, Floats], states: set[str]) -> dict[str, Span]:
    """The real values that the readers of a tensor tell apart, for those that do not tell all.

    What only moves keeps its source's codes, so it has no span of its own.

    states  outputs that come back as inputs: they are cut like what else reads them
    """
    outputs = {port.tensor for port in graph.outputs}
    asked = {name: [_NONE if name in states else _ALL] for name in outputs}
    found: dict[str, Span] = {}
    for op in reversed(graph.ops):
        spans = asked.get(op.output, [_ALL])
        own = min(lo for lo, _ in spans), max(hi for _, hi in spans)
        if op.kind not in _MOVERS and math.isfinite(own[0]) and math.isfinite(own[1]):
            found[op.output] = own
        for index, name in enumerate(op.inputs):
            asked.setdefault(name, []).append(_read(op, index, own, expected))
    return found


def _read(op: Op, index: int, own: Span, expected: Mapping[str, Floats]) -> Span:
    """What an operation can tell apart of one of its inputs.

    own  what is told apart of its output
    """
    values = expected[op.inputs[index]]
    if op.kind == "table" and op.attrs["function"] in SATURATING:
        return _useful_span(values, op)
    if op.kind in _MOVERS:
        return own
    if op.kind == "widen" or (op.kind == "update" and index == 2):
        return _NONE  # goes on as the state that it is
    if own == _NONE:
        return _ALL
    if op.kind == "add" and op.attrs["clamp"] is None and op.inputs[0] != op.inputs[1]:
        other = expected[op.inputs[1 - index]]
        return own[0] - float(other.max()), own[1] - float(other.min())
    return _ALL


def states(graph: Graph) -> Iterable[tuple[Port, Port]]:
    """Inputs and the outputs that a caller hands back to them: the only ones of their shape."""
    if min(len(graph.inputs), len(graph.outputs)) < 2:
        return
    for old in graph.inputs:
        ends = [
            [port for port in ports if port.shape == old.shape]
            for ports in (graph.inputs, graph.outputs)
        ]
        if [len(end) for end in ends] == [1, 1] and ends[1][0].codes == old.codes == "float32":
            yield old, ends[1][0]


def _useful_span(values: Floats, op: Op) -> Span:
    """Up to where a rising function comes within half a code of its ends on the observed values.

    Their range is taken wider by what so few inputs may not have shown.
    """
    room = 1 + margin(len(values))
    observed = np.r_[sample(values), room * float(values.min()), room * float(values.max())]
    found = apply_table(op.attrs, observed)
    half = float(np.ptp(found)) / 510
    low = float(observed[found <= found.min() + half].max())
    high = float(observed[found >= found.max() - half].min())
    return min(low, high, 0.0), max(low, high, 0.0)
