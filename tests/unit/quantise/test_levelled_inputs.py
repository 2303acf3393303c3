"""Inputs whose level a network does not mind: divided by it, and what follows multiplied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.image.ports import levels_of
from norcim.runtime import at_levels, compile_model, decode_outputs, encode_inputs
from norcim.streaming import run_stream
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(4)
LEVELS = np.geomspace(1e-3, 1, 400)[:, None]
X = (RNG.permuted(LEVELS, axis=0) * RNG.normal(size=(400, 16))).astype(np.float32)
WEIGHTS = {"w": RNG.normal(size=(16, 24)), "v": RNG.normal(size=(24, 8)), "e": np.array(1e-9)}
FOLLOWS = [
    make_node("Gemm", ["x", "w"], ["a"]), make_node("Relu", ["a"], ["r"]),
    make_node("Gemm", ["r", "v"], ["y"]),
]  # fmt: skip
STAYS = [
    make_node("Mul", ["x", "x"], ["s"]), make_node("ReduceMean", ["s"], ["m"], axes=[1]),
    make_node("Add", ["m", "e"], ["me"]), make_node("Sqrt", ["me"], ["root"]),
    make_node("Div", ["x", "root"], ["n"]), make_node("Gemm", ["n", "w"], ["z"]),
]  # fmt: skip


def model(folder: Path, nodes: list[Any], outputs: tuple[str, ...], **weights: Any) -> Path:
    path = folder / "m.onnx"
    onnx.save(build(nodes, {"x": (16,)}, {**WEIGHTS, **weights}, outputs=outputs), path)
    return path


def compiled(path: Path, x: Any = X, chip: str = "digital") -> ImageContent:
    return compile_model(path, load_chip(chip), {"x": x})


def snr_db(content: ImageContent, path: Path, x: Any) -> list[float]:
    """Of each output, every sample at its own level."""
    given = {"x": x}
    found = decode_outputs(content, Emulator(content).run(encode_inputs(content, given)), given)
    due = onnxruntime.InferenceSession(path).run(list(found), given)
    ratios = []
    for got, want in zip(found.values(), due, strict=True):
        power = np.square(want).sum(axis=1)
        ratios.append(float(-10 * np.log10((np.square(got - want).sum(axis=1) / power).mean())))
    return ratios


@pytest.mark.parametrize(("chip", "least_db"), [("digital", 30), ("nor1", 28), ("wtm2101", 25)])
def test_quiet_and_loud_samples_get_the_same_codes(
    chip: str, least_db: float, tmp_path: Path
) -> None:
    path = model(tmp_path, FOLLOWS, ("y",))
    content = compiled(path, chip=chip)
    assert content.meta["inputs"][0]["level"] == pytest.approx(np.abs(X).max() / 256)
    assert content.meta["outputs"][0]["levels"] == ["x"]
    assert any("one level" in note for note in content.meta["notes"])
    assert snr_db(content, path, X)[0] > least_db
    assert snr_db(content, path, 100 * X)[0] > least_db
    assert content.kat_input == encode_inputs(content, {"x": X[:1]})[0].tobytes()


def test_an_output_behind_a_normalisation_does_not_follow(tmp_path: Path) -> None:
    path = model(tmp_path, FOLLOWS + STAYS, ("y", "z"))
    content = compiled(path)
    assert [meta.get("levels") for meta in content.meta["outputs"]] == [["x"], None]
    assert min(snr_db(content, path, X)) > 28


def test_samples_below_the_least_level_stay_quiet(tmp_path: Path) -> None:
    path = model(tmp_path, FOLLOWS, ("y",))
    content = compiled(path)
    given = {"x": np.stack([np.zeros(16, np.float32), X[0] * 1e-9 / np.abs(X[0]).max()])}
    [codes] = encode_inputs(content, given)
    assert np.all(codes == content.ports[0].zero_point)
    assert np.abs(decode_outputs(content, Emulator(content).run([codes]), given)["y"]).max() < 1e-4


def test_what_follows_a_level_is_not_decoded_without_it(tmp_path: Path) -> None:
    content = compiled(model(tmp_path, FOLLOWS, ("y",)))
    outputs = Emulator(content).run(encode_inputs(content, {"x": X[:3]}))
    with pytest.raises(NorcimError) as caught:
        decode_outputs(content, outputs)
    assert caught.value.id == "NC-E0404"
    whole = {"x": np.arange(-128, -80, dtype=np.int8).reshape(3, 16)}
    assert np.abs(at_levels(content, whole)["x"]).max() == 1
    assert levels_of(whole["x"], 0.0).reshape(-1).tolist() == [128, 112, 96]


@pytest.mark.parametrize("why", ["bias", "codes", "same", "epsilon"])
def test_others_keep_their_level(why: str, tmp_path: Path) -> None:
    nodes, x, weights = FOLLOWS, X, {}
    if why == "bias":
        nodes = [*FOLLOWS[:-1], make_node("Gemm", ["r", "v", "b"], ["y"])]
        weights = {"b": np.full(8, 0.02)}
    if why == "codes":
        few = np.abs(X[np.abs(X).max(axis=1) > 0.05])[:20]
        x = np.rint(255 * few / few.max()).astype(np.uint8)
    if why == "same":
        x = X / np.abs(X).max(axis=1, keepdims=True)
    if why == "epsilon":
        nodes = [*STAYS[:-1], make_node("Gemm", ["n", "w"], ["y"])]
        weights = {"e": np.array(1e-2)}
    content = compiled(model(tmp_path, nodes, ("y",), **weights), x)
    assert "level" not in content.meta["inputs"][0]
    assert "levels" not in content.meta["outputs"][0]


def test_a_stream_carries_its_state_past_outputs_that_follow(tmp_path: Path) -> None:
    nodes = [
        make_node("Sigmoid", ["h"], ["g"]), make_node("Gemm", ["x", "u"], ["a"]),
        make_node("Mul", ["a", "g"], ["y"]), *STAYS[:-1], make_node("Gemm", ["n", "u"], ["i"]),
        make_node("Tanh", ["i"], ["new"]),
    ]  # fmt: skip
    path = tmp_path / "m.onnx"
    weights = {"u": RNG.normal(size=(16, 8)), "e": WEIGHTS["e"]}
    onnx.save(build(nodes, {"x": (16,), "h": (8,)}, weights, outputs=("y", "new")), path)
    state = np.tanh(RNG.normal(size=(400, 8))).astype(np.float32)
    content = compile_model(
        path, load_chip("digital"), {"x": X, "h": state}, meta_extra={"states": {"h": "new"}}
    )
    assert content.meta["outputs"][0]["levels"] == ["x"]
    inputs, outputs = run_stream(content, Emulator(content).run, {"x": X[:20]})
    for one, other in zip(Emulator(content).run(inputs), outputs, strict=True):
        assert np.array_equal(one, other)
