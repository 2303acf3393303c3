"""The vendor's own vectors and recordings, through compiler, image and emulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.image import build_image, read_image
from norcim.runtime import compile_model, decode_outputs, encode_inputs

MFCC_SCALE, MFCC_ZERO = 0.5847029089927673, 83


def test_the_vendor_s_wake_network_gives_the_vendor_s_codes(shared_data: Path) -> None:
    golden = np.load(shared_data / "data/vendor_witin/dnn_wake_golden.npz")
    model = shared_data / "models/witin_dnn_wake_qdq.onnx"
    compiled = compile_model(model, load_chip("wtm2101"), {"x": golden["x"]})
    content = read_image(build_image(compiled))
    layers = Emulator(content).run_layers(encode_inputs(content, {"x": golden["x"]}))
    for index in range(5):
        signed = content.meta["layers"][index]["signed"]
        codes = layers[index].view(np.int8) if signed else layers[index]
        expected = golden[f"l{index + 1}_out"]
        assert np.array_equal(codes.reshape(expected.shape), expected), f"layer {index + 1}"


@pytest.mark.parametrize(
    ("model", "chip", "least"),
    [
        ("mlperf_kws_dscnn_fp32_tfl", "digital", 0.9270 - 0.007),
        ("mlperf_kws_dscnn_fp32_tfl", "nor1", 0.9307 - 0.010),
        ("mlperf_kws_dscnn_fp32_tfl", "wtm2101", 0.9307 - 0.020),
        ("mlperf_kws_dscnn_int8", "nor1", 0.9307 - 0.010),
        ("mlperf_kws_dscnn_int8", "wtm2101", 0.9307 - 0.020),
    ],
)
def test_keyword_accuracy_stays_near_the_reference(
    shared_data: Path, model: str, chip: str, least: float
) -> None:
    data = np.load(shared_data / "data/kws01/kws01.npz")
    codes = data["x"][..., None]
    real = (codes.astype(np.float32) - MFCC_ZERO) * np.float32(MFCC_SCALE)
    inputs = codes if model.endswith("int8") else real
    path = shared_data / "models" / f"{model}.onnx"
    content = compile_model(path, load_chip(chip), {"x": inputs[:100]})
    outputs = Emulator(content).run(encode_inputs(content, {"x": inputs}))
    [scores] = decode_outputs(content, outputs).values()
    assert (scores.argmax(axis=1) == data["y"]).mean() >= least


def test_a_qdq_model_on_a_lossless_chip_agrees_with_onnxruntime(shared_data: Path) -> None:
    import onnxruntime

    codes = np.load(shared_data / "data/kws01/kws01.npz")["x"][..., None]
    path = shared_data / "models/mlperf_kws_dscnn_int8.onnx"
    session = onnxruntime.InferenceSession(path)
    [expected] = session.run(None, {session.get_inputs()[0].name: codes})
    content = compile_model(path, load_chip("digital"))
    outputs = Emulator(content).run(encode_inputs(content, {"x": codes}))
    [scores] = decode_outputs(content, outputs).values()
    assert (scores.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.995
