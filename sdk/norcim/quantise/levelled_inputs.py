"""Inputs whose level the network does not mind: every sample comes in at the same one.

A network that begins with a normalisation, or has no biases, gives the same for an input that is
half as loud, or half of it. Then the host divides each sample by its largest magnitude, which gives
quiet ones all of the codes and clips no loud one, and multiplies by it what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from norcim.image.ports import levels_of
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Floats, Graph, Port
from norcim.quantise.scales import is_coded

_MOST_INPUTS = 64  # that the network is tried on
_SPREAD = 2.0  # largest level over the root of their mean square: a bit to gain
_DEPTHS = (256.0, 64.0, 16.0)  # largest level over the least one that samples are divided by
_EXACT = 1e-5  # relative error of an output that does not mind the level


def level_inputs(
    graph: Graph, data: Mapping[str, Floats], whole: Collection[str]
) -> tuple[Graph, dict[str, Floats]]:
    """Mark inputs that may come in at one level, and outputs that follow them.

    data   calibration values of every input tensor, (n, h, w, c)
    whole  inputs that stay as they are
    Returns the marked graph and what goes into it, float32.
    """
    found = dict(data)
    for index, port in enumerate(graph.inputs):
        values = found[port.tensor]
        given = port.tensor in whole or graph.tensors[port.tensor].qparams is not None
        if port.codes != "float32" or given or is_coded(values):
            continue
        peaks = levels_of(values, 0.0).astype(np.float64)
        largest = float(peaks.max())
        if largest < _SPREAD * math.sqrt(float(np.square(peaks).mean())):
            continue
        for depth in _DEPTHS if largest > 0 else ():
            least = float(np.float32(largest / depth))
            outputs = _followers(graph, found, port.tensor, least)
            if outputs is not None:
                inputs = list(graph.inputs)
                inputs[index] = replace(port, level=least)
                graph = replace(graph, inputs=tuple(inputs), outputs=outputs)
                found[port.tensor] = values / levels_of(values, least)
                break
    return graph, found


def _followers(
    graph: Graph, data: Mapping[str, Floats], name: str, least: float
) -> tuple[Port, ...] | None:
    """The outputs, those marked that follow the level of an input; None if one does neither.

    Compared with every sample at one level, so that quiet ones count as much as loud ones.
    """
    peaks = levels_of(data[name], least).reshape(-1)
    places = np.linspace(0, len(peaks) - 1, min(len(peaks), _MOST_INPUTS)).astype(int)
    some = np.argsort(peaks, kind="stable")[places]  # the quietest, the loudest, some between
    feeds = {source: values[some] for source, values in data.items()}
    levels = levels_of(feeds[name], least)
    keep = {port.tensor for port in graph.outputs}
    with np.errstate(all="ignore"):  # a domain error is an error of an output, found below
        due = evaluate(graph, feeds, keep)
        found = evaluate(graph, {**feeds, name: feeds[name] / levels}, keep)
    ports = []
    for port in graph.outputs:
        if port.codes != "float32":
            return None
        if _alike(found[port.tensor], due[port.tensor] / levels):
            ports.append(replace(port, levels=(*port.levels, name)))
        elif _alike(found[port.tensor], due[port.tensor]):
            ports.append(port)
        else:
            return None
    return tuple(ports)


def _alike(found: Floats, due: Floats) -> bool:
    error = np.square(found - due, dtype=np.float64).sum()
    return bool(error <= _EXACT * np.square(due, dtype=np.float64).sum())
