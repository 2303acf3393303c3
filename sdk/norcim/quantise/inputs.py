"""Ranges of a network's inputs, and 12 bits for them, by what comes out of the network.

The first coefficient of a cepstrum reaches ten times as far as the others, but only in silence,
where nobody asks how silent it is: 8 bits for all of its range leave the others a few steps each.
The least squared error of the input itself does not see that; the error of the outputs does.

Where no part of the range does, an input goes in twice: in whole steps, and what is left of it in
sixteenths of a step, as further channels with a sixteenth of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from norcim.image.ports import fine_codes
from norcim.ir.evaluate import evaluate, fake_quantise
from norcim.ir.graph import Floats, Graph, QParams, Tensor
from norcim.quantise.scales import activation_qparams, dequantise, even_step, is_coded
from norcim.quantise.spans import Span, states
from norcim.quantise.state import LAYER_DB

_SHARES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4)  # of the usual range
_WORTH = 0.8  # of the error with the usual range: what another one has to gain
_MOST_INPUTS = 64
_ENOUGH = 10 ** (-LAYER_DB / 10)  # relative error of the outputs that an input may make
_ALIKE = 2.0  # times the largest value of an output: no state is larger
FINE = 16
_OPEN: Span = (-math.inf, math.inf)
_LAST_ZERO = 256 - FINE  # zero point that leaves codes for all parts of a step


def input_qparams(graph: Graph, expected: Mapping[str, Floats], name: str) -> QParams:
    """Scale and zero point of an input: the usual ones, or of a part of their range.

    expected  real values by tensor, (n, h, w, c)
    Shares are compared without the room for inputs not seen, which gains nothing on those seen; the
    best one gets it. What comes back as a state keeps the usual range, since what is clipped
    there is clipped again and again, and so do inputs whose values are coded already.
    """
    usual = activation_qparams(expected[name], _OPEN, False, grow=not is_coded(expected[name]))
    if not _is_free(graph, expected, name):
        return usual
    tight = activation_qparams(expected[name], _OPEN, False, grow=False)
    errors = [_output_error(graph, expected, name, _narrowed(tight, share)) for share in _SHARES]
    best = int(np.argmin(errors))
    return _narrowed(usual, _SHARES[best]) if errors[best] < _WORTH * errors[0] else usual


def split_inputs(
    graph: Graph, expected: Mapping[str, Floats], whole: Collection[str]
) -> tuple[Graph, Mapping[str, Floats]]:
    """Give float inputs 12 bits, where 8 alone cost the outputs more than a good layer does.

    expected  real values by tensor, (n, h, w, c)
    whole     inputs that stay as they are
    Only what convolutions read, and nothing else, can be split. Returns graph and values as they
    were if nothing is.
    """
    for port in graph.inputs:
        name = port.tensor
        readers = [op for op in graph.ops if name in op.inputs]
        plain = all(op.kind == "conv" and op.attrs["groups"] == 1 for op in readers)
        plain = plain and name not in {output.tensor for output in graph.outputs}
        taken = name in whole or port.codes != "float32" or graph.tensors[name].qparams
        if taken or not plain or not _is_free(graph, expected, name):
            continue
        q = activation_qparams(expected[name], _OPEN, False)
        error = _output_error(graph, expected, name, input_qparams(graph, expected, name))
        if error > _ENOUGH and q.zero_point <= _LAST_ZERO:
            graph, expected = _split(graph, name, q), dict(expected)
            codes = fine_codes(expected[name], q.scale, q.zero_point, FINE)
            expected[name] = dequantise(codes, q).astype(np.float32)
    return graph, expected


def _split(graph: Graph, name: str, q: QParams) -> Graph:
    """The graph with an input of twice the channels."""
    h, w, c = graph.tensors[name].shape
    tensors = {**graph.tensors, name: Tensor(name, (h, w, 2 * c), q)}
    inputs = [replace(p, fine=FINE) if p.tensor == name else p for p in graph.inputs]
    ops = [
        replace(op, weight=np.concatenate([op.weight, op.weight / np.float32(FINE)], axis=2))
        if name in op.inputs and op.weight is not None
        else op
        for op in graph.ops
    ]
    return replace(graph, tensors=tensors, inputs=tuple(inputs), ops=tuple(ops))


def _is_free(graph: Graph, expected: Mapping[str, Floats], name: str) -> bool:
    """Whether an input's range may be chosen by the outputs.

    A state is as large as the output that it was; a mask of the same shape is not.
    """
    news = [new.tensor for old, new in states(graph) if old.tensor == name]
    largest = float(np.abs(expected[name]).max())
    is_state = any(largest <= _ALIKE * float(np.abs(expected[new]).max()) for new in news)
    return not is_state and not is_coded(expected[name])


def _output_error(graph: Graph, expected: Mapping[str, Floats], name: str, q: QParams) -> float:
    """Relative error of the outputs with one input in 8 bits, on some of the calibration set."""
    step = even_step(len(expected[name]), _MOST_INPUTS)
    feeds = {port.tensor: expected[port.tensor][::step] for port in graph.inputs}
    seen = _seen(graph)
    with np.errstate(all="ignore"):  # a rounded input may lie outside a function's domain
        found = evaluate(graph, {**feeds, name: fake_quantise(feeds[name], q)}, keep=seen)
        error = sum(_error(found[t], expected[t][::step]) for t in seen)
    return error if math.isfinite(error) else math.inf


def _narrowed(q: QParams, share: float) -> QParams:
    return replace(q, scale=share * q.scale)


def _seen(graph: Graph) -> set[str]:
    """The outputs, scores in the place of the probabilities that a softmax makes of them."""
    softmax = {op.output: op.inputs[0] for op in graph.ops if op.kind == "softmax"}
    return {softmax.get(port.tensor, port.tensor) for port in graph.outputs}


def _error(found: Floats, due: Floats) -> float:
    power = float(np.square(due, dtype=np.float64).mean())
    error = float(np.square(found - due, dtype=np.float64).mean())
    return error / power if power > 0 else math.inf if error else 0.0
