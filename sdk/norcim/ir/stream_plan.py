"""Which frames of every tensor a call of a streamed network computes, and which it remembers.

Frame j of a tensor is the j-th that the network computes when it runs over a whole window that
began with the stream. Call m brings the frames m * n to m * n + n - 1 of the input. Of a tensor
with n frames a call and a lag, it computes the frames m * n - lag to m * n - lag + n - 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from norcim.errors import EXIT_USAGE, NorcimError
from norcim.ir.frames import per_frame, with_size
from norcim.ir.graph import Graph, Op, Port, Shape
from norcim.ir.window import Pads, extent

_PER_POSITION = ("clip", "table", "softmax", "argmax")
_WINDOWED = ("conv", "maxpool", "avgpool")


@dataclass(frozen=True)
class Stream:
    """frames: of the input in a call. axis: of the model's input, the batch is axis 0; None: h."""

    frames: int
    axis: int | None = None


@dataclass(frozen=True)
class Flow:
    """A tensor of which a call computes a part.

    axis    0 or 1: along which the frames lie
    n       frames a call
    window  frames in the whole window
    lag     frames that the newest is behind the input's newest
    padded  some frames of a whole window are computed from its padding
    """

    axis: int
    n: int
    window: int
    lag: int
    padded: bool = False


@dataclass(frozen=True)
class Reading:
    """What an operation reads of a tensor: `count` frames, `back` of them before the new ones.

    A negative `back` leaves out as many of the new ones.
    """

    back: int
    count: int


@dataclass(frozen=True)
class Step:
    """An operation of the streamed network: what it reads of each input, None: all there is."""

    op: Op
    readings: tuple[Reading | None, ...]


@dataclass(frozen=True)
class StreamPlan:
    """flows by tensor, those that are whole left out; outputs: what each port reads."""

    flows: Mapping[str, Flow]
    steps: tuple[Step, ...]
    outputs: tuple[Reading | None, ...]
    pads_seen: bool


