"""What a model computes several times with the same weights: one set of parameters for all times.

An unrolled recurrent layer multiplies by the same matrix at every step, a detector runs one head on
several maps. Where input and output have the same codes each time, so do weights and tables: the
chip holds them once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace

import numpy as np

from norcim.ir.graph import Floats, Graph, Op, QParams, repeated_weights
from norcim.quantise.scales import activation_qparams

_KEEPS_CODES = ("reshape", "transpose", "maxpool", "pad", "move")
_FIXED = ("argmax", "softmax")
_WIDE = ("widen", "update")


def tie_repeats(graph: Graph, values: Mapping[str, Floats]) -> Graph:
    """Give tensors that repeat each other the same parameters, by all of their real values.

    values  by tensor, (n, h, w, c)
    Tensors are the same if the same weights read or write them, or if an equal operation makes them
    from the same ones. A tensor that has parameters already keeps them, and so do those like it.
    """
    classes = _Classes(graph)
    tensors = dict(graph.tensors)
    for names in classes.repeated():
        ops = [classes.writers[name] for name in names if name in classes.writers]
        ops = [op for op in ops if op.kind not in _FIXED]
        if len(ops) < 2 or any(tensors[op.output].qparams for op in ops):
            continue
        q = _parameters(ops, values)
        for op in ops:
            tensors[op.output] = replace(tensors[op.output], qparams=q)
    return replace(graph, tensors=tensors)


def _parameters(ops: list[Op], values: Mapping[str, Floats]) -> QParams:
    parts = [values[op.output] for op in ops]
    together = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    if any(op.kind in _WIDE for op in ops):  # whose zero is 0
        return QParams(max(float(np.abs(together).max()), 1e-6) / 127, 0, True)
    return activation_qparams(together, (-math.inf, math.inf), False)


class _Classes:
    """Tensors that repeat each other, by the tensors whose codes they hold."""

    def __init__(self, graph: Graph) -> None:
        self.writers = {op.output: op for op in graph.ops}
        self._sources: dict[str, str] = {}
        self._above: dict[str, str] = {}
        for op in graph.ops:
            if op.kind in _KEEPS_CODES and len(op.inputs) == 1:
                self._sources[op.output] = self._source(op.inputs[0])
        convs = {op.output: op for op in graph.ops if op.kind == "conv"}
        for name, first in repeated_weights(graph).items():
            self._join(name, first)
            self._join(convs[name].inputs[0], convs[first].inputs[0])
        while self._close(graph):
            pass

    def repeated(self) -> list[list[str]]:
        """Classes of several tensors, in the order of the graph."""
        found: dict[str, list[str]] = {}
        for name in self._above:
            found.setdefault(self._find(name), []).append(name)
        return [sorted({*names, top}) for top, names in found.items()]

    def _close(self, graph: Graph) -> bool:
        """Join what equal operations make of repeated tensors; whether there was any."""
        seen: dict[Hashable, Op] = {}
        joined = False
        for op in graph.ops:
            if op.output in self._sources or op.kind in _FIXED:
                continue
            other = seen.setdefault(self._key(op, graph), op)
            if other is op or self._find(op.output) == self._find(other.output):
                continue
            pairs = zip(op.inputs, other.inputs, strict=True)
            if any(self._source(a) != self._source(b) for a, b in pairs):
                self._join(op.output, other.output)
                joined = True
        return joined

    def _key(self, op: Op, graph: Graph) -> Hashable:
        """Equal for operations that compute the same function of tensors of the same classes."""
        inputs = op.inputs[:2] if op.kind == "update" else op.inputs  # the state is the sum of them
        arrays = tuple(None if a is None else a.tobytes() for a in (op.weight, op.bias))
        shapes = tuple(graph.tensors[name].shape for name in (*op.inputs, op.output))
        return (op.kind, repr(sorted(op.attrs.items())), shapes, arrays,
                tuple(self._find(self._source(name)) for name in inputs))  # fmt: skip

    def _source(self, name: str) -> str:
        """The tensor whose codes a tensor holds in another order."""
        return self._sources.get(name, name)

    def _find(self, name: str) -> str:
        while name in self._above:
            name = self._above[name]
        return name

    def _join(self, a: str, b: str) -> None:
        tops = sorted((self._find(self._source(a)), self._find(self._source(b))))
        if tops[0] != tops[1]:
            self._above[tops[1]] = tops[0]
