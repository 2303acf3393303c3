"""The float reference executor: what a graph computes, before any chip is involved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod

import numpy as np

from norcim.errors import NorcimError
from norcim.ir.graph import Floats, Graph, QParams
from norcim.ir.ops import OPS

_CHUNK_ELEMENTS = 1 << 18
"""Floats of the largest im2col matrix of one chunk: 1 MiB stays in a core's cache."""


def fake_quantise(x: Floats, qparams: QParams) -> Floats:
    """Round to the codes of `qparams` (half to even, as ONNX does) and back to float32."""
    codes = np.rint(x / np.float32(qparams.scale)) + qparams.zero_point
    codes = np.clip(codes, qparams.lo, qparams.hi) - qparams.zero_point
    return np.asarray(codes * np.float32(qparams.scale), np.float32)


def evaluate(
    graph: Graph,
    inputs: Mapping[str, Floats],
    keep: Collection[str] | None = None,
    *,
    fake_quantise: bool = False,
) -> dict[str, Floats]:
    """Run a graph in float32.

    inputs  per graph input tensor, float32 (n, h, w, c), the same n for all
    keep    names of the tensors to return (graph inputs included); None for every tensor
    fake_quantise  round every tensor that has qparams to its codes, as a QDQ model does
    Returns float32 (n, h, w, c) per kept tensor. Works in chunks of the batch, so memory stays
    bounded by what is kept.
    Raises NC-E0216 for an input of the wrong shape, a missing one, or a name not in the graph.
    """
    n = _batch_size(graph, inputs)
    names = list(graph.tensors) if keep is None else [t for t in graph.tensors if t in keep]
    unknown = sorted(set(keep or ()) - set(graph.tensors))
    if unknown:
        raise NorcimError("NC-E0216", f"no tensor {unknown[0]!r}", where=graph.name)
    results = {t: np.empty((n, *graph.tensors[t].shape), np.float32) for t in names}
    last_use = _last_uses(graph)
    chunk = _chunk_size(graph)
    for start in range(0, n, chunk):
        part = {name: x[start : start + chunk] for name, x in inputs.items()}
        _run_chunk(graph, part, results, start, last_use, fake_quantise)
    return results


def _run_chunk(
    graph: Graph,
    part: Mapping[str, Floats],
    results: dict[str, Floats],
    start: int,
    last_use: Mapping[str, int],
    quantised: bool,
) -> None:
    values: dict[str, Floats] = {}

    def put(name: str, x: Floats) -> None:
        qparams = graph.tensors[name].qparams
        values[name] = fake_quantise(x, qparams) if quantised and qparams else x
        if name in results:
            results[name][start : start + len(x)] = values[name]

    for port in graph.inputs:
        put(port.tensor, np.ascontiguousarray(part[port.tensor], np.float32))
    for position, op in enumerate(graph.ops):
        sources = [values[name] for name in op.inputs]
        put(op.output, OPS[op.kind].evaluate(op, sources, graph.tensors[op.output].shape))
        for name in {*op.inputs, op.output}:
            if last_use[name] == position:
                del values[name]


def _last_uses(graph: Graph) -> dict[str, int]:
    """Position of the op after which a tensor is dead: its last reader, else its writer."""
    last = {op.output: position for position, op in enumerate(graph.ops)}
    for position, op in enumerate(graph.ops):
        last.update(dict.fromkeys(op.inputs, position))
    return last


def _chunk_size(graph: Graph) -> int:
    largest = max((prod(tensor.shape) for tensor in graph.tensors.values()), default=1)
    for op in graph.ops:
        if op.weight is not None:
            h, w, _ = graph.tensors[op.output].shape
            largest = max(largest, h * w * prod(op.weight.shape[:3]))
    return max(1, _CHUNK_ELEMENTS // largest)


def _batch_size(graph: Graph, inputs: Mapping[str, Floats]) -> int:
    sizes = set()
    for port in graph.inputs:
        shape = graph.tensors[port.tensor].shape
        x = inputs.get(port.tensor)
        if x is None or x.ndim != 4 or x.shape[1:] != shape:
            raise NorcimError(
                "NC-E0216",
                "input of the wrong shape" if x is not None else "an input is missing",
                where=port.tensor,
                expected=f"float32 (n, {', '.join(map(str, shape))})",
                got="nothing" if x is None else f"{x.dtype} {x.shape}",
            )
        sizes.add(len(x))
    if len(sizes) != 1:
        raise NorcimError(
            "NC-E0216", "inputs of different batch sizes", where=graph.name, got=str(sorted(sizes))
        )
    return sizes.pop()
