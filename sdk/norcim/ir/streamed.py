"""The network that computes a call's frames, made of the quantised one for a whole window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from norcim.ir.frames import frames_piece, with_size
from norcim.ir.graph import Graph, Op, Port, Tensor
from norcim.ir.lowered import LayerError, QuantGraph, QuantOp
from norcim.ir.moves import Piece
from norcim.ir.stream_plan import Reading, Stream, StreamPlan, plan_stream, port_axis, reshaped
from norcim.ir.verify import verify

_EXACT = LayerError(0.0, None)


class _Rewriter:
    """Emits the streamed operations; a tensor's past comes in through a port and leaves by one."""

    def __init__(self, quant: QuantGraph, plan: StreamPlan) -> None:
        self.quant, self.plan = quant, plan
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[QuantOp] = []
        self.pasts: list[str] = []
        self.known: dict[tuple[str, Reading], str] = {}
        self.remembered: dict[str, int] = {}
        read = [
            (name, reading)
            for step in plan.steps
            for name, reading in zip(step.op.inputs, step.readings, strict=True)
        ]
        ports = zip(quant.graph.outputs, plan.outputs, strict=True)
        for name, reading in (*read, *((port.tensor, reading) for port, reading in ports)):
            if reading is not None:
                self.remembered[name] = max(self.remembered.get(name, 0), reading.back)

    def define(self, name: str) -> None:
        """A tensor of the network, of which a call computes a part or all; then what it keeps."""
        tensor, flow = self.quant.graph.tensors[name], self.plan.flows.get(name)
        self.tensors[name] = replace(tensor, shape=reshaped(tensor.shape, flow)) if flow else tensor
        past = self.remembered.get(name, 0)
        if flow is None or not past:
            return
        kept = f"{name}~past"
        self.pasts.append(name)
        self.tensors[kept] = replace(
            tensor, name=kept, shape=with_size(tensor.shape, flow.axis, past)
        )
        self._copy(name, f"{name}~known", (kept, name), ((0, past), (0, flow.n)))
        self._copy(name, f"{name}~next", (f"{name}~known",), ((flow.n, past),))

    def _copy(
        self, name: str, target: str, sources: tuple[str, ...], spans: tuple[tuple[int, int], ...]
    ) -> None:
        """Frames (first, count) of each source, one after the other."""
        flow, tensor = self.plan.flows[name], self.quant.graph.tensors[name]
        assert tensor.qparams is not None, "the graph is quantised"
        shape = with_size(tensor.shape, flow.axis, sum(count for _, count in spans))
        pieces: list[Piece] = []
        at = 0
        for index, (source, (first, count)) in enumerate(zip(sources, spans, strict=True)):
            have = self.tensors[source].shape
            pieces.append(frames_piece(index, have, flow.axis, first, count, shape, at))
            at += count
        self.tensors[target] = replace(tensor, name=target, shape=shape)
        attrs = MappingProxyType({"pieces": tuple(pieces)})
        clamp = (tensor.qparams.lo, tensor.qparams.hi)
        self.ops.append(QuantOp(Op("move", name, sources, target, attrs), clamp))

    def read(self, name: str, reading: Reading | None) -> str:
        """The tensor that holds just these frames."""
        flow = self.plan.flows.get(name)
        if reading is None or flow is None or reading == Reading(0, flow.n):
            return name
        past = self.remembered[name]
        if reading == Reading(past, past + flow.n):
            return f"{name}~known"
        found = self.known.get((name, reading))
        if found is None:
            found = self.known[name, reading] = f"{name}~part{len(self.known)}"
            source = f"{name}~known" if past else name
            self._copy(name, found, (source,), ((past - reading.back, reading.count),))
        return found


