"""Channels levelled through a product: convolution A, times a gate, convolution B.

Channel c of what A writes and of its product with any other tensor can be scaled like a tensor
between two convolutions (`norcim.quantise.equalise`). What else reads A's output gets it back as
it was, from a depthwise convolution by 1 / r_c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from norcim.ir.graph import Floats, Graph, Op, Tensor
from norcim.ir.verify import verify
from norcim.quantise.equalise import best_quarters, channel_scale, is_even, observe, scale_pair

_POINTWISE = {"stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0), "clamp": None}
_WORTH = 0.5  # of the predicted noise: what a further operation has to gain


@dataclass(frozen=True)
class _Gated:
    """`product` is the output of `first` times something; `second` alone reads it.

    gate    what it is multiplied by
    others  what else reads the output of `first`
    """

    first: Op
    product: Op
    second: Op
    gate: str
    others: tuple[str, ...]


def equalise_gated(
    graph: Graph, observed: Mapping[str, Floats], per_column: bool
) -> tuple[Graph, dict[str, tuple[int, ...]]]:
    """Scale channels through products wherever that lowers the predicted quantisation noise.

    observed, per_column  as for `equalise`, of which the result is like: the graph itself if
    nothing was scaled
    """
    scaled: dict[str, tuple[int, ...]] = {}
    for gated in list(_products(graph)):
        if gated.first.output in scaled or gated.product.output in scaled:
            continue
        pair = observe(gated.first, gated.second, observed, gated.gate)
        quarters, left = best_quarters(pair, per_column)
        if quarters.any() and (left < _WORTH or not gated.others):
            name = gated.first.output
            scaled[name] = scaled[gated.product.output] = tuple(int(q) for q in quarters)
            graph = _scaled(graph, gated, scaled[name])
    return graph, scaled


def _products(graph: Graph) -> Iterator[_Gated]:
    made_by = {op.output: op for op in graph.ops}
    readers: dict[str, list[Op]] = {}
    for op in graph.ops:
        for name in set(op.inputs):
            readers.setdefault(name, []).append(op)
    shown = {port.tensor for port in graph.outputs}
    for product in graph.ops:
        after = readers.get(product.output, [])
        if product.kind != "mul" or not is_even(product) or product.output in shown:
            continue
        if len(after) != 1 or after[0].kind != "conv" or product.inputs[0] == product.inputs[1]:
            continue
        for name, gate in (product.inputs, product.inputs[::-1]):
            first = made_by.get(name)
            if first is None or first.kind != "conv" or not is_even(first) or name in shown:
                continue
            others = tuple(op.output for op in readers[name] if op is not product)
            yield _Gated(first, product, after[0], gate, others)


def _scaled(graph: Graph, gated: _Gated, quarters: tuple[int, ...]) -> Graph:
    scale, name = channel_scale(quarters), gated.first.output
    made = {op.output: op for op in graph.ops}
    first, second = scale_pair(made[name], made[gated.second.output], scale)
    made[name], made[second.output] = first, second
    tensors, restored = dict(graph.tensors), f"{name}~restored"
    if gated.others:
        tensors[restored] = Tensor(restored, tensors[name].shape)
    for output in gated.others:
        op = made[output]
        made[output] = replace(op, inputs=tuple(restored if i == name else i for i in op.inputs))
    ops: list[Op] = []
    for op in graph.ops:
        ops.append(made[op.output])
        if op.output == name and gated.others:
            weight = (1 / scale).astype(np.float32).reshape(1, 1, 1, -1)
            attrs = {**_POINTWISE, "groups": len(scale)}
            ops.append(Op("conv", op.node, (name,), restored, attrs, weight))
    return verify(replace(graph, tensors=tensors, ops=tuple(ops)))
