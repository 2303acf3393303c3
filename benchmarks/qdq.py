"""`python -m benchmarks.qdq`: QDQ models layer by layer on `digital` against their own arithmetic.

Every layer between two tensors that a model rounds is compiled alone and runs on the emulator with
the codes that the model's arithmetic gives its inputs, so a layer answers for itself only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.subjects import shared_data
from norcim.chips import Chip, load_chip
from norcim.emulator import Emulator
from norcim.frontend import import_onnx
from norcim.image.ports import dequantise_port, quantise_port
from norcim.ir import Graph, evaluate, to_tensor
from norcim.ir.graph import Floats, Op, Port
from norcim.mapper import emit, on_vector_path, plan_memory, tile_conv
from norcim.quantise import Layout, prepare, quantise_graph


def layers(graph: Graph) -> Iterator[Graph]:
    """The operations from rounded tensors to the next rounded one, each a graph of its own."""
    writer = {op.output: op for op in graph.ops}
    for last in graph.ops:
        if graph.tensors[last.output].qparams is None:
            continue
        ops: dict[str, Op] = {last.output: last}
        todo, sources = list(last.inputs), set()
        while todo:
            name = todo.pop()
            if graph.tensors[name].qparams is not None or name not in writer:
                sources.add(name)
            elif name not in ops:
                ops[name] = writer[name]
                todo += writer[name].inputs
        if all(graph.tensors[name].qparams for name in sources):
            yield _part(graph, sorted(sources), [op for op in graph.ops if op.output in ops])


def _part(graph: Graph, sources: list[str], ops: list[Op]) -> Graph:
    def port(name: str) -> Port:
        q = graph.tensors[name].qparams
        assert q is not None
        codes = "int8" if q.signed else "uint8"
        return Port(name, graph.tensors[name].shape, (0, 1, 2), codes)

    names = [*sources, *(op.output for op in ops)]
    return replace(
        graph, inputs=tuple(port(name) for name in sources), outputs=(port(ops[-1].output),),
        tensors={name: graph.tensors[name] for name in names}, ops=tuple(ops),
    )  # fmt: skip


def differing(layer: Graph, values: Mapping[str, Floats], chip: Chip) -> Floats:
    """Steps of a layer's output less those that its output should have, on all samples.

    values  what the model gives by tensor, rounded where it rounds
    """
    layout = Layout(
        lambda op: on_vector_path(op, chip),
        lambda op, lines, rows: tile_conv(op, chip, lines_per_input=lines, row_tiles=rows),
        lambda op: 1, chip.arrays.n_bias_rows,
    )  # fmt: skip
    given = {port.tensor: values[port.tensor] for port in layer.inputs}
    quant = quantise_graph(prepare(layer, chip, given), chip, layout)
    content = emit(quant, chip, plan_memory(quant.graph, chip), {})
    *sources, target = content.ports
    codes = [quantise_port(p, given[q.tensor]) for p, q in zip(sources, layer.inputs, strict=True)]
    [found] = Emulator(content).run(codes)
    due = values[layer.outputs[0].tensor]
    steps = (dequantise_port(target, found).reshape(due.shape) - due) / target.real_scale
    return np.asarray(np.rint(steps))


def _real(graph: Graph, port: Port, array: npt.NDArray[Any]) -> Floats:
    """Golden inputs as real values (n, h, w, c)."""
    tensor, given = graph.tensors[port.tensor], array.reshape(-1, *port.shape).astype(np.float32)
    if port.codes != "float32" and tensor.qparams is not None:
        given = (given - tensor.qparams.zero_point) * np.float32(tensor.qparams.scale)
    return to_tensor(port, tensor.shape, given)


@click.command()
@click.argument("models", nargs=-1)
def main(models: tuple[str, ...]) -> None:
    """One JSON object for each of MODELS, or of the shared folder's QDQ models."""
    folder = shared_data()
    if folder is None:
        raise click.ClickException("the folder of models and golden inputs is not there")
    chip = load_chip("digital")
    for path in [Path(m) for m in models] or sorted((folder / "models").glob("*.onnx")):
        golden = folder / "data" / "golden" / f"{path.stem}.npz"
        if not golden.is_file() or not path.stem.endswith(("int8", "qdq")):
            continue
        graph = import_onnx(path)
        arrays = np.load(golden)
        inputs = {p.tensor: _real(graph, p, arrays[f"in_{i}"]) for i, p in enumerate(graph.inputs)}
        values = evaluate(graph, inputs, fake_quantise=True)
        errors = [np.abs(differing(layer, values, chip)) for layer in layers(graph)]
        shares = [float((error > 0).mean()) for error in errors]
        row = {
            "model": path.stem, "layers": len(errors),
            "largest": max(int(error.max()) for error in errors), "differ": round(max(shares), 5),
        }  # fmt: skip
        click.echo(json.dumps(row))


if __name__ == "__main__":
    main()
