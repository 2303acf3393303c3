"""A stream: the state goes from step to step, and a stream in one go is its steps one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from norcim.audio import LogMelConfig, log_mel, read_wav
from norcim.chips import load_chip
from norcim.emulator import Emulator, reference
from norcim.emulator.regions import port_region
from norcim.errors import NorcimError
from norcim.image import ImageContent
from norcim.image.states import state_pairs
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from norcim.streaming import run_stream

MODELS = Path(__file__).resolve().parents[3] / "models"
META = json.loads((MODELS / "vad/model.json").read_text())
STEPS = 50


def calibration() -> dict[str, np.ndarray]:
    with np.load(MODELS / "vad/calib.npz") as data:
        return dict(data)


@pytest.fixture(scope="module", params=["nor1", "wtm2101"])
def content(request: pytest.FixtureRequest) -> ImageContent:
    chip = load_chip(request.param)
    return compile_model(MODELS / "vad/vad.onnx", chip, calibration(), meta_extra=META)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """A spoken word: codes uint8 (STEPS, 1, n_mels)."""
    pcm = read_wav(MODELS / "kws/clips/yes_01.wav")
    codes = log_mel(np.concatenate([pcm, pcm]), LogMelConfig.from_dict(META["front_end"]))
    return codes[20 : 20 + STEPS, None]


def run_golden(content: ImageContent, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """One sample by the golden executor."""
    memory = np.zeros((1, content.activation_bytes), np.uint8)
    ports = [port for port in content.ports if not port.is_output]
    for port, codes in zip(ports, inputs, strict=True):
        port_region(port).view(memory)[...] = codes
    for step in content.program[:-1]:
        reference.execute(step, content, memory)
    return [port_region(port).view(memory).copy() for port in content.ports if port.is_output]


def test_fifty_calls_are_the_whole_stream_bit_for_bit(
    content: ImageContent, frames: np.ndarray
) -> None:
    """In one go on the emulator; call by call, the state carried by hand, by the golden executor;
    and as one batch of the inputs that each call had."""
    inputs, outputs = run_stream(content, Emulator(content).run, {"frame": frames})
    state: np.ndarray = np.zeros((1, 1, 1, 24))
    for t in range(STEPS):
        codes = encode_inputs(content, {"frame": frames[t : t + 1], "state": state})
        speech, after = run_golden(content, codes)
        assert np.array_equal(codes[1], inputs[1][t : t + 1])
        assert np.array_equal(speech, outputs[0][t : t + 1])
        assert np.array_equal(after, outputs[1][t : t + 1])
        state = decode_outputs(content, [speech, after])["next"]
    batch = Emulator(content).run(inputs)
    assert all(np.array_equal(*both) for both in zip(batch, outputs, strict=True))
    assert len(np.unique(inputs[1], axis=0)) > STEPS // 2


def test_a_stream_of_the_image_follows_the_whole_sequence_of_the_model(
    frames: np.ndarray, tmp_path: Path
) -> None:
    """The model with its time axis opened, so that the GRU runs over all frames in one call."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = onnx.load(MODELS / "vad/vad.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = STEPS
    [steps] = [w for w in model.graph.initializer if w.name == "steps"]
    steps.CopyFrom(numpy_helper.from_array(np.array([STEPS, 1, -1], np.int64), "steps"))
    onnx.save(model, tmp_path / "whole.onnx")
    feeds = {
        "frame": frames[:, 0].astype(np.float32),
        "state": np.zeros((1, 1, 24), np.float32),
    }
    _, last = onnxruntime.InferenceSession(tmp_path / "whole.onnx").run(None, feeds)
    content = compile_model(
        MODELS / "vad/vad.onnx", load_chip("digital"), calibration(), meta_extra=META
    )
    _, outputs = run_stream(content, Emulator(content).run, {"frame": frames})
    found = decode_outputs(content, outputs)["next"][-1]
    assert np.abs(found - last).max() < 0.1
    _, outputs = run_stream(content, Emulator(content).run, {"frame": frames[-1:]})
    assert np.abs(decode_outputs(content, outputs)["next"][-1] - last).max() > 0.2


def test_codes_are_taken_as_they_are_input_by_input(
    content: ImageContent, frames: np.ndarray
) -> None:
    """uint8 frames are codes though the state beside them is real."""
    states = calibration()["state"][:STEPS]
    codes, state = encode_inputs(content, {"frame": frames, "state": states})
    assert np.array_equal(codes.ravel(), frames.ravel())
    port = content.ports[1]
    assert 0 < port.real_scale < 0.02
    real = (state.view(np.int8) if port.signed else state).astype(float) - port.zero_point
    assert np.abs(real.ravel() * port.real_scale - states.ravel()).max() <= port.real_scale / 2


@pytest.mark.parametrize(
    "states",
    [
        ["state"],
        {"other": "next"},
        {"state": "other"},
        {"state": ["next"]},
        {"state": "speech"},
        {"state": "next", "frame": "next"},
    ],
)
def test_states_that_the_network_does_not_have_are_told(content: ImageContent, states: Any) -> None:
    with pytest.raises(NorcimError) as caught:
        state_pairs(replace(content, meta={**content.meta, "states": states}))
    assert caught.value.id == "NC-E0411"


def test_a_network_whose_inputs_are_all_states_is_told(content: ImageContent) -> None:
    ports = {"inputs": content.meta["inputs"][1:], "outputs": content.meta["outputs"]}
    with pytest.raises(NorcimError) as caught:
        state_pairs(replace(content, meta={**ports, "states": {"state": "next"}}))
    assert caught.value.id == "NC-E0411"


def test_wrong_states_are_told_when_the_model_is_compiled() -> None:
    with pytest.raises(NorcimError) as caught:
        compile_model(
            MODELS / "vad/vad.onnx", load_chip("digital"), calibration(),
            meta_extra={"states": {"state": "speech"}},
        )  # fmt: skip
    assert caught.value.id == "NC-E0411"


def test_the_first_inputs_of_a_stream_have_to_be_there(content: ImageContent) -> None:
    with pytest.raises(NorcimError) as caught:
        run_stream(content, Emulator(content).run, {"a": np.zeros(1), "b": np.zeros(1)})
    assert caught.value.id == "NC-E0404"
