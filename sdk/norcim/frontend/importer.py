"""ONNX nodes to IR: walks the nodes once, collects everything that is not supported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.frontend.batch import settled, shift
from norcim.frontend.builder import Builder, check_budget, input_layout, port_order
from norcim.frontend.call import Call
from norcim.frontend.constants import FOLDABLE, constant_node, fold
from norcim.frontend.control import CONTROL, Control
from norcim.frontend.load import Dim, Model, Node, Subgraph, ValueInfo, damaged
from norcim.frontend.ops_recurrent import RECURRENT
from norcim.frontend.registry import DEFAULT_WORKAROUND, HANDLERS, KEEPS_CODES, WORKAROUNDS
from norcim.frontend.values import Const, MovesBatch, Unknown, Unsupported, Value, View
from norcim.ir.graph import Graph, Port, Shape

Layouts = Mapping[str, tuple[tuple[int, ...], Shape]]
"""Per graph input: the order of its axes and the (h, w, c) that its tensor has."""


MAX_NODES = 50_000
"""Nodes that are imported, those of repeated bodies each time."""


@dataclass
class _Import:
    model: Model
    builder: Builder
    values: dict[str, Value] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)  # in this graph, not in those around it
    problems: dict[str, str] = field(default_factory=dict)
    n_nodes: int = 0


def to_graph(model: Model) -> Graph:
    """The IR of a model, as its nodes say, nothing fused yet.

    The first walk finds in which layout the first reader of each input wants it; if that is not
    how the model shows it, a second walk starts from there and the host permutes the input.
    Raises NorcimError NC-E0202..E0208.
    """
    batch = _fixed_batch(model)
    try:
        first = _walk(model, {}, batch)
    except NorcimError as refusal:
        if batch in (None, 1):
            raise
        batch = 1
        try:  # what all inputs begin with may be the time, and the batch, of 1, elsewhere
            first = _walk(model, {}, batch)
        except NorcimError:
            raise refusal from None
    if not first.builder.wanted:
        return _finish(first)
    return _finish(_walk(model, first.builder.wanted, batch))


_FLOATS = ("float", "float16", "bfloat16", "double")
"""Types of real inputs; the program's own are codes in any case."""

_BATCH_NAMES = ("N", "B", "batch", "batch_size", "batchsize")
"""Symbols that stand for a batch, wherever the axis is; it is 1 then."""


class _OpenShape(Exception):
    """An input of no fixed shape or another type; reported alone if no operation is refused."""

    def __init__(self, error: NorcimError) -> None:
        super().__init__(str(error))
        self.error = error


def _walk(model: Model, layouts: Layouts, batch: int | None) -> _Import:
    state = _Import(model, Builder(batch))
    state.values[""] = None
    state.values.update({name: Const(array) for name, array in model.constants.items()})
    open_shapes = []
    for info in model.inputs:
        try:
            state.values[info.name] = _add_input(state.builder, info, layouts)
        except _OpenShape as refusal:
            open_shapes.append(refusal.error)
            state.values[info.name] = Unknown()
    state.written = set(state.values)
    for node in model.nodes:
        _import_node(state, node)
    if state.problems:
        state.problems.update(
            {f"{e.where}: {e.got}" if e.got else e.where: e.fix for e in open_shapes}
        )
        raise _unsupported(state.problems)
    if open_shapes:
        raise _all_of(open_shapes)
    return state


def _all_of(errors: Sequence[NorcimError]) -> NorcimError:
    """One error for all inputs that are not fixed."""
    if len(errors) == 1:
        return errors[0]
    return NorcimError(
        errors[0].id,
        f"{len(errors)} inputs are not fixed",
        where="; ".join(f"{e.where}: {e.got}" if e.got else e.where for e in errors),
        why=errors[0].why,
        fix="; ".join(dict.fromkeys(e.fix for e in errors)),
        exit_code=EXIT_UNSUPPORTED,
    )


def _fixed_batch(model: Model) -> int | None:
    """The batch size that the inputs are fixed to; None if one leaves it open."""
    sizes = {info.dims[0] for info in model.inputs if info.dims and len(info.dims) > 1}
    if any(not isinstance(size, int) for size in sizes):
        return None
    if len(sizes) > 1:  # states of a recurrent network lie otherwise
        return 1 if 1 in sizes else None
    return next((size for size in sizes if isinstance(size, int)), None)


