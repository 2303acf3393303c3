"""Structured mutation of small models against the importer.

Run with `python -m tests.conformance.fuzz_import`.

Seeds are the node tests of the onnx package, those of If, Loop and Scan among them. A mutated model
must import or be refused with a NorcimError, within 10 s of CPU time and 1 GiB beyond what the
process has; anything else is a finding, kept as a file that the next run tries first.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import click
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from norcim.errors import NorcimError
from norcim.frontend import import_onnx
from norcim.frontend.control import CONTROL
from norcim.frontend.registry import HANDLERS
from tests.conformance.node_tests import applicable, cases_of

SECONDS = 10
BYTES = 1 << 30

_INTEGERS = (0, 1, 2, -1, -2, 3, 7, 255, 65536, 1 << 31, (1 << 63) - 1, -(1 << 63))
_FLOATS = (0.0, -1.0, 1e-45, 1e38, float("inf"), float("nan"), 0.5)
_TYPES = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT8, TensorProto.DOUBLE)

_INTERNAL = ("NC-E0210", "NC-E0211", "NC-E0212", "NC-E0213")

Mutation = Callable[[onnx.ModelProto, random.Random], None]


def seeds() -> list[bytes]:
    """Node tests with all inputs but the first as initialisers, serialised."""
    found = []
    for case in (*applicable(), *cases_of(sorted(CONTROL))):
        model, arrays = onnx.ModelProto(), case.data_sets[0][0]
        model.CopyFrom(case.model)
        infos = list(model.graph.input)
        if not all(isinstance(array, np.ndarray | np.generic) for array in arrays):
            continue
        del model.graph.input[1:]
        for info, array in list(zip(infos, arrays, strict=False))[1:]:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), info.name))
        data = model.SerializeToString()
        if len(data) < 20_000:
            found.append(data)
    return found


def _node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto:
    """A node, those of branches and bodies among them."""
    return rng.choice(_nodes(model.graph))


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    inner = [item.g for node in graph.node for item in node.attribute if item.HasField("g")]
    return [*graph.node, *(node for body in inner for node in _nodes(body))]


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another value of an attribute, or a longer or shorter list, or none."""
    attributes = _node(model, rng).attribute
    if not attributes:
        return
    item = rng.choice(attributes)
    if item.type == AttributeProto.INT:
        item.i = rng.choice(_INTEGERS)
    elif item.type == AttributeProto.FLOAT:
        item.f = rng.choice(_FLOATS)
    elif item.type == AttributeProto.INTS and item.ints and rng.random() < 0.6:
        item.ints[rng.randrange(len(item.ints))] = rng.choice(_INTEGERS)
    elif item.type == AttributeProto.INTS:
        item.ints.append(rng.choice(_INTEGERS))
    elif item.type == AttributeProto.STRING:
        item.s = rng.choice((b"", b"SAME_UPPER", b"reflect", b"\xff", b"linear"))
    else:
        attributes.remove(item)


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    _node(model, rng).op_type = rng.choice(sorted((*HANDLERS, *CONTROL)))


def _wiring(model: onnx.ModelProto, rng: random.Random) -> None:
    """An input of a node from elsewhere, one less, or one more."""
    node = _node(model, rng)
    names = [t.name for t in model.graph.initializer] + [i.name for i in model.graph.input] + [""]
    names += [name for other in model.graph.node for name in other.output]
    if node.input and rng.random() < 0.7:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    else:
        node.input.append(rng.choice(names))


