"""Rewrites of the imported graph: each is Graph -> Graph and keeps what the graph computes.

Fusion looks only at tensors with a single reader that are no output of the graph and carry no
quantisation parameters: what a QDQ model rounds stays a tensor of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from norcim.ir.functions import table_attrs
from norcim.ir.graph import Graph, Op, QParams
from norcim.ir.verify import verify

Pass = Callable[[Graph], Graph]

_FUSES_CLAMP = ("conv", "add", "mul", "clip")
_KEEPS_ORDER = ("maxpool", "reshape", "transpose")


class Edit:
    """A graph opened for rewriting."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = dict(graph.tensors)
        self.ops = list(graph.ops)
        self.refresh()

    def refresh(self) -> None:
        """Bring the indexes up to date after a change."""
        self.writer = {op.output: op for op in self.ops}
        self.readers = Counter(name for op in self.ops for name in op.inputs)
        self.ports = {port.tensor for port in (*self.graph.inputs, *self.graph.outputs)}
        self.readers.update(port.tensor for port in self.graph.outputs)

    def private(self, name: str) -> bool:
        """True if one operation reads the tensor, nobody outside sees it, nothing rounds it."""
        plain = self.tensors[name].qparams is None
        return plain and self.readers[name] == 1 and name not in self.ports

    def swap(self, old: Op, new: Op) -> None:
        """Put an operation in another one's place."""
        self.ops = [new if op is old else op for op in self.ops]

    def drop(self, op: Op) -> None:
        """Remove an operation and its output tensor."""
        self.ops = [kept for kept in self.ops if kept is not op]
        del self.tensors[op.output]

    def close(self) -> Graph:
        """The rewritten graph, checked."""
        return verify(replace(self.graph, tensors=self.tensors, ops=tuple(self.ops)))


def with_attrs(op: Op, **changes: Any) -> Op:
    """The operation with some attributes changed."""
    return replace(op, attrs=MappingProxyType({**op.attrs, **changes}))


def compose(first: tuple[float, float] | None, then: tuple[float, float]) -> tuple[float, float]:
    """One clamp for two in a row."""
    if first is None:
        return then
    return (min(max(first[0], then[0]), then[1]), min(max(first[1], then[0]), then[1]))


def hoist_clips(graph: Graph) -> Graph:
    """Move a clamp in front of max pooling and layout changes, where it can be fused."""
    edit = Edit(graph)
    for clip in [op for op in graph.ops if op.kind == "clip" and op.attrs["clamp"] is not None]:
        mover = edit.writer.get(clip.inputs[0])
        while mover and mover.kind in _KEEPS_ORDER and edit.private(mover.output):
            source = mover.inputs[0]
            if not edit.private(source):
                break
            shape = edit.tensors[source].shape
            inner = replace(edit.tensors[mover.output], shape=shape)
            edit.tensors[mover.output] = inner
            moved = replace(clip, inputs=(source,), output=mover.output)
            lower = replace(mover, inputs=(mover.output,), output=clip.output)
            edit.swap(mover, moved)
            edit.swap(clip, lower)
            edit.refresh()
            clip, mover = moved, edit.writer.get(source)
    return edit.close()


def fuse_clips(graph: Graph) -> Graph:
    """Make a clamp part of the operation before it.

    Between two tensors of the same quantisation parameters that is exact as well: rounding to
    codes and clamping commute, because both are monotone and rounding twice changes nothing.
    """
    edit = Edit(graph)
    for clip in [op for op in graph.ops if op.kind == "clip" and op.attrs["clamp"] is not None]:
        before = edit.writer.get(clip.inputs[0])
        if before is None or before.kind not in _FUSES_CLAMP:
            continue
        if not (edit.private(before.output) or _rounds_alike(edit, before, clip)):
            continue
        clamp = compose(before.attrs["clamp"], clip.attrs["clamp"])
        edit.swap(clip, replace(with_attrs(before, clamp=clamp), output=clip.output))
        edit.drop(before)
        edit.refresh()
    return edit.close()


def _rounds_alike(edit: Edit, before: Op, clip: Op) -> bool:
    inner, outer = edit.tensors[before.output].qparams, edit.tensors[clip.output].qparams
    alone = edit.readers[before.output] == 1 and before.output not in edit.ports
    return alone and inner is not None and inner == outer


