"""Normalisations of loud and quiet inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.frontend import import_onnx
from norcim.ir.evaluate import evaluate
from norcim.quantise.levels import level_norms
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(6)
EPSILON = 1e-7


def model(folder: Path) -> Path:
    nodes = [make_node("LayerNormalization", ["x", "scale", "bias"], ["y"], epsilon=EPSILON)]
    constants = {"scale": np.ones(64), "bias": np.zeros(64)}
    onnx.save(build(nodes, {"x": (64,)}, constants), folder / "m.onnx")
    return folder / "m.onnx"


def frames(*levels_db: float) -> np.ndarray:
    level = 10 ** (np.resize(levels_db, 100) / 20)
    return (level[:, None] * RNG.normal(size=(100, 64))).astype(np.float32)


@pytest.mark.parametrize("chip", ["digital", "nor1", "wtm2101"])
def test_quiet_frames_are_normalised_like_loud_ones(chip: str, tmp_path: Path) -> None:
    path, x = model(tmp_path), frames(0, -15, -30)
    content = compile_model(path, load_chip(chip), {"x": x})
    codes = encode_inputs(content, {"x": x})
    [found] = decode_outputs(content, Emulator(content).run(codes)).values()
    due = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + EPSILON)
    error = ((found - due) ** 2).mean(1) / (due**2).mean(1)
    assert -10 * np.log10(error[0::3].mean()) > 25
    assert -10 * np.log10(error[1::3].mean()) > 20
    assert -10 * np.log10(error[2::3].mean()) > 7  # few codes of x are left


def test_the_levelled_graph_computes_the_same(tmp_path: Path) -> None:
    graph = import_onnx(model(tmp_path))
    [port] = graph.inputs
    x = {port.tensor: frames(0, -20, -40).reshape(100, *graph.tensors[port.tensor].shape)}
    real = evaluate(graph, x)
    levelled = level_norms(graph, real)
    assert levelled is not graph
    name = graph.outputs[0].tensor
    assert np.allclose(evaluate(levelled, x)[name], real[name], rtol=0.03, atol=1e-3)


def test_frames_of_one_level_are_left_alone(tmp_path: Path) -> None:
    graph = import_onnx(model(tmp_path))
    [port] = graph.inputs
    x = {port.tensor: frames(0, -6).reshape(100, *graph.tensors[port.tensor].shape)}
    assert level_norms(graph, evaluate(graph, x)) is graph