def _add_input(builder: Builder, info: ValueInfo, layouts: Layouts) -> View:
    dims = info.dims
    # a batch is open, or 1, or the same for all inputs; what starts otherwise has none
    batched = dims is not None and len(dims) > 1 and dims[0] in (builder.batch, 1, *_open(dims))
    shape = _static_shape(info, batched)
    check_budget(prod(shape), info.name)
    default = (tuple(range(len(shape))), input_layout(shape))
    perm, tensor_shape = layouts.get(info.name, default)
    view = builder.add_input(info.name, shape, perm, tensor_shape)
    return replace(view, integer="" if info.dtype in _FLOATS else info.dtype, whole=not batched)


def _open(dims: Sequence[Dim]) -> list[Dim]:
    """The first dimension, if it is not a number (0 is none either)."""
    return [dims[0]] if not isinstance(dims[0], int) or dims[0] < 1 else []


def _static_shape(info: ValueInfo, batched: bool) -> tuple[int, ...]:
    """The per-sample shape of an input; all its dimensions but the batch must be numbers."""
    problem = "it has no shape" if info.dims is None else ""
    dims = [1 if dim in _BATCH_NAMES else dim for dim in info.dims or ()]
    for axis, dim in enumerate(dims):
        if (not isinstance(dim, int) or dim < 1) and not (batched and axis == 0):
            problem = f"dimension {axis} is {dim!r}" if dim else f"dimension {axis} is open"
            break
    if problem:
        error = NorcimError(
            "NC-E0205",
            "an input dimension is not fixed",
            where=f"input {info.name}",
            expected="(batch, ...) where every dimension but the batch is a number",
            got=problem,
            why="tiles and memory are laid out for one shape; norcim cannot choose it for you",
            fix=f"fix it with --input-shape {info.name}=SIZES (all of them, the batch too), or "
            "export with a static shape",
            exit_code=EXIT_UNSUPPORTED,
        )
        raise _OpenShape(error)
    if info.dtype not in (*_FLOATS, "int8", "uint8"):
        fix = f"make it a constant with --set {info.name}=NUMBERS, or export it as float"
        raise _OpenShape(_unsupported({f"input {info.name}: type {info.dtype}": fix}))
    return tuple(int(dim) for dim in dims[1 if batched else 0 :])


def _import_node(state: _Import, node: Node) -> None:
    state.n_nodes += 1
    if state.n_nodes > MAX_NODES:
        raise _unsupported({f"{node.op} {node.name}: more than {MAX_NODES:,} nodes, unrolled": ""})
    try:
        values = tuple(state.values[name] for name in node.inputs)
    except KeyError as error:
        raise damaged(node.name, f"it reads {error.args[0]!r}, which nothing writes") from error
    results: Sequence[Value] = [Unknown()] * len(node.outputs)
    try:
        results = _results(state, node, values)
    except Unsupported as refusal:
        name, workaround = _problem(node, str(refusal), refusal.workaround)
        state.problems[name] = workaround
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise damaged(f"{node.op} {node.name}", str(error)) from error
    for name, value in zip(node.outputs, results, strict=False):
        if name and name in state.written:
            raise damaged(node.name, f"it writes {name!r}, which is written already")
        if name:
            state.values[name] = value
            state.written.add(name)


def _run_body(state: _Import, body: Subgraph, inputs: Sequence[Value]) -> Sequence[Value]:
    """Import a branch or body in place; what it writes is seen inside it only."""
    if len(inputs) != len(body.inputs):
        raise ValueError(f"a body of {len(body.inputs)} inputs, given {len(inputs)}")
    outer, written = state.values, state.written
    own: dict[str, Value] = {name: Const(array) for name, array in body.constants.items()}
    own.update(zip(body.inputs, inputs, strict=True))
    state.values, state.written = {**outer, **own}, set(own)
    try:
        for node in body.nodes:
            _import_node(state, node)
        return [state.values[name] for name in body.outputs]
    finally:
        state.values, state.written = outer, written


