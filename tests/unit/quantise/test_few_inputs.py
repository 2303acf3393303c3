"""What an image does with inputs beyond those few that it was calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from tests.unit.frontend.conftest import build


def dense(folder: Path, rng: np.random.Generator) -> Path:
    nodes = [
        make_node("Gemm", ["x", "a", "b"], ["h"]),
        make_node("Relu", ["h"], ["r"]),
        make_node("Gemm", ["r", "c"], ["y"]),
    ]
    constants = {
        "a": rng.normal(size=(64, 48)) / 8,
        "b": rng.normal(size=48),
        "c": rng.normal(size=(48, 32)) / 7,
    }
    onnx.save(build(nodes, {"x": (64,)}, constants), folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize("n", [10, 25])
@pytest.mark.parametrize("chip", ["digital", "nor1"])
def test_inputs_not_seen_lose_little(chip: str, n: int, tmp_path: Path) -> None:
    """Normal inputs of other loudnesses; without margins 16 to 23 dB, with them 28 to 31."""
    rng = np.random.default_rng(4)
    path = dense(tmp_path, rng)
    x = (rng.normal(size=(400, 64)) * rng.uniform(0.5, 1, (400, 1))).astype(np.float32)
    content = compile_model(path, load_chip(chip), {"x": x[:n]})
    codes = encode_inputs(content, {"x": x[n:]})
    [got] = decode_outputs(content, Emulator(content).run(codes)).values()
    [due] = onnxruntime.InferenceSession(path).run(None, {"x": x[n:]})
    assert 10 * np.log10(np.square(due).sum() / np.square(got - due).sum()) > 26