def _chain(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another node behind the last."""
    last = model.graph.node[-1]
    if last.output:
        name = f"fuzz{len(model.graph.node)}"
        op = rng.choice(sorted(HANDLERS))
        extra = [t.name for t in model.graph.initializer][: rng.randrange(3)]
        model.graph.node.append(onnx.helper.make_node(op, [last.output[0], *extra], [name]))
        model.graph.output[0].name = name


def _constant(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another shape, type or content of an initialiser."""
    if not model.graph.initializer:
        return
    tensor = rng.choice(model.graph.initializer)
    kind = rng.randrange(4)
    if kind == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(_INTEGERS)
    elif kind == 1:
        tensor.data_type = rng.choice(_TYPES)
    elif kind == 2 and tensor.raw_data:
        raw = bytearray(tensor.raw_data)
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        tensor.raw_data = bytes(raw)
    else:
        shape = [rng.choice((0, 1, 2, 3, 5)) for _ in range(rng.randrange(4))]
        dtype = rng.choice((np.float32, np.int64))
        values = np.array([rng.choice(_INTEGERS[:8]) for _ in range(int(np.prod(shape)))], dtype)
        tensor.CopyFrom(numpy_helper.from_array(values.reshape(shape), tensor.name))


def _shape(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another dimension of the input, one more, or one less."""
    if not model.graph.input:
        return
    dims = model.graph.input[0].type.tensor_type.shape.dim
    if dims and rng.random() < 0.6:
        dims[rng.randrange(len(dims))].dim_value = rng.choice((0, 1, 2, 3, 4, 7, 1 << 20, 1 << 40))
    elif dims and rng.random() < 0.5:
        del dims[-1]
    else:
        dims.add().dim_value = rng.choice((1, 2, 3))


def _opset(model: onnx.ModelProto, rng: random.Random) -> None:
    model.opset_import[0].version = rng.choice((7, 8, 9, 10, 11, 12, 13, 17, 18, 21, 24))


def _type(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.input:
        model.graph.input[0].type.tensor_type.elem_type = rng.choice((*_TYPES, 2))


MUTATIONS: Sequence[Mutation] = (
    _attribute, _attribute, _operator, _wiring, _chain, _constant, _constant, _shape, _opset, _type,
)  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of the model, now and then of its bytes."""
    if rng.random() < 0.1:
        raw = bytearray(data)
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        return bytes(raw)
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.randrange(1, 5)):
        rng.choice(MUTATIONS)(model, rng)
    return model.SerializeToString()


class TooLong(Exception):
    """An import took more than its time."""


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise TooLong


def attempt(data: bytes, path: Path) -> str:
    """The error id, "imported", or the traceback of a finding."""
    path.write_bytes(data)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        import_onnx(path)
    except NorcimError as error:
        # what verify finds wrong with the structure of a graph is the importer's own fault
        return error.id if error.id not in _INTERNAL else f"Traceback: {error}"
    except (Exception, TooLong):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "imported"


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@click.command()
@click.option("--count", default=10_000, help="Mutated models.")
@click.option("--seed", default=1, help="Of the mutations.")
@click.option("--corpus", type=click.Path(path_type=Path), default=Path("build/fuzz"))
def main(count: int, seed: int, corpus: Path) -> None:
    """Try mutated models; exit with 1 if one ends otherwise than it may."""
    corpus.mkdir(parents=True, exist_ok=True)
    models, rng, results = seeds(), random.Random(seed), Counter[str]()
    signal.signal(signal.SIGPROF, _alarm)
    _limit_memory()
    path, kinds, start = corpus / "now.onnx", set[str](), time.perf_counter()
    tries = [p.read_bytes() for p in sorted(corpus.glob("found_*.onnx"))]
    for index in range(count):
        data = tries.pop() if tries else mutate(rng.choice(models), rng)
        result = attempt(data, path)
        if "Traceback" not in result:
            results[result] += 1
            continue
        results["FOUND"] += 1
        kind = "\n".join(result.splitlines()[-3:])
        if kind not in kinds:
            kinds.add(kind)
            (corpus / f"found_{seed}_{index}.onnx").write_bytes(data)
            click.echo(result)
    spent = time.perf_counter() - start
    click.echo(f"{count} models in {spent:.0f} s, {count / spent:.0f} a second: {dict(results)}")
    sys.exit(1 if results["FOUND"] else 0)


if __name__ == "__main__":
    main()