class _Planner:
    """Goes through a graph once."""

    def __init__(self, graph: Graph, stream: Stream) -> None:
        self.graph, self.stream = graph, stream
        self.flows: dict[str, Flow] = {}
        self.pads_seen = False

    def shape(self, name: str) -> Shape:
        return self.graph.tensors[name].shape

    def step(self, op: Op) -> Step:
        """Plan one operation, and note what becomes of its output."""
        flows = [self.flows.get(name) for name in op.inputs]
        if not any(flows):
            return Step(op, (None,) * len(flows))
        return self._framed(op, flows) or Step(op, tuple(map(self.whole, flows)))

    def whole(self, flow: Flow | None) -> Reading | None:
        """All frames of the window up to the newest."""
        if flow is None:
            return None
        self.pads_seen |= flow.padded
        return Reading(flow.window - flow.n, flow.window)

    def _framed(self, op: Op, flows: list[Flow | None]) -> Step | None:
        """The step if it does the same with all frames; None if it needs the whole window."""
        first = flows[0]
        if first is None or any(
            flow is None or (flow.axis, flow.n, flow.window) != (first.axis, first.n, first.window)
            for flow in flows
        ):
            return None
        if op.kind in _WINDOWED:
            return self._window(op, first)
        if op.kind == "pad":
            return self._pad(op, first)
        axis: int | None = first.axis
        if op.kind == "reshape":
            axis = axis_after_reshape(self.shape(op.inputs[0]), first.axis, self.shape(op.output))
        elif op.kind == "transpose":
            axis = op.attrs["perm"].index(first.axis)
        elif op.kind == "move":
            moved = self._moved(op, first)
            if moved is None:
                return None
            op, axis = moved
        elif op.kind not in (*_PER_POSITION, "add", "mul"):
            return None
        if axis not in (0, 1):
            return None
        known = [flow for flow in flows if flow is not None]
        lag = max(flow.lag for flow in known)
        padded = any(flow.padded for flow in known)
        self.flows[op.output] = Flow(axis, first.n, first.window, lag, padded)
        return Step(op, tuple(Reading(lag - flow.lag, first.n) for flow in known))

    def _moved(self, op: Op, flow: Flow) -> tuple[Op, int] | None:
        """The move of a call's frames, and the axis along which its output has them."""
        axis = _outermost(self.shape(op.output), flow.window)
        if axis is None or any(prod(self.shape(name)[: flow.axis]) != 1 for name in op.inputs):
            return None
        n_out = prod(self.shape(op.output)) // flow.window
        pieces = []
        for piece in op.attrs["pieces"]:
            n_in = prod(self.shape(op.inputs[piece.source])) // flow.window
            pieces.append(per_frame(piece, flow.window, (n_in, n_out), flow.n))
        return None if None in pieces else (_with_attrs(op, pieces=tuple(pieces)), axis)

    def _window(self, op: Op, flow: Flow) -> Step | None:
        """A kernel that slides along the frames: it remembers what it reaches back to."""
        axis, attrs = flow.axis, op.attrs
        kernel = op.weight.shape[:2] if op.weight is not None else attrs["kernel"]
        reach = extent(kernel[axis], attrs.get("dilation", (1, 1))[axis])
        stride, before, after = attrs["stride"][axis], attrs["pads"][axis], attrs["pads"][axis + 2]
        frames = self.shape(op.output)[axis]
        if frames == 1 or before >= reach:
            return None
        if flow.n % stride:
            raise self._uneven(op, self.stream.frames // flow.n * stride)
        n = flow.n // stride
        lag = -(-(reach - before + flow.lag) // stride) - 1
        spare = (lag + 1) * stride - (reach - before + flow.lag)
        padded = flow.padded or before + after > 0
        self.flows[op.output] = Flow(axis, n, frames, lag, padded)
        reading = Reading(reach - stride + spare, (n - 1) * stride + reach)
        return Step(_with_attrs(op, pads=_without(attrs["pads"], axis)), (reading,))

    def _pad(self, op: Op, flow: Flow) -> Step | None:
        pads, axis = op.attrs["pads"], flow.axis
        before, after = pads[axis], pads[axis + 2]
        if before + after and op.attrs["value"] != 0:
            return None
        padded = flow.padded or before + after > 0
        window = flow.window + before + after
        self.flows[op.output] = Flow(axis, flow.n, window, flow.lag - before, padded)
        return Step(_with_attrs(op, pads=_without(pads, axis)), (Reading(0, flow.n),))

    def _uneven(self, op: Op, multiple: int) -> NorcimError:
        return NorcimError(
            "NC-E0412", "a call brings too few frames for a layer's stride", where=op.node,
            expected=f"a multiple of {multiple} frames", got=str(self.stream.frames),
            why="each call computes as many outputs as the one before",
            fix=f"--stream {multiple}", exit_code=EXIT_USAGE,
        )  # fmt: skip


def plan_stream(graph: Graph, stream: Stream) -> StreamPlan:
    """Decide what a call computes.

    graph  of one input, whose time axis holds more frames than a call brings
    Raises NC-E0412 if it cannot be streamed so.
    """
    port = _only_input(graph)
    axis = _input_axis(graph, port, stream)
    shape, planner = graph.tensors[port.tensor].shape, _Planner(graph, stream)
    if not 0 < stream.frames < shape[axis]:
        raise _refused(
            f"1 to {shape[axis] - 1} frames a call",
            str(stream.frames),
            "a call brings a part of the window",
        )
    planner.flows[port.tensor] = Flow(axis, stream.frames, shape[axis], 0)
    steps = tuple(planner.step(op) for op in graph.ops)
    outputs = []
    for out in graph.outputs:
        flow = planner.flows.get(out.tensor)
        shown = flow and port_axis(out, graph.tensors[out.tensor].shape, flow.axis) is not None
        outputs.append(Reading(0, flow.n) if flow and shown else planner.whole(flow))
    return StreamPlan(planner.flows, steps, tuple(outputs), planner.pads_seen)


def port_axis(port: Port, shape: Shape, axis: int) -> int | None:
    """The axis of a port's array, the batch not counted, that is an axis of its tensor."""
    sizes = [port.shape[index] for index in port.perm]
    for position, size in enumerate(sizes):
        if size == shape[axis] and prod(sizes[:position]) == prod(shape[:axis]):
            return port.perm[position]
    return None


def axis_after_reshape(shape: Shape, axis: int, out: Shape) -> int | None:
    """The axis, 0 or 1, of a reshaped tensor along which the same frames lie."""
    for index in (0, 1):
        if out[index] == shape[axis] and prod(out[:index]) == prod(shape[:axis]):
            return index
    return None


def _outermost(shape: Shape, frames: int) -> int | None:
    """The axis that holds so many frames, one after the other."""
    return next((i for i in (0, 1) if shape[i] == frames and prod(shape[:i]) == 1), None)


def reshaped(shape: Shape, flow: Flow) -> Shape:
    """The shape of the part of a tensor that a call computes."""
    return with_size(shape, flow.axis, flow.n)


def _only_input(graph: Graph) -> Port:
    if len(graph.inputs) != 1:
        raise _refused("one input", str(len(graph.inputs)), "its frames are what a call brings")
    return graph.inputs[0]


def _input_axis(graph: Graph, port: Port, stream: Stream) -> int:
    """0 or 1: where the time axis lies in the input's tensor."""
    shape = graph.tensors[port.tensor].shape
    if stream.axis is None:
        return 0
    for axis in (0, 1):
        if port_axis(port, shape, axis) == stream.axis - 1:
            return axis
    legal = [port_axis(port, shape, axis) for axis in (0, 1)]
    shown = " or ".join(str(index + 1) for index in dict.fromkeys(legal) if index is not None)
    raise _refused(f"axis {shown or 'none'} of the input", str(stream.axis), "channels are no time")


def _without(pads: Pads, axis: int) -> Pads:
    top, left, bottom, right = pads
    return (0, left, 0, right) if axis == 0 else (top, 0, bottom, 0)


def _with_attrs(op: Op, **attrs: Any) -> Op:
    return replace(op, attrs={**op.attrs, **attrs})


def _refused(expected: str, got: str, why: str) -> NorcimError:
    return NorcimError(
        "NC-E0412", "the network cannot be streamed so", expected=expected, got=got, why=why,
        fix="--stream FRAMES or --stream FRAMES:AXIS; `norcim info MODEL` lists the inputs",
        where="--stream", exit_code=EXIT_USAGE,
    )  # fmt: skip
