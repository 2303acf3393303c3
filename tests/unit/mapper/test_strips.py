"""Layers in strips of rows write the bytes that they write in one go, in less memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from norcim.analysis.evaluation import measure
from norcim.chips import load_chip
from norcim.chips.model import Chip
from norcim.emulator import Emulator
from norcim.emulator.reference import execute
from norcim.emulator.regions import port_region
from norcim.errors import NorcimError
from norcim.image import build_image, read_image
from norcim.image.model import ImageContent
from norcim.image.ports import quantise_port
from norcim.ir.graph import Floats, Graph, Op, Port, Shape, Tensor
from norcim.ir.ops import OPS
from norcim.mapper import emit, on_vector_path, plan_memory, tile_conv
from norcim.mapper.strips import RowWindow, strip_runs
from norcim.quantise import Layout, prepare, quantise_graph
from norcim.spec.program import Opcode

SAME = (1, 1, 1, 1)


class Builder:
    """A graph of random weights, tensor after tensor."""

    def __init__(self, shape: Shape) -> None:
        self.rng = np.random.default_rng(5)
        self.tensors = {"x": Tensor("x", shape)}
        self.ops: list[Op] = []

    def add(
        self, kind: str, inputs: tuple[str, ...], declared: Shape = (0, 0, 0), **op: Any
    ) -> str:
        weight = op.pop("weight", None)
        bias = None if weight is None else self.rng.normal(size=weight.shape[3]).astype(np.float32)
        name = f"t{len(self.ops)}"
        made = Op(kind, f"{kind}{len(self.ops)}", inputs, name, op, weight, bias)
        shape = OPS[kind].shape(made, [self.tensors[i].shape for i in inputs], declared)
        self.tensors[name] = Tensor(name, shape)
        self.ops.append(made)
        return name

    def conv(
        self, source: str, c_out: int, k: int = 3, stride: int = 1, dilation: int = 1,
        pads: tuple[int, int, int, int] = SAME, depthwise: bool = False,
    ) -> str:  # fmt: skip
        c = self.tensors[source].shape[2]
        weight = self.rng.normal(size=(k, k, 1 if depthwise else c, c_out)) / (k * np.sqrt(c))
        return self.add(
            "conv", (source,), weight=weight.astype(np.float32), stride=(stride, stride),
            dilation=(dilation, dilation), pads=pads, groups=c if depthwise else 1,
            clamp=(0.0, np.inf),
        )  # fmt: skip

    def graph(self, *outputs: str) -> Graph:
        ports = (Port("x", self.tensors["x"].shape, (0, 1, 2)),)
        outs = tuple(Port(name, self.tensors[name].shape, (0, 1, 2)) for name in outputs)
        return Graph("g", ports, outs, self.tensors, tuple(self.ops))


def mobile() -> Graph:
    """Depthwise and pointwise layers, strides, one output in the middle."""
    b = Builder((37, 21, 3))
    t = b.conv("x", 8, stride=2)
    t = b.conv(t, 8, depthwise=True)
    wide = b.conv(t, 24, k=1, pads=(0, 0, 0, 0))
    t = b.conv(wide, 24, stride=2, depthwise=True)
    middle = b.conv(t, 12, k=1, pads=(0, 0, 0, 0))
    t = b.conv(middle, 12, k=3, dilation=2, pads=(2, 2, 2, 2), depthwise=True)
    return b.graph(b.conv(t, 4, k=1, pads=(0, 0, 0, 0)), middle)


def residual() -> Graph:
    """Branches of different depth, so that one has to wait; pooling, a border, per-row steps."""
    b = Builder((40, 12, 4))
    t = b.add("pad", ("x",), pads=(2, 0, 1, 0), value=0.0)
    a = b.conv(t, 8)
    long = b.conv(b.conv(a, 8), 8)
    t = b.add("add", (long, a), clamp=(0.0, np.inf))
    t = b.add("maxpool", (t,), kernel=(3, 3), stride=(2, 2), dilation=(1, 1), pads=SAME)
    t = b.add(
        "avgpool", (t,), kernel=(3, 3), stride=(1, 1), pads=SAME, count_include_pad=False
    )  # fmt: skip
    gate = b.add("table", (t,), function="sigmoid", alpha=0.0, beta=0.0, expression=())
    t = b.add("mul", (t, gate), clamp=None)
    t = b.conv(t, 6)
    return b.graph(b.add("softmax", (t,)))


def tall() -> Graph:
    """Kernels of which some windows lie in the padding only, and a stride over a kernel."""
    b = Builder((50, 6, 2))
    t = b.conv("x", 8, k=3, pads=(5, 1, 6, 1))
    t = b.conv(t, 8, k=1, stride=3, pads=(0, 0, 0, 0))
    return b.graph(b.conv(t, 3))


GRAPHS = {"mobile": mobile, "residual": residual, "tall": tall}
LEAST = {"mobile": 3656, "residual": 3168, "tall": 720}
"""Bytes of activation memory in which each has a plan; whole they need 6,688, 12,384, 3,432."""


def with_memory(chip: Chip, n_bytes: int) -> Chip:
    return replace(chip, memories=replace(chip.memories, activation_bytes=n_bytes))


def inputs_of(graph: Graph, n: int = 6) -> Floats:
    shape = graph.tensors["x"].shape
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


def compiled(graph: Graph, chip: Chip) -> ImageContent:
    layout = Layout(
        lambda op: on_vector_path(op, chip),
        lambda op, lines, rows: tile_conv(op, chip, lines_per_input=lines, row_tiles=rows),
        lambda op: 1, chip.arrays.n_bias_rows,
    )  # fmt: skip
    quant = quantise_graph(prepare(graph, chip, {"x": inputs_of(graph)}), chip, layout)
    content = emit(quant, chip, plan_memory(quant.graph, chip), {})
    return read_image(build_image(content))


def golden(content: ImageContent, codes: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    memory = np.random.default_rng(2).integers(0, 256, (len(codes), content.activation_bytes))
    memory = memory.astype(np.uint8)
    source, *targets = content.ports
    port_region(source).view(memory)[...] = codes
    for d in content.program[:-1]:
        execute(d, content, memory)
    return [port_region(port).view(memory).copy() for port in targets]


@pytest.mark.parametrize("chip_name", ["digital", "nor1", "wtm2101"])
@pytest.mark.parametrize("name", GRAPHS)
def test_strips_write_the_same_bytes_in_less_memory(name: str, chip_name: str) -> None:
    chip, graph = with_memory(load_chip(chip_name), 1 << 20), GRAPHS[name]()
    whole = compiled(graph, chip)
    needs = sorted({LEAST[name], whole.activation_bytes * 3 // 4})
    codes = quantise_port(whole.ports[0], inputs_of(graph))
    expected = Emulator(whole).run([codes])
    for n_bytes in needs:
        content = compiled(graph, with_memory(chip, n_bytes))
        assert content.activation_bytes <= n_bytes
        assert len(content.program) > len(whole.program)
        assert content.weights == whole.weights
        assert len(content.tiles) == len(whole.tiles)
        for found in (Emulator(content).run([codes]), golden(content, codes)):
            for got, due in zip(found, expected, strict=True):
                np.testing.assert_array_equal(got, due)


@pytest.mark.parametrize("name", GRAPHS)
def test_errors_of_layers_are_those_of_all_strips(name: str) -> None:
    chip, graph = load_chip("nor1"), GRAPHS[name]()
    whole = compiled(graph, chip)
    content = compiled(graph, with_memory(chip, LEAST[name]))
    codes = quantise_port(whole.ports[0], inputs_of(graph))
    due = measure(whole, [codes], reference=graph).layers
    found = measure(content, [codes], reference=graph).layers
    due_rows = [(layer.name, layer.sqnr_db, layer.n_conversions) for layer in due]
    rows = [(layer.name, layer.sqnr_db, layer.n_conversions) for layer in found]
    assert [row for row in rows if not row[0].endswith("(kept)")] == due_rows
    assert len(rows) > len(due_rows)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("n_strips", [2, 5, 50])
def test_every_row_is_computed_once(name: str, n_strips: int) -> None:
    graph = GRAPHS[name]()
    runs = strip_runs(graph, 0, len(graph.ops), n_strips)
    for number, op in enumerate(graph.ops):
        rows = [run.rows for run in runs if run.op == number and not run.kept]
        assert rows[0][0] == 0
        assert [end for _, end in rows[:-1]] == [first for first, _ in rows[1:]]
        assert rows[-1][1] == graph.tensors[op.output].shape[0]


def test_a_row_is_ready_when_all_that_it_reads_is_done() -> None:
    for window in (RowWindow(1, 1, 3), RowWindow(2, 0, 3), RowWindow(3, 4, 5), RowWindow(1, 0, 1)):
        n_rows = 20
        n_out = (n_rows + 2 * window.pad - window.reach) // window.stride + 1
        for done in range(n_rows):
            ready = window.ready(done, n_rows, n_out)
            assert all(window.reads((y, y + 1), n_rows)[1] <= max(done, 1) for y in range(ready))
            if ready < n_out:
                assert window.reads((ready, ready + 1), n_rows)[1] > done


def test_a_layer_that_needs_all_rows_is_refused_by_what_it_needs() -> None:
    b = Builder((16, 16, 8))
    t = b.conv("x", 32)
    t = b.add("transpose", (t,), perm=(1, 0, 2))
    graph = b.graph(b.conv(t, 4))
    chip = with_memory(load_chip("nor1"), 12_000)
    with pytest.raises(NorcimError) as caught:
        plan_memory(graph, chip)
    assert caught.value.id == "NC-E0304"
    assert "transpose1 (16,384)" in caught.value.where


def test_copies_of_rows_are_layers_of_their_own() -> None:
    content = compiled(residual(), with_memory(load_chip("digital"), LEAST["residual"]))
    kept = [
        d for d in content.program if content.meta["layers"][d.layer]["name"].endswith("(kept)")
    ]
    assert kept
    assert {d.opcode for d in kept} == {Opcode.COPY}
    assert "pad0 to maxpool5 run in strips of rows" in content.meta["notes"][-1]
