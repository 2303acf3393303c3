"""Normalisations whose variances span more than 8 bits: quiet inputs are made louder first.

In x / sqrt(mean(x^2) + epsilon) the mean square of a frame 30 dB below the loudest is a fraction of
a code. The quotient does not depend on the level of x, so x is multiplied by about the reciprocal
of its largest magnitude: the largest of codes is exact however quiet they are, and how coarse the
factor is does not matter, since it cancels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from norcim.ir.functions import Expression, X, apply_table, table_attrs
from norcim.ir.graph import Floats, Graph, Op, Tensor
from norcim.ir.verify import verify

_MOVERS = ("move", "reshape", "transpose")
_SPREAD = 64  # largest over a small variance from which on 8 bits are not enough
_QUIET = 0.05  # share of the frames that are quieter than that
_CODES = 127
_EPSILON_ROOM = 16  # of its root to the magnitude below which the level is left alone
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Norm:
    """Operations of a normalisation, in their order.

    square   x * x
    inner    what moves the squares to `mean`
    table    scale / sqrt(mean + epsilon)
    outer    what moves that to where it is multiplied
    product  by the factor; `factor` is the operand's index
    """

    square: Op
    inner: tuple[Op, ...]
    mean: Op
    table: Op
    outer: tuple[Op, ...]
    product: Op
    factor: int
    scale: float
    epsilon: float


def level_norms(graph: Graph, expected: Mapping[str, Floats]) -> Graph:
    """Bring inputs of normalisations to one level, where their variances span more than codes do.

    expected  real values by tensor
    """
    for norm in list(_norms(graph)):
        variance = expected[norm.mean.output]
        quiet = float(np.quantile(variance, _QUIET))
        if float(variance.max()) > _SPREAD * max(quiet, norm.epsilon):
            largest = float(np.abs(expected[norm.square.inputs[0]]).max())
            graph = _levelled(graph, norm, largest)
    return graph


def _norms(graph: Graph) -> Iterator[_Norm]:
    only = _only_readers(graph)
    for square in graph.ops:
        plain = square.kind == "mul" and square.attrs["clamp"] is None
        if not plain or square.inputs[0] != square.inputs[1]:
            continue
        inner, mean = _moved(square.output, only)
        table = only.get(mean.output) if mean is not None and mean.kind == "avgpool" else None
        root = _inverse_root(table) if table is not None and table.kind == "table" else None
        if mean is None or table is None or root is None:
            continue
        outer, product = _moved(table.output, only)
        if product is not None and product.kind == "mul":
            factor = product.inputs.index((outer or (table,))[-1].output)
            yield _Norm(square, inner, mean, table, outer, product, factor, *root)


def _only_readers(graph: Graph) -> dict[str, Op]:
    """By tensor, the operation that alone reads it; tensors that leave the graph are not there."""
    count = Counter(name for op in graph.ops for name in op.inputs)
    count.update(port.tensor for port in graph.outputs)
    return {name: op for op in graph.ops for name in op.inputs if count[name] == 1}


def _moved(name: str, only: Mapping[str, Op]) -> tuple[tuple[Op, ...], Op | None]:
    """What moves a tensor, and what reads it then."""
    path: list[Op] = []
    op = only.get(name)
    while op is not None and op.kind in _MOVERS and len(op.inputs) == 1:
        path.append(op)
        op = only.get(op.output)
    return tuple(path), op


def _inverse_root(table: Op) -> tuple[float, float] | None:
    """Scale and epsilon if a table is scale / sqrt(x + epsilon), epsilon above 0."""
    large = 1e12
    with np.errstate(all="ignore"):
        at = apply_table(table.attrs, np.array([0.0, large]))
        if not np.isfinite(at).all() or at[0] <= 0:
            return None
        scale = float(at[1]) * math.sqrt(large)
        epsilon = (scale / float(at[0])) ** 2
        if not 0 < epsilon < 1:
            return None
        x = epsilon * np.logspace(-2, 6, 33)
        due = scale / np.sqrt(x + epsilon)
        alike = np.abs(apply_table(table.attrs, x) / due - 1).max() < _TOLERANCE
    return (scale, epsilon) if alike else None


def _levelled(graph: Graph, norm: _Norm, largest: float) -> Graph:
    """The graph with x and what is normalised multiplied by 1 / max(|x|), as far as codes go.

    largest  magnitude of x on the calibration set
    """
    least = max(largest / _CODES, _EPSILON_ROOM * math.sqrt(norm.epsilon))
    source, other = norm.square.inputs[0], norm.product.inputs[1 - norm.factor]
    tensors, node = dict(graph.tensors), norm.product.node
    added: list[Op] = []

    def put(op: Op, tag: str, *inputs: str) -> str:
        name = f"{op.output}~{tag}"
        added.append(replace(op, node=node, inputs=inputs, output=name))
        tensors[name] = Tensor(name, graph.tensors[op.output].shape)
        return name

    def along(path: tuple[Op, ...], tag: str, name: str) -> str:
        for op in path:
            name = put(op, tag, name)
        return name

    def table(like: Op, expression: Expression) -> Op:
        attrs = table_attrs("expression", expression=expression)
        return replace(like, kind="table", attrs=attrs, weight=None, bias=None)

    reciprocal: Expression = ("reciprocal", ("clamp", X, least, math.inf), 0.0, 0.0)
    pool = {"dilation": (1, 1)} | {k: norm.mean.attrs[k] for k in ("kernel", "stride", "pads")}
    highest = replace(norm.mean, kind="maxpool", attrs=MappingProxyType(pool))
    level = put(table(norm.square, ("abs", X, 0.0, 0.0)), "size", source)
    level = put(highest, "size", along(norm.inner, "size", level))
    gain = along(norm.outer, "gain", put(table(norm.table, reciprocal), "gain", level))
    one = put(norm.square, "level", source, gain)
    two = one if other == source else put(norm.product, "level", other, gain)
    mean = put(norm.mean, "mean", along(norm.inner, "mean", put(norm.square, "mean", one, one)))
    shifted: Expression = ("affine", X, 1.0, norm.epsilon / least**2)
    root: Expression = ("reciprocal", ("sqrt", shifted, 0.0, 0.0), 0.0, 0.0)
    scaled: Expression = ("affine", root, norm.scale, 0.0)
    factor = along(norm.outer, "root", put(table(norm.table, scaled), "root", mean))
    added.append(replace(norm.product, inputs=(two, factor)))
    gone = {op.output for op in (norm.square, *norm.inner, norm.mean, norm.table, *norm.outer)}
    ops: list[Op] = []
    for op in graph.ops:
        if op is norm.product:
            ops += added
        elif op.output not in gone:
            ops.append(op)
    kept = {name: tensor for name, tensor in tensors.items() if name not in gone}
    return verify(replace(graph, tensors=kept, ops=tuple(ops)))