def streamed(quant: QuantGraph, stream: Stream) -> tuple[QuantGraph, dict[str, Any]]:
    """The network that computes new frames only, and what to add to the image's metadata.

    Each tensor whose earlier frames are needed again gets an input `past0`, ... and an output
    `next0`, ... of the same codes; real zeros begin a stream. Parameters and cells are those of
    the whole window's network. Metadata: `states` pairs the ports; `stream` says how many frames a
    call brings, and by output how many of its frames it is behind (null: it sees a whole window).
    Raises NC-E0412 if the network cannot be streamed so.
    """
    plan = plan_stream(quant.graph, stream)
    rewriter = _Rewriter(quant, plan)
    for port in quant.graph.inputs:
        rewriter.define(port.tensor)
    for done, step in zip(quant.ops, plan.steps, strict=True):
        pairs = zip(step.op.inputs, step.readings, strict=True)
        inputs = tuple(rewriter.read(name, reading) for name, reading in pairs)
        rewriter.ops.append(replace(done, op=replace(step.op, inputs=inputs)))
        rewriter.define(step.op.output)
    outputs = [
        replace(
            _port(port, quant.graph, plan),
            tensor=rewriter.read(port.tensor, reading),
            name=port.name or port.tensor,
        )
        for port, reading in zip(quant.graph.outputs, plan.outputs, strict=True)
    ]
    states, pasts, nexts = _state_ports(quant.graph, rewriter)
    graph = Graph(
        quant.graph.name,
        (*(_port(port, quant.graph, plan) for port in quant.graph.inputs), *pasts),
        (*outputs, *nexts), rewriter.tensors, tuple(op.op for op in rewriter.ops),
    )  # fmt: skip
    verify(graph)
    added = {op.op.output: _EXACT for op in rewriter.ops if op.op.output not in quant.errors}
    notes = (*quant.notes, *_notes(plan))
    done_graph = replace(
        quant, graph=graph, ops=tuple(rewriter.ops), notes=notes, errors={**quant.errors, **added}
    )
    return done_graph, {"states": states, "stream": _stream_meta(quant.graph, stream, plan)}


def _port(port: Port, graph: Graph, plan: StreamPlan) -> Port:
    """A port of the network, which shows the frames of a call."""
    flow = plan.flows.get(port.tensor)
    axis = flow and port_axis(port, graph.tensors[port.tensor].shape, flow.axis)
    if flow is None or axis is None:
        return port
    shape = tuple(flow.n if index == axis else size for index, size in enumerate(port.shape))
    return replace(port, shape=shape)


def _state_ports(
    graph: Graph, rewriter: _Rewriter
) -> tuple[dict[str, str], list[Port], list[Port]]:
    taken = {port.name or port.tensor for port in (*graph.inputs, *graph.outputs)}
    names: list[tuple[str, str]] = []
    number = 0
    while len(names) < len(rewriter.pasts):
        pair = (f"past{number}", f"next{number}")
        if taken.isdisjoint(pair):
            names.append(pair)
        number += 1
    ports: tuple[list[Port], list[Port]] = ([], [])
    for tensor, pair in zip(rewriter.pasts, names, strict=True):
        for side, end, name in zip(ports, ("past", "next"), pair, strict=True):
            own = f"{tensor}~{end}"
            side.append(Port(own, rewriter.tensors[own].shape, (0, 1, 2), name=name))
    return dict(names), *ports


def _notes(plan: StreamPlan) -> tuple[str, ...]:
    if not plan.pads_seen:
        return ()
    return (
        "stream: a layer reads a whole window whose first or last frames the model computes from "
        "padding; here they come from the frames beside the window",
    )


def _stream_meta(graph: Graph, stream: Stream, plan: StreamPlan) -> Mapping[str, Any]:
    lags = {}
    for port, reading in zip(graph.outputs, plan.outputs, strict=True):
        flow = plan.flows.get(port.tensor)
        framed = flow is not None and reading == Reading(0, flow.n)
        lags[port.name or port.tensor] = flow.lag if flow is not None and framed else None
    return {"frames": stream.frames, "lags": lags}
