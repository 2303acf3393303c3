"""Joins scalar operations on one tensor into one table: GELU in nine nodes is one lookup."""

from __future__ import annotations

from dataclasses import dataclass

from norcim.frontend.folding import is_affine
from norcim.frontend.passes import Edit, with_attrs
from norcim.ir.functions import Expression, X, table_attrs
from norcim.ir.graph import Graph, Op

_LARGEST = 64  # operations in one expression


@dataclass(frozen=True)
class _Group:
    """Operations that together compute a scalar function of the tensor `source`."""

    source: str
    members: dict[str, Op]


def fuse_tables(graph: Graph) -> Graph:
    """Compute chains and small graphs of scalar operations by one table each.

    A scale and shift that all channels share becomes a table as well: every chip has tables, few
    have a depthwise path.
    """
    edit = Edit(graph)
    for op in reversed(graph.ops):
        if edit.writer.get(op.output) is not op or not _is_scalar(op):
            continue
        group = _grow(edit, op)
        if group is None or not _worthwhile(group):
            continue
        expression = _expression(group, op.output)
        attrs = table_attrs("expression", expression=expression)
        fused = Op("table", op.node, (group.source,), op.output, attrs)
        for name, member in group.members.items():
            if name != op.output:
                edit.drop(member)
        edit.swap(op, fused)
        edit.refresh()
    return edit.close()


def _is_scalar(op: Op) -> bool:
    """Whether every element of the result depends on the same element of the inputs only."""
    if op.kind == "conv":
        return _uniform(op)
    if op.kind == "clip":
        return op.attrs["clamp"] is not None
    return op.kind in ("table", "add", "mul")


def _uniform(op: Op) -> bool:
    """Whether a convolution scales and shifts all channels alike."""
    if not is_affine(with_attrs(op, clamp=None)):
        return False
    arrays = [array for array in (op.weight, op.bias) if array is not None]
    return all(bool((array == array.flat[0]).all()) for array in arrays)


def _grow(edit: Edit, op: Op) -> _Group | None:
    """The largest group that ends in `op` and has one source; None if there is none."""
    members = {op.output: op}
    sources = list(dict.fromkeys(op.inputs))
    best = _Group(sources[0], dict(members)) if len(sources) == 1 else None
    while len(members) < _LARGEST:
        name = next((s for s in sources if _inner(edit, s, members)), None)
        if name is None:
            break
        writer = edit.writer[name]
        members[name] = writer
        sources.remove(name)
        sources += [s for s in writer.inputs if s not in sources and s not in members]
        if len(sources) == 1:
            best = _Group(sources[0], dict(members))
    return best


def _inner(edit: Edit, name: str, members: dict[str, Op]) -> bool:
    """Whether the writer of a tensor can join: scalar, read inside only, not rounded."""
    writer = edit.writer.get(name)
    if writer is None or not _is_scalar(writer) or name in edit.ports:
        return False
    inside = sum(op.inputs.count(name) for op in members.values())
    return edit.tensors[name].qparams is None and edit.readers[name] == inside


def _worthwhile(group: _Group) -> bool:
    """Alone, only a convolution is worth a table: the others cost no more than one."""
    return len(group.members) > 1 or next(iter(group.members.values())).kind == "conv"


def _expression(group: _Group, name: str) -> Expression:
    if name == group.source:
        return X
    op = group.members[name]
    parts = [_expression(group, source) for source in op.inputs]
    if op.kind == "table":
        attrs = op.attrs
        if attrs["expression"]:
            return _put_in(attrs["expression"], parts[0])
        return (attrs["function"], parts[0], attrs["alpha"], attrs["beta"])
    if op.kind == "clip":
        return ("clamp", parts[0], *op.attrs["clamp"])
    if op.kind == "conv":
        assert op.weight is not None
        shift = 0.0 if op.bias is None else float(op.bias[0])
        result: Expression = ("affine", parts[0], float(op.weight.flat[0]), shift)
    else:
        result = (op.kind, parts[0], parts[1])
    clamp = op.attrs["clamp"]
    return result if clamp is None else ("clamp", result, *clamp)


def _put_in(expression: Expression, x: Expression) -> Expression:
    """An expression with another one in the place of its variable."""
    if expression == X:
        return x
    return tuple(_put_in(part, x) if isinstance(part, tuple) else part for part in expression)
