"""Steps of equal weights share scales, tiles and tables, and compute what they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from norcim.analysis.estimate import cells_used
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.image import ImageContent, check_placement, check_program
from norcim.mapper import arrange
from norcim.mapper.arrange import cut_tiles
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from norcim.spec.program import Descriptor, Opcode
from tests.unit.frontend.conftest import build, run_reference

RNG = np.random.default_rng(6)
STEPS, SIZE, N_IN = 9, 16, 10


def recurrent(op: str, gates: int) -> onnx.ModelProto:
    constants = {
        "w": 0.4 * RNG.normal(size=(1, gates * SIZE, N_IN)),
        "r": 0.25 * RNG.normal(size=(1, gates * SIZE, SIZE)),
    }
    nodes = [make_node(op, ["x", "w", "r"], ["y", "h"], hidden_size=SIZE)]
    model = build(nodes, {"x": (STEPS, 1, N_IN)}, constants, outputs=("y", "h"), opset=14)
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    return model


def compiled(model: onnx.ModelProto, chip: str, x: np.ndarray, folder: Path) -> ImageContent:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return compile_model(path, load_chip(chip), {"x": x})


def products(content: ImageContent) -> list[Descriptor]:
    return [d for d in content.program if d.opcode == Opcode.MVM]


@pytest.mark.parametrize("chip", ["digital", "nor1", "overlay"])
@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_steps_share_the_weights_of_the_state(
    op: str, gates: int, chip: str, tmp_path: Path
) -> None:
    model = recurrent(op, gates)
    x = RNG.normal(size=(24, STEPS, 1, N_IN)).astype(np.float32)
    content = compiled(model, chip, x, tmp_path)
    bases = [d.tile_base for d in products(content)]
    assert len(set(bases)) <= 3  # the input's product, the state's: of GRU's in two parts
    assert len(bases) >= STEPS
    used = {d.tile_base: d.n_tiles for d in products(content)}
    assert sum(used.values()) == len(content.tiles)
    assert cells_used(content) == len(content.weights) or chip == "nor1"
    found = decode_outputs(content, Emulator(content).run(encode_inputs(content, {"x": x})))
    due = np.stack([run_reference(model, {"x": sample})[0] for sample in x])
    error = np.square(np.asarray(found["y"]).reshape(due.shape) - due).sum()
    assert 10 * np.log10(np.square(due).sum() / error) > 25


def test_a_chip_that_shifts_keeps_weights_for_each_step(tmp_path: Path) -> None:
    x = RNG.normal(size=(16, STEPS, 1, N_IN)).astype(np.float32)
    content = compiled(recurrent("RNN", 1), "wtm2101", x, tmp_path)
    assert len({d.tile_base for d in products(content)}) == STEPS


def two_towers(second: np.ndarray) -> onnx.ModelProto:
    """The same layer on two inputs of the model's, then their difference."""
    weight = np.eye(12, 8) + 0.2 * np.random.default_rng(1).normal(size=(12, 8))
    nodes = [
        make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        make_node("Tanh", ["a"], ["a2"]), make_node("Sigmoid", ["b"], ["b2"]),
        make_node("MatMul", ["a2", "w"], ["c"]), make_node("MatMul", ["b2", "w2"], ["d"]),
        make_node("Relu", ["c"], ["e"]), make_node("Relu", ["d"], ["f"]),
        make_node("Sub", ["e", "f"], ["y"]),
    ]  # fmt: skip
    return build(nodes, {"x": (24,)}, {"w": weight, "w2": weight + second}, opset=18)


@pytest.mark.parametrize(("difference", "n_weights"), [(0.0, 1), (1e-3, 2)])
def test_only_equal_weights_are_shared(difference: float, n_weights: int, tmp_path: Path) -> None:
    model = two_towers(np.full((12, 8), difference))
    x = RNG.normal(size=(40, 24)).astype(np.float32)
    content = compiled(model, "nor1", x, tmp_path)
    assert len({d.tile_base for d in products(content)}) == n_weights


def test_shared_tiles_are_cut_and_placed_once(tmp_path: Path) -> None:
    x = RNG.normal(size=(16, STEPS, 1, N_IN)).astype(np.float32)
    chip = load_chip("digital")
    content = compiled(recurrent("LSTM", 4), "digital", x, tmp_path)
    [narrow] = arrange([cut_tiles(content, 16)], chip)
    check_program(narrow)
    check_placement(narrow, chip)
    assert len(narrow.weights) == len(content.weights)
    given = encode_inputs(content, {"x": x})
    for ours, theirs in zip(Emulator(narrow).run(given), Emulator(content).run(given), strict=True):
        assert np.array_equal(ours, theirs)