def _results(state: _Import, node: Node, values: tuple[Value, ...]) -> Sequence[Value]:
    if node.op == "Constant":
        return [constant_node(node)]
    if node.op in CONTROL and not node.domain:
        return _controlled(state, node, values)
    if node.domain or not (node.op in HANDLERS or node.op in FOLDABLE):
        raise Unsupported("")
    unknown = [value for value in values if isinstance(value, Unknown)]
    if unknown:
        return [_unknown_result(node, unknown)] * len(node.outputs)
    constant = all(value is None or isinstance(value, Const) for value in values)
    if constant and node.op not in KEEPS_CODES:
        return fold(node, [v if isinstance(v, Const) else None for v in values], state.model.opset)
    if node.op not in HANDLERS:
        raise Unsupported("supported on constants only")
    if node.op not in ("Shape", *RECURRENT) and any(
        isinstance(value, View) and value.whole for value in values
    ):
        return _shifted(state, node, values)
    n_ops = len(state.builder.ops)
    try:
        return _handled(state, node, values)
    except MovesBatch as refusal:
        possible = state.builder.batch == 1 or (state.builder.batch is None and not refusal.at_one)
        if not possible or len(state.builder.ops) > n_ops:
            raise
        return _shifted(state, node, values)


def _controlled(state: _Import, node: Node, values: tuple[Value, ...]) -> Sequence[Value]:
    control = Control(
        node, values, state.model.opset,
        run=lambda body, inputs: _run_body(state, body, inputs),
        make=lambda inner, given: _results(state, inner, given)[0],
    )  # fmt: skip
    return CONTROL[node.op](control)


def _handled(state: _Import, node: Node, values: tuple[Value, ...]) -> Sequence[Value]:
    result = HANDLERS[node.op](Call(state.builder, node, values, state.model.opset))
    return result if isinstance(result, tuple) else [result]


def _shifted(state: _Import, node: Node, values: tuple[Value, ...]) -> Sequence[Value]:
    """What a node gives where the batch of 1 is an axis like any other."""
    node, values = shift(node, values, state.model.opset)
    return [settled(value) for value in _handled(state, node, values)]


def _unknown_result(node: Node, unknown: Sequence[Unknown]) -> Unknown:
    """What a node makes of inputs that are not known; refused if no input would save it."""
    fixed = node.op in ("Shape", "Size") or all(value.fixed for value in unknown)
    if node.op not in HANDLERS and not fixed:
        raise Unsupported("supported on constants only")
    return Unknown(fixed)


def _finish(state: _Import) -> Graph:
    model, builder = state.model, state.builder
    inputs = []
    for info in model.inputs:
        view = state.values[info.name]
        assert isinstance(view, View)
        if view.integer and builder.tensors[view.tensor].qparams is None:
            fix = "export in QDQ format: DequantizeLinear first"
            raise _unsupported({f"input {info.name}: codes that nothing dequantises": fix})
        inputs.append(_port(view, info.name))
    outputs = [_output_port(state, info) for info in model.outputs]
    return Graph(
        model.name, tuple(inputs), tuple(outputs), dict(builder.tensors), tuple(builder.ops)
    )


def _port(view: View, name: str) -> Port:
    perm = port_order(view)
    assert perm is not None
    return Port(view.tensor, view.shape, perm, view.integer or "float32", name)


def _output_port(state: _Import, info: ValueInfo) -> Port:
    if info.name not in state.values:
        raise damaged(f"output {info.name}", "nothing writes it")
    view = state.values[info.name]
    if not isinstance(view, View):
        fix = "remove it from the outputs"
        raise _unsupported({f"output {info.name}: it does not depend on the input": fix})
    if port_order(view) is None:
        everything = list(range(len(view.axes)))
        tensor = state.builder.materialise(view, ([], [], everything), info.name)
        axes = [((size, prod(view.shape[i + 1 :])),) for i, size in enumerate(view.shape)]
        view = View(tensor, tuple(axes), view.integer)
    if view.integer and state.builder.tensors[view.tensor].qparams is None:
        fix = "export in QDQ format: QuantizeLinear last"
        raise _unsupported({f"output {info.name}: codes that nothing quantised": fix})
    return _port(view, info.name)


def _problem(node: Node, reason: str, workaround: str) -> tuple[str, str]:
    kind = f"{node.domain}:{node.op}" if node.domain else node.op
    text = f"{kind} {node.name}" + (f": {reason}" if reason else "")
    return text, workaround or WORKAROUNDS.get(node.op, DEFAULT_WORKAROUND)


def _unsupported(problems: Mapping[str, str]) -> NorcimError:
    count = len(problems)
    what = "one operation is" if count == 1 else f"{count} operations are"
    return NorcimError(
        "NC-E0203",
        f"{what} not supported",
        where="; ".join(problems),
        why="the chip and its firmware have no step that computes this",
        fix="; ".join(f"{name} -> {fix}" for name, fix in problems.items()),
        exit_code=EXIT_UNSUPPORTED,
    )
