"""Ranges of a network's inputs by what comes out of it.

The first coefficient of a cepstrum reaches ten times as far as the others, but only in silence,
where nobody asks how silent it is: 8 bits for all of its range leave the others a few steps each.
The least squared error of the input itself does not see that; the error of the outputs does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from norcim.ir.evaluate import evaluate, fake_quantise
from norcim.ir.graph import Floats, Graph, QParams
from norcim.quantise.scales import activation_qparams, even_step, is_coded
from norcim.quantise.spans import Span, states

_SHARES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4)  # of the usual range
_WORTH = 0.8  # of the error with the usual range: what another one has to gain
_MOST_INPUTS = 64


def input_qparams(graph: Graph, expected: Mapping[str, Floats], name: str, limits: Span) -> QParams:
    """Scale and zero point of an input: the usual ones, or of a part of their range.

    expected  real values by tensor, (n, h, w, c)
    limits    what the range does not go beyond
    Shares are compared without the room for inputs not seen, which gains nothing on those seen; the
    best one gets it. What comes back as a state keeps the usual range, since what is clipped
    there is clipped again and again, and so do inputs whose values are coded already.
    """
    values = expected[name]
    coded = is_coded(values)
    usual = activation_qparams(values, limits, False, grow=not coded)
    tight = activation_qparams(values, limits, False, grow=False)
    if coded or name in {old.tensor for old, _ in states(graph)}:
        return usual
    step = even_step(len(values), _MOST_INPUTS)
    feeds = {port.tensor: expected[port.tensor][::step] for port in graph.inputs}
    seen = _seen(graph)
    errors = []
    for share in _SHARES:
        rounded = fake_quantise(feeds[name], _narrowed(tight, share))
        found = evaluate(graph, {**feeds, name: rounded}, keep=seen)
        errors.append(sum(_error(found[t], expected[t][::step]) for t in seen))
    best = int(np.argmin(errors))
    return _narrowed(usual, _SHARES[best]) if errors[best] < _WORTH * errors[0] else usual


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
