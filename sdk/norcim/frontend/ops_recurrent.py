"""LSTM, GRU and RNN, step by step, as products, tables, elementwise operations and moves.

The products with the input run for all steps at once, those with the state once a step. Gates are
on the arrays, everything else beside them; see docs/decisions/0053.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from norcim.frontend.batch import settled, whole
from norcim.frontend.call import Array, Call
from norcim.frontend.constant_tensor import constant_view
from norcim.frontend.moving import Loop, Part, Span, assemble
from norcim.frontend.moving import whole as all_of
from norcim.frontend.ops_elementwise import binary, clamped, scalar
from norcim.frontend.ops_linear import affine, product
from norcim.frontend.values import Const, MovesBatch, Unsupported, Value, View, contiguous

MAX_STEPS = 256
"""Steps of one layer, both directions together: each is a handful of descriptors."""

RECURRENT = ("GRU", "LSTM", "RNN")

_FUNCTIONS = {
    "Elu": ("elu", 1.0, 0.0),
    "HardSigmoid": ("hard_sigmoid", 0.2, 0.5),
    "LeakyRelu": ("leaky_relu", 0.01, 0.0),
    "Sigmoid": ("sigmoid", 0.0, 0.0),
    "Softplus": ("softplus", 0.0, 0.0),
    "Softsign": ("softsign", 0.0, 0.0),
    "Tanh": ("tanh", 0.0, 0.0),
    "ThresholdedRelu": ("thresholded_relu", 1.0, 0.0),
}


@dataclass(frozen=True)
class _Layer:
    """One direction.

    inputs   products with the input and both biases: (steps, gates * size)
    r        (size, gates * size)
    r_bias   (gates * size,), of GRU's that belongs inside the reset
    """

    call: Call
    size: int
    inputs: View
    r: Array
    r_bias: Array
    functions: tuple[str, ...]
    direction: int

    def activate(self, view: View, which: int, clip: bool = True) -> View:
        """One of the layer's activation functions, by its place in ONNX's list.

        clip  whether its input is clipped first, where the layer clips at all
        """
        limit = self.call.attr("clip")
        if limit and clip:
            view = clamped(self.call, view, -float(limit), float(limit))
        name = self.functions[which]
        if name == "Relu":
            return clamped(self.call, view, 0.0, np.inf)
        if name not in _FUNCTIONS:
            raise Unsupported(f"activation {name}", "use Sigmoid, Tanh or Relu")
        function, alpha, beta = _FUNCTIONS[name]
        alphas, betas = self.call.attr("activation_alpha"), self.call.attr("activation_beta")
        place = which + self.direction * len(self.functions)
        alpha = float(alphas[place]) if alphas and place < len(alphas) else alpha
        beta = float(betas[place]) if betas and place < len(betas) else beta
        return scalar(self.call, view, function, alpha, beta)

    def gate(self, view: View, first: int, count: int = 1) -> View:
        """Some gates of a vector (gates * size)."""
        return _rows(self.call, view, 0, first * self.size, count * self.size)

    def product(self, h: View, first: int, count: int, bias: bool) -> View:
        """h @ r for some gates."""
        span = slice(first * self.size, (first + count) * self.size)
        shift = self.r_bias[span].astype(np.float32) if bias else None
        return product(self.call, h, self.r[:, span], None, shift)


_State = tuple[View | None, ...]
_Step = Callable[[_Layer, View, _State], _State]


def lstm(call: Call) -> tuple[Value, ...]:
    """LSTM in every direction, unrolled; no peepholes. The cell state has 16 bits."""
    if call.const(7) is not None and np.any(call.numbers(7)):
        raise Unsupported("peepholes", "train without them")
    if call.attr("input_forget", 0):
        raise Unsupported("input_forget", "train with separate gates")
    return _run(call, 4, ("Sigmoid", "Tanh", "Tanh"), (5, 6), _lstm_step)


def _lstm_step(layer: _Layer, x: View, state: _State) -> _State:
    call, (h, c) = layer.call, state
    total = x if h is None else binary(call, "add", x, layer.product(h, 0, 4, False))
    gates = layer.activate(layer.gate(total, 0, 3), 0)  # input, output, forget
    new = layer.activate(layer.gate(total, 3), 1)
    if c is None:
        cell = binary(call, "mul", layer.gate(gates, 0), new)
    else:
        size = layer.size
        both = _joined(call, [(gates, 0), (gates, 2 * size)], size)
        cell = _updated(call, both, new, c)
    return binary(call, "mul", layer.gate(gates, 1), layer.activate(cell, 2, clip=False)), cell


def gru(call: Call) -> tuple[Value, ...]:
    """GRU in every direction, reset before or after the product, unrolled; a state of 16 bits."""
    return _run(call, 3, ("Sigmoid", "Tanh"), (5,), _gru_step)


def _gru_step(layer: _Layer, x: View, state: _State) -> _State:
    call, h = layer.call, state[0]
    after = bool(call.attr("linear_before_reset", 0))
    both = layer.gate(x, 0, 2)
    if h is not None:
        both = binary(call, "add", both, layer.product(h, 0, 2, False))
    both = layer.activate(both, 0)
    update, reset = layer.gate(both, 0), layer.gate(both, 1)
    inner = layer.gate(x, 2)
    if after:
        own = (
            constant_view(call, x, layer.r_bias[2 * layer.size :], (layer.size,))
            if h is None else layer.product(h, 2, 1, True)
        )  # fmt: skip
        inner = binary(call, "add", inner, binary(call, "mul", reset, own))
    elif h is not None:
        held = binary(call, "mul", reset, h)
        inner = binary(call, "add", inner, layer.product(held, 2, 1, False))
    new = layer.activate(inner, 1)
    rest = affine(call, update, -np.ones(()), np.ones(()))  # 1 - update
    if h is None:
        return (binary(call, "mul", rest, new),)
    both = _joined(call, [(rest, 0), (update, 0)], layer.size)
    return (_updated(call, both, new, h),)


def _joined(call: Call, gates: Sequence[tuple[View, int]], size: int) -> View:
    """The gate that lets in, then the one that keeps: (2 * size,).

    gates  vectors, and the element from which on each is a gate
    """
    parts = [
        Part(view, (Span(first, place * size, (Loop(size, 1, 1),)),))
        for place, (view, first) in enumerate(gates)
    ]
    return assemble(call.builder, call.node.name, f"{call.node.name}~gates", parts, (2 * size,))


def _updated(call: Call, gates: View, new: View, old: View) -> View:
    """A state (size,) of 16 bits, gone on by one step."""
    builder, name = call.builder, call.node.name
    shape = (1, 1, new.shape[0])
    flat, incoming, state = (builder.materialise(v, ([], [], [0]), name) for v in (gates, new, old))
    pair = builder.reshape(flat, (2, 1, shape[2]), name)
    if not builder.is_wide(state):
        state = builder.emit("widen", name, [state], shape)
    return contiguous(builder.emit("update", name, [pair, incoming, state], shape), shape[2:])


def rnn(call: Call) -> tuple[Value, ...]:
    """Plain recurrent layer in every direction, unrolled."""
    return _run(call, 1, ("Tanh",), (5,), _rnn_step)


def _rnn_step(layer: _Layer, x: View, state: _State) -> _State:
    call, h = layer.call, state[0]
    total = x if h is None else binary(call, "add", x, layer.product(h, 0, 1, False))
    return (layer.activate(total, 0),)


def _run(
    call: Call, gates: int, defaults: Sequence[str], states: Sequence[int], step: _Step
) -> tuple[Value, ...]:
    """All directions and steps; returns what the node writes: Y, Y_h and for LSTM Y_c."""
    given = call.real(0)
    if not given.whole and (call.builder.batch or 1) > 1:
        raise MovesBatch("its first axis is the time, not a batch", "fix the batch to 1")
    x = whole(given)
    assert isinstance(x, View)
    swapped = bool(call.attr("layout", 0))
    x = x.permuted((1, 0, 2)) if swapped else x
    if len(x.shape) != 3 or x.shape[1] != 1:
        raise Unsupported(f"an input of shape {x.shape}", "run it with a batch of 1")
    n_steps = x.shape[0]
    direction = call.attr("direction", "forward")
    n_directions = 2 if direction == "bidirectional" else 1
    if n_steps * n_directions > MAX_STEPS:
        raise Unsupported(f"{n_steps} steps", f"export at most {MAX_STEPS} steps, carry the state")
    _check_lengths(call, n_steps)
    x = x.permuted((0, 2))
    sequences: list[list[View]] = []
    lasts: list[_State] = []
    for which in range(n_directions):
        layer = _layer(call, x, which, gates, defaults)
        order = list(range(n_steps))
        if direction == "reverse" or which == 1:
            order.reverse()
        first = tuple(_initial(call, index, which, layer.size, x, swapped) for index in states)
        outputs, last = _steps(layer, order, first, step)
        sequences.append(outputs)
        lasts.append(last)
    return _outputs(call, sequences, lasts, swapped)


def _steps(
    layer: _Layer, order: Sequence[int], state: _State, step: _Step
) -> tuple[list[View], _State]:
    outputs: dict[int, View] = {}
    for t in order:
        row = _rows(layer.call, layer.inputs, 0, t, 1)
        state = step(layer, row.permuted((1,)), state)
        assert state[0] is not None
        outputs[t] = state[0]
    return [outputs[t] for t in sorted(outputs)], state


def _check_lengths(call: Call, n_steps: int) -> None:
    lengths = call.numbers(4)
    if lengths is not None and (lengths != n_steps).any():
        raise Unsupported("sequences of different lengths", "cut them on the host")


def _layer(call: Call, x: View, which: int, gates: int, defaults: Sequence[str]) -> _Layer:
    w, r = call.numbers(1), call.numbers(2)
    if w is None or r is None:
        raise ValueError("no weights given")
    size = int(r.shape[-1])
    n_rows = gates * size
    if w.shape[1:] != (n_rows, x.shape[1]) or r.shape[1:] != (n_rows, size):
        raise ValueError(f"weights {w.shape} and {r.shape} for {x.shape[1]} inputs")
    given = call.numbers(3)
    biases = np.zeros(2 * n_rows) if given is None else given[which].astype(np.float64)
    w_bias, r_bias = biases[:n_rows], biases[n_rows:].copy()
    inside = call.node.op == "GRU" and bool(call.attr("linear_before_reset", 0))
    moved = r_bias.copy()
    if inside:
        moved[2 * size :] = 0.0
    total = (w_bias + moved).astype(np.float32)
    names = call.attr("activations") or list(defaults) * 2
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in names]
    own = tuple(names[which * len(defaults) : (which + 1) * len(defaults)])
    inputs = product(call, x, w[which].T, None, total if total.any() else None)
    return _Layer(call, size, inputs, r[which].T, r_bias, own, which)


def _initial(
    call: Call, index: int, which: int, size: int, like: View, swapped: bool
) -> View | None:
    """The state (size,) before the first step; None for zeros."""
    value = call.value(index)
    if value is None or (isinstance(value, Const) and not np.any(value.array)):
        return None
    if isinstance(value, Const):
        array = value.array.transpose((1, 0, 2)) if swapped else value.array
        return constant_view(call, like, array[which, 0], (size,))
    state = whole(value)
    assert isinstance(state, View)
    state = state.permuted((1, 0, 2)) if swapped else state
    if len(state.shape) != 3 or state.shape[1:] != (1, size):
        raise Unsupported(f"a state of shape {state.shape}", "run it with a batch of 1")
    return _rows(call, state, 0, which, 1).permuted((2,))


def _rows(call: Call, view: View, axis: int, first: int, count: int) -> View:
    """A range of positions of one axis."""
    if count == view.shape[axis]:
        return view
    spans = [all_of(n) for n in view.shape]
    spans[axis] = Span(first, 0, (Loop(count, 1, 1),))
    shape = (*view.shape[:axis], count, *view.shape[axis + 1 :])
    name = f"{call.node.outputs[0] or call.node.name}~part"
    return assemble(call.builder, call.node.name, name, [Part(view, tuple(spans))], shape)


def _outputs(
    call: Call, sequences: list[list[View]], lasts: list[_State], swapped: bool
) -> tuple[Value, ...]:
    """Y (steps, directions, 1, size), then the last states (directions, 1, size)."""
    n_steps, n_directions = len(sequences[0]), len(sequences)
    names = call.node.outputs
    rows = [sequences[d][t] for t in range(n_steps) for d in range(n_directions)]
    size = rows[0].shape[0]
    results: list[Value] = []
    if names[0]:
        y = _stacked(call, rows, (n_steps, n_directions, 1, size), names[0])
        results.append(settled(y.permuted((2, 0, 1, 3)) if swapped else y))
    else:
        results.append(None)
    for index, name in enumerate(names[1:]):
        views = [last[index] for last in lasts]
        if not name:
            results.append(None)
            continue
        state = _stacked(call, [v for v in views if v], (n_directions, 1, size), name)
        results.append(settled(state.permuted((1, 0, 2)) if swapped else state))
    return tuple(results)


def _stacked(call: Call, rows: Sequence[View], shape: Sequence[int], name: str) -> View:
    """Vectors (size,) one after the other as a tensor of `shape`, all of whose axes it holds."""
    size = rows[0].shape[0]
    if len(rows) == 1:
        flat = rows[0]
    else:
        parts = [Part(row, (all_of(size, index * size),)) for index, row in enumerate(rows)]
        flat = assemble(call.builder, call.node.name, name, parts, (size * len(rows),))
    if len(flat.axes[0]) > 1:  # a plain vector never is
        raise Unsupported("a state that does not lie in a row")
    stored = contiguous(flat.tensor, shape)
    return replace(stored, whole=True)
