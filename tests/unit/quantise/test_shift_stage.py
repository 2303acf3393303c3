"""Chips without a requantiser: scales a power of two apart, bias rows, copies, PN rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.image.model import ImageContent
from norcim.image.ports import dequantise_port, quantise_port
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Floats, Graph, Op, Port, QParams, Tensor, WeightCodes
from norcim.mapper import (
    check_support,
    emit,
    free_bias_rows,
    graph_blocks,
    most_copies,
    on_vector_path,
    plan_memory,
    tile_conv,
)
from norcim.quantise import Layout, prepare, quantise_graph
from norcim.quantise.conv_plan import spread_bias, spread_copies
from norcim.spec.program import Encoding, Stage

CHIP = load_chip("wtm2101")


def linear(weight: npt.NDArray[np.floating], relu: bool) -> Graph:
    """One matrix product (1, 1, K) -> (1, 1, C), with an optional ReLU."""
    k, c = weight.shape
    clamp = (0.0, np.inf) if relu else None
    attrs = {
        "stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0), "groups": 1, "clamp": clamp,
    }  # fmt: skip
    op = Op("conv", "fc", ("x",), "y", attrs, weight.reshape(1, 1, k, c).astype(np.float32))
    tensors = {"x": Tensor("x", (1, 1, k)), "y": Tensor("y", (1, 1, c))}
    return Graph("g", (Port("x", (k,), (0,)),), (Port("y", (c,), (0,)),), tensors, (op,))


def compiled(graph: Graph, x: Floats, spare_cells: int = 0) -> ImageContent:
    check_support(graph, CHIP)
    layout = Layout(
        lambda op: on_vector_path(op, CHIP),
        lambda op, lines, rows: tile_conv(op, CHIP, lines_per_input=lines, row_tiles=rows),
        lambda op: most_copies(op, CHIP),
        free_bias_rows(graph_blocks(graph, CHIP, 0), 0, CHIP),
        spare_cells=spare_cells,
    )
    quant = quantise_graph(prepare(graph, CHIP, {"x": x}), CHIP, layout)
    return emit(quant, CHIP, plan_memory(quant.graph, CHIP), {})


def snr_db(graph: Graph, content: ImageContent, x: Floats) -> float:
    source, target = content.ports
    [out] = Emulator(content).run([quantise_port(source, x)])
    real = evaluate(graph, {"x": x})["y"]
    error = dequantise_port(target, out) - real
    return float(10 * np.log10((real**2).mean() / (error**2).mean()))


@pytest.mark.parametrize(("k", "relu"), [(9, True), (64, True), (300, False), (2000, False)])
def test_a_layer_of_any_size_keeps_most_of_eight_bits(k: int, relu: bool) -> None:
    rng = np.random.default_rng(k)
    graph = linear(rng.normal(size=(k, 20)), relu)
    x = rng.uniform(0, 3, (200, 1, 1, k)).astype(np.float32)
    content = compiled(graph, x)
    assert all(d.stage == Stage.SHIFT for d in content.program[:-1])
    assert snr_db(graph, content, x) > 28


def test_few_inputs_are_driven_onto_copies_of_their_wordlines() -> None:
    rng = np.random.default_rng(0)
    graph = linear(rng.normal(size=(9, 8)), relu=True)
    x = rng.uniform(0, 1, (100, 1, 1, 9)).astype(np.float32)
    content = compiled(graph, x)
    assert content.tiles[0].repeats > 0


def test_small_sums_get_more_copies_in_more_row_tiles_if_there_are_cells() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(128, 16))
    weight[0] *= 30  # the peak, on an input that hardly moves
    graph = linear(weight, relu=False)
    x = rng.uniform(0, 1, (100, 1, 1, 128)).astype(np.float32)
    x[..., 0] *= 0.02
    x[..., 1] *= 6
    plain, rich = compiled(graph, x), compiled(graph, x, 400_000)
    assert len(plain.tiles) == 1
    assert len(rich.tiles) > 1
    assert rich.tiles[0].repeats > plain.tiles[0].repeats
    assert len(rich.weights) - len(plain.weights) <= 400_000
    assert snr_db(graph, rich, x) > snr_db(graph, plain, x) + 0.5
    few = compiled(graph, x, 10_000)
    assert few.tiles == plain.tiles


def test_a_bias_beyond_the_last_tile_s_reach_goes_to_those_before() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(2000, 8)) / 40
    weight[1400:] += 0.006  # large sums in the last of three tiles, which the bias takes back
    graph = linear(weight, relu=False)
    graph = replace(graph, ops=(replace(graph.ops[0], bias=np.full(8, -1.8, np.float32)),))
    x = rng.uniform(0, 1, (200, 1, 1, 2000)).astype(np.float32)
    content = compiled(graph, x)
    assert [tile.n_bias_rows > 8 for tile in content.tiles] == [True, False, True]
    assert snr_db(graph, content, x) > 31


def test_a_signed_input_with_large_column_sums_is_split_into_two_rows() -> None:
    rng = np.random.default_rng(1)
    graph = linear(np.abs(rng.normal(size=(200, 10))), relu=False)
    x = rng.normal(size=(100, 1, 1, 200)).astype(np.float32)
    content = compiled(graph, x)
    assert content.program[0].encoding == Encoding.PN
    assert snr_db(graph, content, x) > 25


def test_a_model_whose_scales_fit_is_taken_as_it_is() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(-128, 128, (1, 1, 50, 12)).astype(np.int8)
    graph = linear(codes.reshape(50, 12) * 2.0**-10, relu=True)
    op = graph.ops[0]
    own = WeightCodes(codes, np.full(12, 2.0**-10))
    q = QParams(1.0, 0, True)
    tensors = {name: Tensor(name, t.shape, q) for name, t in graph.tensors.items()}
    graph = Graph(
        "g", graph.inputs, graph.outputs, tensors,
        (Op("conv", "fc", op.inputs, "y", op.attrs, op.weight, None, own),),
    )  # fmt: skip
    x = rng.integers(0, 128, (64, 1, 1, 50)).astype(np.float32)
    content = compiled(graph, x)
    assert content.tiles[0].gain == 10
    assert content.weights[: codes.size] == codes.tobytes()
    acc = (x.reshape(64, 50) @ codes.reshape(50, 12)).astype(np.int64)
    t = np.sign(acc) * ((4 * np.abs(acc)) >> 10)
    expected = np.clip((t + 2) >> 2, 0, 127)
    [out] = Emulator(content).run([quantise_port(content.ports[0], x)])
    assert np.array_equal(out.reshape(64, 12), expected)


def test_bias_sums_are_spread_over_as_few_rows_as_hold_them() -> None:
    total = np.array([0, 127, 128, -128, 254, -300])
    rows = spread_bias(total, 16, -128, 127)
    assert rows.shape == (3, 6)
    assert rows.astype(int).sum(axis=0).tolist() == total.tolist()
    assert spread_bias(np.zeros(4, np.int64), 16, -128, 127).shape == (0, 4)


def test_copies_add_up_to_the_weight() -> None:
    weights = np.arange(-381, 382, 7, dtype=np.int16).reshape(-1, 1)
    cells = spread_copies(weights, 3, -128, 127)
    assert cells.astype(int).sum(axis=0).tolist() == weights.tolist()
    assert np.ptp(cells.astype(int), axis=0).max() <= 1


@pytest.mark.parametrize("ratio", [0.19, 1.0, 1.4, 6.3])
def test_the_operands_of_an_add_are_a_power_of_two_apart(ratio: float) -> None:
    rng = np.random.default_rng(4)
    first = linear(rng.normal(size=(60, 16)), relu=True).ops[0]
    second = linear(ratio * rng.normal(size=(60, 16)), relu=False).ops[0]
    ops = (
        Op("conv", "a", ("x",), "a", first.attrs, first.weight),
        Op("conv", "b", ("x",), "b", second.attrs, second.weight),
        Op("add", "sum", ("a", "b"), "y", {"clamp": (0.0, np.inf)}),
    )
    shapes = {"x": (1, 1, 60), "a": (1, 1, 16), "b": (1, 1, 16), "y": (1, 1, 16)}
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    graph = Graph("g", (Port("x", (60,), (0,)),), (Port("y", (16,), (0,)),), tensors, ops)
    x = rng.uniform(0, 2, (200, 1, 1, 60)).astype(np.float32)
    content = compiled(graph, x)
    step = content.program[2]
    assert {step.multiplier_a.bit_count(), step.multiplier_b.bit_count()} == {1}
    assert snr_db(graph, content, x) > 27
