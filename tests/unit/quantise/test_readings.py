"""How a layer's sums are read on a chip with a lossy converter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from norcim import arith
from norcim.chips import load_chip
from norcim.chips.model import Chip
from norcim.emulator import Emulator
from norcim.emulator.reference import execute
from norcim.emulator.regions import output_region, port_region
from norcim.image.model import ImageContent
from norcim.image.ports import dequantise_port, quantise_port
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Floats, Graph, Op, Port, Tensor, WeightCodes
from norcim.mapper import emit, most_copies, plan_memory, tile_conv
from norcim.quantise import Layout, prepare, quantise_graph
from norcim.quantise.requantise_search import _bias_totals, _pushed
from norcim.quantise.rows import sample_positions
from norcim.spec.program import Encoding

CHIP = load_chip("nor1")
ROOMY = Layout(
    lambda op: False,
    lambda op, lines, rows: tile_conv(op, CHIP, lines_per_input=lines, row_tiles=rows),
    lambda op: most_copies(op, CHIP),
    CHIP.arrays.n_bias_rows,
    spare_cells=1_000_000,
)


def linear(weight: npt.NDArray[np.floating], bias: npt.NDArray[np.floating] | None = None) -> Graph:
    """One matrix product (1, 1, K) -> (1, 1, C)."""
    k, c = weight.shape
    attrs = {
        "stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0), "groups": 1, "clamp": None,
    }  # fmt: skip
    op = Op("conv", "fc", ("x",), "y", attrs, weight.reshape(1, 1, k, c).astype(np.float32))
    if bias is not None:
        op = replace(op, bias=bias.astype(np.float32))
    tensors = {"x": Tensor("x", (1, 1, k)), "y": Tensor("y", (1, 1, c))}
    return Graph("g", (Port("x", (k,), (0,)),), (Port("y", (c,), (0,)),), tensors, (op,))


def compiled(graph: Graph, x: Floats, layout: Layout = ROOMY, chip: Chip = CHIP) -> ImageContent:
    quant = quantise_graph(prepare(graph, chip, {"x": x}), chip, layout)
    return emit(quant, chip, plan_memory(quant.graph, chip), {})


def snr_db(graph: Graph, content: ImageContent, x: Floats) -> float:
    source, target = content.ports
    [out] = Emulator(content).run([quantise_port(source, x)])
    real = evaluate(graph, {"x": x})["y"]
    error = dequantise_port(target, out) - real
    return float(10 * np.log10((real**2).mean() / (error**2).mean()))


def plain_layer() -> tuple[Graph, Floats]:
    """Random weights and inputs."""
    rng = np.random.default_rng(4)
    x = rng.uniform(0, 1, (300, 1, 1, 64)).astype(np.float32)
    return linear(rng.normal(size=(64, 8))), x


def test_what_is_hard_to_read_is_read_in_stretches_if_there_are_cells() -> None:
    coarse = replace(CHIP, converter=replace(CHIP.converter, bits=4))
    graph, x = plain_layer()
    plain = compiled(graph, x, replace(ROOMY, spare_cells=0), coarse)
    rich = compiled(graph, x, ROOMY, coarse)
    assert len(rich.weights) > 1.5 * len(plain.weights)
    assert snr_db(graph, rich, x) > snr_db(graph, plain, x) + 3


def test_a_layer_that_is_good_enough_stays_as_it_is() -> None:
    graph, x = plain_layer()
    assert len(compiled(graph, x).tiles) == 1


@pytest.mark.parametrize("stack", [2, 3, 4])
def test_the_tiles_of_a_stack_go_on_where_the_one_before_saturates(stack: int) -> None:
    acc = np.arange(-60_000, 60_000, 7)[:, None]
    task = _Task(stack)
    gain = 7
    totals = _bias_totals(task, np.zeros(1), gain)  # type: ignore[arg-type]
    codes = sum(arith.convert(acc + 128 * total, CHIP.converter.rule, gain, 8) for total in totals)
    seen = (codes << gain) - _pushed(totals, gain)
    reach = stack * 127 * 2**gain
    inside = np.abs(acc) < reach - 2**gain
    assert np.abs(seen - acc)[inside].max() <= 2**gain


class _Task:
    """What the choice of bias rows reads of a layer."""

    def __init__(self, stack: int) -> None:
        self.chip, self.bias_rows, self.stack = CHIP, 16, stack


def test_a_common_offset_of_all_inputs_is_taken_out_by_rows_for_either_sign() -> None:
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(640, 16)) + 0.3
    offset = rng.uniform(20, 60, 640)
    x = (offset + 4 * rng.normal(size=(300, 1, 1, 640))).astype(np.float32)
    graph = linear(weight, -offset @ weight)
    whole = replace(
        ROOMY, bias_rows=2, tile=lambda op, lines, rows: tile_conv(op, CHIP, lines_per_input=lines)
    )
    content = compiled(graph, x, whole)
    assert content.program[0].encoding == Encoding.PN
    assert content.program[0].in_zp != content.ports[0].zero_point
    assert snr_db(graph, content, x) > 28
    memory = np.zeros((300, content.activation_bytes), np.uint8)
    codes = quantise_port(content.ports[0], x)
    port_region(content.ports[0]).view(memory)[...] = codes
    execute(content.program[0], content, memory)
    [out] = Emulator(content).run([codes])
    np.testing.assert_array_equal(out, output_region(content.program[0]).view(memory))


def test_weights_that_a_model_brings_are_fitted_where_they_read_badly() -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(-128, 128, (1, 1, 128, 16)).astype(np.int8)
    codes[..., :8] //= 32
    graph = linear(codes.reshape(128, 16) * 0.01)
    op = replace(graph.ops[0], weight_codes=WeightCodes(codes, np.full(16, 0.01)))
    graph = replace(graph, ops=(op,))
    x = rng.uniform(0, 1, (300, 1, 1, 128)).astype(np.float32)
    assert snr_db(graph, compiled(graph, x), x) > 30


def test_positions_with_a_channels_extremes_are_always_in_sight() -> None:
    graph = linear(np.eye(3))
    x = np.zeros((1000, 1, 1, 3), np.float32)
    x[777, 0, 0] = (1, -2, 3)
    sampled = sample_positions(x, graph.ops[0], 0, x, 10)
    assert (sampled.expected[: sampled.n_extremes] == (1, -2, 3)).all(axis=1).any()
    assert (sampled.taps[: sampled.n_extremes, 0] == (1, -2, 3)).all(axis=1).any()
    thin = sampled.thinned(3)
    assert len(thin.taps) < len(sampled.taps)
    assert (thin.expected == (1, -2, 3)).all(axis=1).any()
