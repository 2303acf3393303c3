"""Channels are levelled through products with gates; the network stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from norcim.analysis.evaluation import measure
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.frontend import import_onnx
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Graph
from norcim.quantise.gates import equalise_gated
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(11)
SIZES = np.geomspace(0.02, 20, 24)
WEIGHTS = {
    "w": RNG.normal(size=(16, 24)) * SIZES, "g": RNG.normal(size=(16, 24)),
    "v": RNG.normal(size=(24, 8)) / SIZES[:, None],
}  # fmt: skip
X = RNG.normal(size=(200, 16)).astype(np.float32)
GATED = [
    make_node("Gemm", ["x", "w"], ["a"]), make_node("Gemm", ["x", "g"], ["i"]),
    make_node("Sigmoid", ["i"], ["m"]), make_node("Mul", ["m", "a"], ["p"]),
    make_node("Gemm", ["p", "v"], ["y"]),
]  # fmt: skip
BESIDE = [make_node("Add", ["a", "a"], ["twice"]), make_node("Abs", ["twice"], ["z"])]


def saved(folder: Path, nodes: list[Any], outputs: tuple[str, ...], **weights: Any) -> Path:
    path = folder / "m.onnx"
    onnx.save(build(nodes, {"x": (16,)}, {**WEIGHTS, **weights}, outputs=outputs), path)
    return path


def values(graph: Graph, keep: set[str] | None = None) -> dict[str, Any]:
    return evaluate(graph, {"x": X.reshape(200, 1, 1, 16)}, keep)


@pytest.mark.parametrize("outputs", [("y",), ("y", "z")])
@pytest.mark.parametrize("per_column", [True, False])
def test_the_network_stays_the_same_and_ranges_come_closer(
    outputs: tuple[str, ...], per_column: bool, tmp_path: Path
) -> None:
    nodes = GATED + BESIDE[: 2 * (len(outputs) - 1)]
    graph = import_onnx(saved(tmp_path, nodes, outputs))
    before = values(graph)
    level, quarters = equalise_gated(graph, before, per_column)
    after = values(level)
    for name in outputs:
        assert np.allclose(before[name], after[name], rtol=1e-4, atol=1e-4)
    first, product = quarters
    assert quarters[first] == quarters[product]
    assert ("a~restored" in level.tensors) == ("z" in outputs)
    peaks = {name: np.abs(after[name]).max(axis=(0, 1, 2)) for name in (first, product)}
    for name, peak in peaks.items():
        due = np.abs(before[name]).max(axis=(0, 1, 2))
        assert peak.max() / peak.min() < 0.05 * due.max() / due.min()


@pytest.mark.parametrize("why", ["square", "shown", "product shown", "reader", "clamp"])
def test_others_are_left_alone(why: str, tmp_path: Path) -> None:
    nodes, outputs = GATED, ("y",)
    if why == "square":
        nodes = [GATED[0], make_node("Mul", ["a", "a"], ["p"]), GATED[-1]]
    if why == "shown":
        outputs = ("y", "a")
    if why == "product shown":
        outputs = ("y", "p")
    if why == "reader":
        nodes, outputs = [*GATED, make_node("Abs", ["p"], ["z"])], ("y", "z")
    if why == "clamp":
        clip = make_node("Clip", ["p0"], ["p"], min=-1.0, max=1.0)
        nodes = [*GATED[:3], make_node("Mul", ["m", "a"], ["p0"]), clip, GATED[-1]]
    graph = import_onnx(saved(tmp_path, nodes, outputs))
    level, quarters = equalise_gated(graph, values(graph), True)
    assert level is graph
    assert not quarters


def test_a_further_operation_has_to_be_worth_it(tmp_path: Path) -> None:
    """Channels apart by a factor of 2 are levelled for nothing, but not for an operation."""
    sizes = np.geomspace(1, 2, 24)
    weights = {"w": WEIGHTS["g"] * sizes, "v": RNG.normal(size=(24, 8)) / sizes[:, None]}
    for nodes, outputs, taken in ((GATED, ("y",), True), (GATED + BESIDE, ("y", "z"), False)):
        graph = import_onnx(saved(tmp_path, nodes, outputs, **weights))
        assert bool(equalise_gated(graph, values(graph), True)[1]) == taken


@pytest.mark.parametrize(("chip", "least_db"), [("digital", 33), ("nor1", 30), ("wtm2101", 20)])
def test_small_channels_keep_their_bits(chip: str, least_db: float, tmp_path: Path) -> None:
    """Without it 2 to 3 dB on each chip."""
    path = saved(tmp_path, GATED + BESIDE, ("y", "z"))
    content = compile_model(path, load_chip(chip), {"x": X})
    outputs = decode_outputs(content, Emulator(content).run(encode_inputs(content, {"x": X})))
    due = onnxruntime.InferenceSession(path).run(["y"], {"x": X})[0]
    error = np.square(outputs["y"] - due).sum()
    assert 10 * np.log10(np.square(due).sum() / error) > least_db


def test_layers_of_such_an_image_compare_with_the_model(tmp_path: Path) -> None:
    path = saved(tmp_path, GATED + BESIDE, ("y", "z"))
    content = compile_model(path, load_chip("digital"), {"x": X})
    assert any(layer["tensor"].endswith("~restored") for layer in content.meta["layers"])
    found = measure(content, encode_inputs(content, {"x": X}), reference=import_onnx(path))
    ratios = [layer.sqnr_db for layer in found.layers if layer.name != "i"]  # cut by its sigmoid
    assert min(ratio for ratio in ratios if ratio is not None) > 30
