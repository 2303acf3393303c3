"""Compiling is deterministic, checks its inputs, and keeps the model's answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image import build_image, read_image
from norcim.runtime import compile_model, decode_outputs, encode_inputs

MODELS = Path(__file__).resolve().parents[3] / "models" / "kws"
CHIPS = ("digital", "nor1", "overlay", "wtm2101")


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.load(MODELS / "calib.npz")["x"]


@pytest.mark.parametrize("chip", CHIPS)
def test_the_shipped_network_keeps_its_answers(chip: str, features: np.ndarray) -> None:
    import onnxruntime

    content = compile_model(MODELS / "kws.onnx", load_chip(chip), {"x": features})
    session = onnxruntime.InferenceSession(MODELS / "kws.onnx")
    [expected] = session.run(None, {"features": features.astype(np.float32)})
    outputs = Emulator(content).run(encode_inputs(content, {"x": features}))
    scores = decode_outputs(content, outputs)["logits"]
    assert (scores.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.96


def test_the_same_inputs_give_the_same_image_and_it_reads_back(features: np.ndarray) -> None:
    chip = load_chip("nor1")
    first = build_image(compile_model(MODELS / "kws.onnx", chip, {"x": features}))
    content = compile_model(MODELS / "kws.onnx", chip, {"x": features})
    assert build_image(content) == first
    assert read_image(first) == content


def test_integer_features_are_the_input_codes(features: np.ndarray) -> None:
    content = compile_model(MODELS / "kws.onnx", load_chip("nor1"), {"x": features})
    [codes] = encode_inputs(content, {"x": features})
    assert np.array_equal(codes.reshape(features.shape), features)


@pytest.mark.parametrize(
    ("given", "id"),
    [
        (None, "NC-E0402"),
        ({"x": np.zeros((0, 1, 49, 40), np.float32)}, "NC-E0405"),
        ({"x": np.zeros((3, 1, 49, 41), np.float32)}, "NC-E0406"),
        ({"x": np.full((3, 1, 49, 40), np.nan, np.float32)}, "NC-E0403"),
        ({"x": np.full((3, 1, 49, 40), 3e38, np.float32)}, "NC-E0403"),
        ({"x": np.array([["a"]])}, "NC-E0406"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "NC-E0404"),
    ],
)
def test_a_calibration_set_that_cannot_be_used_is_told(
    given: dict[str, np.ndarray] | None, id: str
) -> None:
    with pytest.raises(NorcimError) as caught:
        compile_model(MODELS / "kws.onnx", load_chip("nor1"), given)
    assert caught.value.id == id


def test_progress_ends_where_it_says(features: np.ndarray) -> None:
    seen: list[tuple[str, int, int]] = []
    compile_model(
        MODELS / "kws.onnx",
        load_chip("nor1"),
        {"x": features[:20]},
        progress=lambda step, done, total: seen.append((step, done, total)),
    )
    assert all(0 <= done <= total for _, done, total in seen)
    assert any(done == total > 1 for _, done, total in seen)


def test_a_dead_channel_with_a_bias_compiles(tmp_path: Path) -> None:
    # Folding batch normalisation into a dead channel leaves weights of 1e-20 and a plain bias.
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 4)).astype(np.float32)
    weight[:, 1] *= 1e-20
    bias = np.array([0.1, 1.5, -0.2, 0.0], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "dead",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    save(model, tmp_path / "dead.onnx")
    x = rng.normal(size=(50, 8)).astype(np.float32)
    for chip in CHIPS:
        content = compile_model(tmp_path / "dead.onnx", load_chip(chip), {"x": x})
        [y] = decode_outputs(
            content, Emulator(content).run(encode_inputs(content, {"x": x}))
        ).values()
        assert np.abs(y[:, 1] - 1.5).max() < 0.2, chip
