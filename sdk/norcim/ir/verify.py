"""Checks that a graph is legal IR; run after the importer and after every pass."""

from __future__ import annotations

from math import isfinite, isnan, prod

import numpy as np

from norcim.errors import NorcimError
from norcim.ir.functions import TABLE_FUNCTIONS
from norcim.ir.graph import Graph, Op, Port, QParams
from norcim.ir.ops import OPS


def verify(graph: Graph) -> Graph:
    """Check everything that the table of operations and the graph's own rules demand.

    Returns the same graph, so that a pass can end with `return verify(...)`.
    Raises NorcimError: NC-E0210 names, order, ports; NC-E0211 kind or attributes; NC-E0212 shapes;
    NC-E0213 weights; NC-E0214 values that are not finite; NC-E0215 quantisation parameters.
    """
    known: set[str] = set()
    for port in graph.inputs:
        _check_port(graph, port)
        _define(graph, port.tensor, port.tensor, known)
    for op in graph.ops:
        for name in op.inputs:
            if name not in known:
                raise _fault("NC-E0210", op, f"reads {name!r} before it is written")
        _check_kind(op)
        _check_values(op)
        _define(graph, op.output, op.node, known)
        _check_shape(graph, op)
    for port in graph.outputs:
        if port.tensor not in known:
            raise _port_fault(port, "no operation writes it")
        _check_port(graph, port)
    _check_tensors(graph, known)
    return graph


def _fault(id: str, op: Op, what: str, expected: str = "", got: str = "") -> NorcimError:
    where = f"{op.kind} {op.node} -> {op.output}"
    return NorcimError(id, what, where=where, expected=expected, got=got)


def _port_fault(port: Port, what: str) -> NorcimError:
    return NorcimError("NC-E0210", what, where=f"port {port.tensor}")


def _define(graph: Graph, name: str, where: str, known: set[str]) -> None:
    if name in known:
        raise NorcimError("NC-E0210", f"tensor {name!r} is written twice", where=where)
    if name not in graph.tensors or graph.tensors[name].name != name:
        raise NorcimError("NC-E0210", f"tensor {name!r} is not in the graph's table", where=where)
    known.add(name)


def _check_kind(op: Op) -> None:
    kind = OPS.get(op.kind)
    if kind is None:
        raise _fault("NC-E0211", op, f"no operation {op.kind!r}", f"one of {', '.join(OPS)}")
    if set(op.attrs) != set(kind.attrs):
        raise _fault(
            "NC-E0211", op, "wrong attributes", str(sorted(kind.attrs)), str(sorted(op.attrs))
        )
    if not op.inputs or len(op.inputs) != (kind.n_inputs or len(op.inputs)):
        raise _fault("NC-E0211", op, "wrong inputs", str(kind.n_inputs), str(len(op.inputs)))
    if (op.weight is not None) != kind.weighted:
        raise _fault("NC-E0213", op, "weight missing" if kind.weighted else "weight not allowed")
    plain = not op.attrs.get("expression")
    if plain and "function" in op.attrs and op.attrs["function"] not in TABLE_FUNCTIONS:
        raise _fault("NC-E0211", op, f"no table function {op.attrs['function']!r}")
    clamp = op.attrs.get("clamp")
    if clamp is not None and (isnan(clamp[0]) or isnan(clamp[1]) or clamp[0] > clamp[1]):
        raise _fault("NC-E0211", op, "clamp is not a range", "lo <= hi", str(clamp))
    for name in ("stride", "dilation", "kernel"):
        if min(op.attrs.get(name, (1,))) < 1:
            raise _fault("NC-E0211", op, f"{name} below 1", "1 or more", str(op.attrs[name]))
    if min(op.attrs.get("pads", (0,))) < 0:
        raise _fault("NC-E0211", op, "negative pads", "0 or more", str(op.attrs["pads"]))


def _check_values(op: Op) -> None:
    for name, array in (("weight", op.weight), ("bias", op.bias)):
        if array is None:
            continue
        if array.dtype != np.float32:
            raise _fault("NC-E0213", op, f"{name} of the wrong type", "float32", str(array.dtype))
        if not np.isfinite(array).all():
            raise _fault("NC-E0214", op, f"{name} holds NaN or infinity")
    codes = op.weight_codes
    if codes is None or op.weight is None:
        return
    if codes.codes.shape != op.weight.shape or codes.codes.dtype != np.int8:
        raise _fault("NC-E0213", op, "weight codes do not match the weight")
    if codes.scale.shape != (op.weight.shape[-1],):
        raise _fault("NC-E0213", op, "one weight scale per output channel needed")
    if not (np.isfinite(codes.scale).all() and (codes.scale > 0).all()):
        raise _fault("NC-E0215", op, "weight scale is not a positive number")


def _check_shape(graph: Graph, op: Op) -> None:
    declared = graph.tensors[op.output].shape
    try:
        shape = OPS[op.kind].shape(op, [graph.tensors[i].shape for i in op.inputs], declared)
    except ValueError as error:
        raise _fault("NC-E0212", op, str(error)) from error
    if shape != declared:
        raise _fault("NC-E0212", op, "wrong output shape", str(shape), str(declared))
    if min(shape) < 1:
        raise _fault("NC-E0212", op, "an output dimension is empty", "1 or more", str(shape))


def _check_port(graph: Graph, port: Port) -> None:
    tensor = graph.tensors.get(port.tensor)
    if tensor is None:
        raise _port_fault(port, "not in the graph's table of tensors")
    if prod(port.shape) != prod(tensor.shape) or min(tensor.shape) < 1:
        raise _port_fault(port, f"shape {port.shape} does not fit tensor {tensor.shape}")
    if sorted(port.perm) != list(range(len(port.shape))):
        raise _port_fault(port, f"perm {port.perm} is not an order of its axes")
    if port.codes not in ("float32", "int8", "uint8"):
        raise _port_fault(port, f"unknown codes {port.codes!r}")
    if port.codes != "float32" and tensor.qparams is None:
        raise _port_fault(port, f"{port.codes} interface without quantisation parameters")


def _check_tensors(graph: Graph, known: set[str]) -> None:
    unused = sorted(set(graph.tensors) - known)
    if unused:
        raise NorcimError("NC-E0210", f"no operation writes {unused[0]!r}", where=graph.name)
    for tensor in graph.tensors.values():
        if tensor.qparams is not None and not _legal_qparams(tensor.qparams):
            raise NorcimError(
                "NC-E0215", "illegal quantisation", where=tensor.name, got=str(tensor.qparams)
            )


def _legal_qparams(q: QParams) -> bool:
    return isfinite(q.scale) and q.scale > 0 and q.lo <= q.zero_point <= q.hi