def merge_quantisation(graph: Graph) -> Graph:
    """Put quantisation parameters on the tensor itself, if nobody reads it unrounded."""
    edit = Edit(graph)
    renamed: dict[str, str] = {}
    outputs = {port.tensor for port in graph.outputs}
    for op in graph.ops:
        if op.kind != "clip" or op.attrs["clamp"] is not None:
            continue
        source = renamed.get(op.inputs[0], op.inputs[0])
        tensor = edit.tensors[source]
        if tensor.qparams is None and edit.readers[source] == 1 and source not in outputs:
            edit.tensors[source] = replace(tensor, qparams=edit.tensors[op.output].qparams)
            renamed[op.output] = source
            edit.readers[source] = edit.readers[op.output]
            edit.drop(op)
    return _rename(edit, renamed)


def _rename(edit: Edit, renamed: Mapping[str, str]) -> Graph:
    """Read other tensors instead; an output port keeps its name by renaming the writer's."""

    def name(tensor: str) -> str:
        return renamed.get(tensor, tensor)

    edit.ops = [replace(op, inputs=tuple(map(name, op.inputs))) for op in edit.ops]
    ports = [replace(port, tensor=name(port.tensor)) for port in edit.graph.outputs]
    edit.graph = replace(edit.graph, outputs=tuple(ports))
    return edit.close()


def fuse_gates(graph: Graph) -> Graph:
    """Read x * sigmoid(x) and x * hard_sigmoid(x) as one table."""
    edit = Edit(graph)
    for product in [op for op in graph.ops if op.kind == "mul" and op.attrs["clamp"] is None]:
        for x, gated in (product.inputs, product.inputs[::-1]):
            gate = edit.writer.get(gated)
            function = _GATES.get(_table_key(gate)) if gate else None
            if gate and function and gate.inputs == (x,) and edit.private(gated):
                attrs = table_attrs(function)
                edit.swap(product, replace(product, kind="table", inputs=(x,), attrs=attrs))
                edit.drop(gate)
                edit.refresh()
                break
    return edit.close()


def _table_key(op: Op) -> tuple[Any, ...]:
    """What identifies a table's function; float32 parameters to six digits."""
    attrs = op.attrs
    if op.kind != "table" or attrs["expression"]:
        return ()
    return (attrs["function"], round(attrs["alpha"], 6), round(attrs["beta"], 6))


_GATES: Mapping[tuple[Any, ...], str] = MappingProxyType(
    {
        ("sigmoid", 0.0, 0.0): "silu",
        ("hard_sigmoid", round(1 / 6, 6), 0.5): "hard_swish",
    }
)


def fuse_pads(graph: Graph) -> Graph:
    """Make a border of real zeros part of the convolution that reads it."""
    edit = Edit(graph)
    for conv in [op for op in graph.ops if op.kind == "conv"]:
        pad = edit.writer.get(conv.inputs[0])
        if pad is None or pad.kind != "pad" or pad.attrs["value"] != 0.0:
            continue
        inner, outer = edit.tensors[pad.inputs[0]].qparams, edit.tensors[pad.output].qparams
        single = edit.readers[pad.output] == 1 and pad.output not in edit.ports
        if not single or outer not in (None, inner):
            continue
        sums = (a + b for a, b in zip(pad.attrs["pads"], conv.attrs["pads"], strict=True))
        edit.swap(conv, replace(with_attrs(conv, pads=tuple(sums)), inputs=pad.inputs))
        edit.drop(pad)
        edit.refresh()
    return edit.close()


def spread_quantisation(graph: Graph) -> Graph:
    """Hand parameters across operations that only move or select codes, where a side lacks them."""
    edit = Edit(graph)
    movers = [op for op in graph.ops if _moves_only(op)]
    for op in movers:
        _hand_over(edit, op.inputs[0], op.output)
    for op in reversed(movers):
        alone = edit.readers[op.inputs[0]] == 1
        if alone and op.inputs[0] not in {port.tensor for port in graph.outputs}:
            _hand_over(edit, op.output, op.inputs[0])
    return edit.close()


def _moves_only(op: Op) -> bool:
    """Whether every element of the result is one of its only input, or 0."""
    zero_pad = op.kind == "pad" and op.attrs["value"] == 0.0
    return op.kind in _KEEPS_ORDER or zero_pad or (op.kind == "move" and len(op.inputs) == 1)


def _hand_over(edit: Edit, source: str, target: str) -> None:
    qparams: QParams | None = edit.tensors[source].qparams
    if qparams is not None and edit.tensors[target].qparams is None:
        edit.tensors[target] = replace(edit.tensors[target], qparams=qparams)


def drop_unread(graph: Graph) -> Graph:
    """Remove operations whose result nobody reads."""
    edit = Edit(graph)
    for op in reversed(graph.ops):
        if not edit.readers[op.output]:
            edit.drop(op)
            edit.readers.subtract(op.inputs)
    return edit.close()
