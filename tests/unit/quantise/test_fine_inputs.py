"""Inputs of 12 bits: whole steps, and sixteenths of a step as further channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from norcim.analysis.evaluation import measure
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.fitting import Wishes
from norcim.frontend import import_onnx
from norcim.image.model import ImageContent
from norcim.image.ports import dequantise_port, quantise_port
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(9)
X = RNG.normal(size=(300, 16)).astype(np.float32)
X[:, 0] = RNG.uniform(-250, 150, 300)
W = RNG.integers(-127, 128, (16, 12)) / 40
W[0], W[1] = np.resize([1, 3, -2], 12) / 40, 127 / 40


def model(folder: Path) -> Path:
    """A far-reaching feature of little weight beside others, none of which may be clipped."""
    nodes = [make_node("Gemm", ["x", "w"], ["a"]), make_node("Gemm", ["a", "v"], ["y"])]
    path = folder / "m.onnx"
    onnx.save(build(nodes, {"x": (16,)}, {"w": W, "v": RNG.normal(size=(12, 8))}), path)
    return path


def snr_db(content: ImageContent, path: Path) -> float:
    [got] = decode_outputs(
        content, Emulator(content).run(encode_inputs(content, {"x": X}))
    ).values()
    [due] = onnxruntime.InferenceSession(path).run(None, {"x": X})
    return float(10 * np.log10(np.square(due).sum() / np.square(got - due).sum()))


@pytest.mark.parametrize(("chip", "least_db"), [("digital", 26), ("nor1", 24), ("wtm2101", 18)])
def test_an_input_that_8_bits_do_not_hold_gets_12(
    chip: str, least_db: float, tmp_path: Path
) -> None:
    """With 8 bits 12 dB on each chip."""
    path = model(tmp_path)
    content = compile_model(path, load_chip(chip), {"x": X})
    assert content.meta["inputs"][0]["fine"] == 16
    assert content.meta["inputs"][0]["shape"] == [16]
    assert any("12 bits" in note for note in content.meta["notes"])
    assert snr_db(content, path) > least_db
    first = encode_inputs(content, {"x": X[:1]})[0]
    assert content.kat_input == first.tobytes()


def test_layers_of_such_an_image_compare_with_the_model(tmp_path: Path) -> None:
    path = model(tmp_path)
    content = compile_model(path, load_chip("digital"), {"x": X})
    found = measure(content, encode_inputs(content, {"x": X}), reference=import_onnx(path))
    assert min(layer.sqnr_db for layer in found.layers if layer.sqnr_db is not None) > 25


def test_a_port_takes_and_gives_12_bits(tmp_path: Path) -> None:
    content = compile_model(model(tmp_path), load_chip("digital"), {"x": X})
    port = content.ports[0]
    values = np.linspace(-1.2, 1.2, 4001).reshape(-1, 1, 1, 1) * float(np.abs(X).max())
    codes = quantise_port(port, np.repeat(values, 16, axis=-1), 16)
    assert codes.shape == (4001, 1, 1, 32)
    found = dequantise_port(port, codes, 16)
    low = -port.zero_point * port.real_scale
    high = (255 + 15 / 16 - port.zero_point) * port.real_scale
    error = found - np.clip(np.repeat(values, 16, axis=-1), low, high)
    assert np.abs(error).max() <= port.real_scale / 32 * 1.0001


@pytest.mark.parametrize("why", ["codes", "cells", "points", "reader", "output"])
def test_others_stay_whole(why: str, tmp_path: Path) -> None:
    path, x, wishes = model(tmp_path), X, Wishes()
    if why == "codes":
        x = np.clip(X + 128, 0, 255).astype(np.uint8)
    if why == "cells":
        wishes = Wishes(cell_budget=16 * 12 + 12 * 8)
    if why == "points":
        wishes = Wishes(accuracy_budget=100.0)
    if why == "reader":
        nodes = [make_node("Add", ["x", "x"], ["d"]), make_node("Gemm", ["d", "w"], ["y"])]
        onnx.save(build(nodes, {"x": (16,)}, {"w": W}), path)
    if why == "output":
        nodes = [make_node("Gemm", ["x", "w"], ["y"]), make_node("Identity", ["x"], ["same"])]
        onnx.save(build(nodes, {"x": (16,)}, {"w": W}, outputs=("y", "same")), path)
    content = compile_model(path, load_chip("digital"), {"x": x}, wishes=wishes)
    assert "fine" not in content.meta["inputs"][0]


def test_an_input_that_8_bits_hold_stays(tmp_path: Path) -> None:
    content = compile_model(model(tmp_path), load_chip("digital"), {"x": X * (np.arange(16) > 0)})
    assert "fine" not in content.meta["inputs"][0]
