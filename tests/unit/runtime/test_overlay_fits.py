"""MLPerf Tiny's networks fit the overlay's memories and still do what they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.subjects import shared_data
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.image import ImageContent, memory_needs
from norcim.runtime import compile_model, decode_outputs, encode_inputs

Array = npt.NDArray[Any]

pytestmark = pytest.mark.slow

IN, OUT = (0.3910152316093445, 89), (0.36449846625328064, 96)
"""Scale and zero point of the integer autoencoder's input and output."""


@pytest.fixture(scope="module")
def folder() -> Path:
    found = shared_data()
    if found is None:
        pytest.skip("no third-party models beside the checkout")
    return found


def _compile(folder: Path, name: str, calibration: Array) -> ImageContent:
    chip = load_chip("overlay")
    content = compile_model(folder / "models" / f"{name}.onnx", chip, {"x": calibration})
    needs = memory_needs(content)
    assert all(needed <= getattr(chip.memories, memory) for memory, needed in needs.items())
    return content


def _run(content: ImageContent, x: Array) -> Array:
    outputs = Emulator(content).run(encode_inputs(content, {"x": x}))
    return next(iter(decode_outputs(content, outputs).values())).reshape(len(x), -1)


def _windows(spectrum: Array) -> Array:
    """Five frames of 128 bands each, as the autoencoder takes them."""
    view = np.lib.stride_tricks.sliding_window_view(spectrum, 5, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1).reshape(-1, 640))


def _area_under_curve(is_wrong: Array, score: Array) -> float:
    positive, negative = score[is_wrong == 1], score[is_wrong == 0]
    return float((positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2)


def test_autoencoder(folder: Path) -> None:
    """264,192 weights in 266,240 bytes; onnxruntime's area under the curve is 0.8125."""
    data = np.load(folder / "data" / "ad01" / "toycar_logmel.npz")
    scale, zero = IN
    codes = [
        np.clip(np.rint(_windows(x) / scale) + zero, -128, 127).astype(np.int8) for x in data["x"]
    ]
    normal = [x[::49] for x, y in zip(codes, data["y"], strict=True) if y == 0]
    content = _compile(folder, "mlperf_ad_autoencoder_int8", np.concatenate(normal)[:100])
    assert memory_needs(content)["weight_bytes"] > 264_192
    scores = [
        np.mean((_windows(x) - (_run(content, q).astype(np.float32) - OUT[1]) * OUT[0]) ** 2)
        for x, q in zip(data["x"], codes, strict=True)
    ]
    assert _area_under_curve(data["y"], np.array(scores)) > 0.80


def test_resnet8(folder: Path) -> None:
    calibration = np.load(folder / "data" / "cifar10" / "train_calib.npz")["x"][:100]
    test = np.load(folder / "data" / "cifar10" / "test.npz")
    content = _compile(folder, "mlperf_ic_resnet8_int8", (calibration ^ 128).view(np.int8))
    found = _run(content, (test["x"] ^ 128).view(np.int8)).argmax(axis=1)
    assert np.mean(found == test["y"]) > 0.83


def test_keywords(folder: Path) -> None:
    data = np.load(folder / "data" / "kws01" / "kws01.npz")
    x = data["x"][..., None]
    found = _run(_compile(folder, "mlperf_kws_dscnn_int8", x[:100]), x).argmax(axis=1)
    assert np.mean(found == data["y"]) > 0.91
