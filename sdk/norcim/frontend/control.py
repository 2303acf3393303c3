"""If, Loop and Scan: the branch that a constant chooses, bodies repeated a fixed number of times.

Nothing of them is left in the graph. What a branch or body writes is known inside it only; it may
use a name that the graph around it has as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from norcim.frontend.batch import whole
from norcim.frontend.load import Node, Subgraph
from norcim.frontend.values import Const, Unknown, Unsupported, Value, View

MAX_ITERATIONS = 1024
"""Of one Loop or Scan: each becomes descriptors of its own."""

Values = tuple[Value, ...]


@dataclass(frozen=True)
class Control:
    """What these operations are given.

    run   imports a body with values for its inputs; returns its outputs
    make  imports a single node with values for its inputs; returns what it writes first
    """

    node: Node
    values: Values
    opset: int
    run: Callable[[Subgraph, Sequence[Value]], Sequence[Value]]
    make: Callable[[Node, Values], Value]

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default that ONNX gives it."""
        value = self.node.attrs.get(name)
        return default if value is None else value

    def body(self, name: str) -> Subgraph:
        """A graph attribute."""
        graph = self.node.attrs.get(name)
        if not isinstance(graph, Subgraph):
            raise ValueError(f"no graph {name}")
        return graph


def if_(control: Control) -> Sequence[Value]:
    """If, where the condition follows from shapes and constants: one branch, in place."""
    taken = _truth(control.values[0] if control.values else None)
    if taken is None:
        return [Unknown()] * len(control.node.outputs)
    return control.run(control.body("then_branch" if taken else "else_branch"), ())


def loop(control: Control) -> Sequence[Value]:
    """Loop with a constant number of turns, or a condition made of constants: unrolled."""
    body = control.body("body")
    count, goes_on, *carried = (*control.values, None, None)[: max(2, len(control.values))]
    n_turns = _count(count)
    states: list[Value] = list(carried)
    stacks: list[list[Value]] = [[] for _ in body.outputs[1 + len(states) :]]
    running = True if goes_on is None else _truth(goes_on)
    turn = 0
    while running and (n_turns is None or turn < n_turns):
        if turn == MAX_ITERATIONS:
            raise Unsupported(f"more than {MAX_ITERATIONS} turns", "repeat less often")
        flags = (Const(np.array(turn, np.int64)), Const(np.array(True)))
        found = control.run(body, (*flags, *states))
        if any(isinstance(value, Unknown) for value in found):
            return [Unknown()] * len(control.node.outputs)
        running, states = _truth(found[0]), list(found[1 : 1 + len(states)])
        for stack, value in zip(stacks, found[1 + len(states) :], strict=True):
            stack.append(value)
        turn += 1
    if running is None:
        return [Unknown()] * len(control.node.outputs)
    return [*states, *(_stack(control, stack, 0) for stack in stacks)]


def scan(control: Control) -> Sequence[Value]:
    """Scan over axes of fixed length: unrolled."""
    if control.opset < 9:
        raise Unsupported("Scan of opset 8", "export for opset 9 or newer")
    body, n_scans = control.body("body"), int(control.attr("num_scan_inputs", 0))
    n_states = len(control.values) - n_scans
    if n_scans < 1 or n_states < 0:
        raise ValueError(f"{n_scans} of {len(control.values)} inputs are scanned")
    inputs = [whole(value) for value in control.values[n_states:]]
    if any(isinstance(value, Unknown) for value in control.values):
        return [Unknown()] * len(control.node.outputs)
    n_outputs = len(body.outputs) - n_states
    axes = _numbers(control, "scan_input_axes", n_scans)
    backwards = _numbers(control, "scan_input_directions", n_scans)
    lengths = {_shape(value)[axis] for value, axis in zip(inputs, axes, strict=True)}
    if len(lengths) != 1:
        raise ValueError(f"scanned axes of lengths {sorted(lengths)}")
    length = lengths.pop()
    if length > MAX_ITERATIONS:
        raise Unsupported(f"{length} turns", f"export at most {MAX_ITERATIONS}, carry the state")
    states: list[Value] = list(control.values[:n_states])
    stacks: list[list[Value]] = [[] for _ in range(n_outputs)]
    for turn in range(length):
        parts = [
            _take(control, value, axis, length - 1 - turn if back else turn)
            for value, axis, back in zip(inputs, axes, backwards, strict=True)
        ]
        found = control.run(body, (*states, *parts))
        if any(isinstance(value, Unknown) for value in found):
            return [Unknown()] * len(control.node.outputs)
        states = list(found[:n_states])
        for stack, value in zip(stacks, found[n_states:], strict=True):
            stack.append(value)
    ends = _numbers(control, "scan_output_directions", n_outputs)
    out_axes = _numbers(control, "scan_output_axes", n_outputs)
    ordered = [stack[::-1] if back else stack for stack, back in zip(stacks, ends, strict=True)]
    pairs = zip(ordered, out_axes, strict=True)
    return [*states, *(_stack(control, stack, axis) for stack, axis in pairs)]


CONTROL: Mapping[str, Callable[[Control], Sequence[Value]]] = {
    "If": if_,
    "Loop": loop,
    "Scan": scan,
}


def _truth(value: Value) -> bool | None:
    """A condition; None if it is not known for want of something else that is reported."""
    if isinstance(value, Unknown):
        return None
    if not isinstance(value, Const):
        raise Unsupported("its condition is computed from the input's values")
    if value.array.size != 1:
        raise ValueError(f"a condition of shape {value.array.shape}")
    return bool(value.array.reshape(-1)[0])


def _count(value: Value) -> int | None:
    """The number of turns; None if only the condition ends the loop."""
    if value is None:
        return None
    if not isinstance(value, Const) or value.symbolic:
        raise Unsupported("its number of turns is computed from the input")
    return int(value.array.reshape(-1)[0])


def _shape(value: Value) -> tuple[int, ...]:
    if isinstance(value, Const):
        return value.array.shape
    if not isinstance(value, View):
        raise ValueError("something to scan is not given")
    return value.shape


def _numbers(control: Control, name: str, count: int) -> list[int]:
    given = [int(number) for number in control.attr(name) or [0] * count]
    if len(given) != count:
        raise ValueError(f"{len(given)} {name} for {count}")
    return given


def _take(control: Control, value: Value, axis: int, index: int) -> Value:
    """One position of an axis, which goes."""
    if isinstance(value, Const):
        return Const(np.take(value.array, index, axis))
    node = _helper(control, "Gather", {"axis": axis})
    return control.make(node, (value, Const(np.array(index, np.int64))))


def _stack(control: Control, values: Sequence[Value], axis: int) -> Value:
    """Values along a new axis."""
    if not values:
        raise Unsupported("its result is empty: no turn at all")
    if all(isinstance(value, Const) for value in values):
        return Const(np.stack([v.array for v in values if isinstance(v, Const)], axis))
    wide: list[Value] = []
    for value in values:
        if isinstance(value, Const):
            wide.append(Const(np.expand_dims(value.array, axis)))
        elif control.opset < 13:
            node = _helper(control, "Unsqueeze", {"axes": [axis]})
            wide.append(control.make(node, (value,)))
        else:
            node = _helper(control, "Unsqueeze", {})
            wide.append(control.make(node, (value, Const(np.array([axis], np.int64)))))
    return control.make(_helper(control, "Concat", {"axis": axis}), tuple(wide))


def _helper(control: Control, op: str, attrs: Mapping[str, Any]) -> Node:
    name = control.node.name
    return Node(op, "", name, (), (f"{control.node.outputs[0] or name}~{op.lower()}",), attrs)
