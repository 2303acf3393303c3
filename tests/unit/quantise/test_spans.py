"""Ranges by what reads a tensor, and states that go in and out."""

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
from norcim.quantise.spans import limit_spans
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(5)


def cut_tensors(model: onnx.ModelProto, folder: Path, scale: float = 40.0) -> dict[str, np.ndarray]:
    """The values that `limit_spans` changes, by tensor."""
    onnx.save(model, folder / "m.onnx")
    graph = import_onnx(folder / "m.onnx")
    x = {p.tensor: scale * RNG.normal(size=(50, 1, 1, 16)).astype(np.float32) for p in graph.inputs}
    real = evaluate(graph, x)
    _, aimed, _ = limit_spans(graph, real)
    return {name: aimed[name] for name in aimed if not np.array_equal(aimed[name], real[name])}


@pytest.mark.parametrize(("function", "end"), [("Tanh", 3.3), ("Sigmoid", 6.5)])
def test_what_a_saturating_function_reads_is_cut_where_its_codes_end(
    function: str, end: float, tmp_path: Path
) -> None:
    nodes = [make_node("Add", ["x", "z"], ["a"]), make_node(function, ["a"], ["y"])]
    model = build(nodes, {"x": (16,), "z": (16,)})
    cut = cut_tensors(model, tmp_path)
    assert list(cut) == ["a"]
    assert 0.9 * end < cut["a"].max() <= end
    assert -end <= cut["a"].min() < -0.9 * end


def test_nothing_is_cut_that_has_another_reader_or_leaves_the_network(tmp_path: Path) -> None:
    add, tanh = make_node("Add", ["x", "z"], ["a"]), make_node("Tanh", ["a"], ["t"])
    inputs = {"x": (16,), "z": (16,)}
    twice = build([add, tanh, make_node("Mul", ["a", "t"], ["y"])], inputs)
    assert not cut_tensors(twice, tmp_path)
    shown = build([add, tanh], inputs, outputs=("a", "t"))
    assert not cut_tensors(shown, tmp_path)


def test_a_range_that_does_not_saturate_stays(tmp_path: Path) -> None:
    nodes = [make_node("Add", ["x", "z"], ["a"]), make_node("Tanh", ["a"], ["y"])]
    assert not cut_tensors(build(nodes, {"x": (16,), "z": (16,)}), tmp_path, scale=0.1)


def test_room_for_unseen_inputs_ends_with_the_span(tmp_path: Path) -> None:
    """Beyond it the values that a bias is corrected by are cut: codes for them would pull it."""
    constants = {"w": RNG.normal(size=(16, 1)), "b": np.array([0.3])}
    nodes = [make_node("Gemm", ["x", "w", "b"], ["a"]), make_node("Sigmoid", ["a"], ["y"])]
    onnx.save(build(nodes, {"x": (16,)}, constants), tmp_path / "m.onnx")
    x = 3 * RNG.normal(size=(10, 16)).astype(np.float32)
    content = compile_model(tmp_path / "m.onnx", load_chip("digital"), {"x": x})
    assert content.meta["layers"][0]["sqnr_db"] > 35


def test_a_state_with_a_counting_unit_keeps_the_others_precise(tmp_path: Path) -> None:
    """Unit 0 counts to hundreds, the others stay within a few units of 0."""
    keep = np.r_[1.0, np.full(15, 0.6)]
    nodes = [
        make_node("Mul", ["state", "keep"], ["kept"]),
        make_node("Reshape", ["x", "flat"], ["x16"]),
        make_node("Add", ["kept", "x16"], ["next"]),
        make_node("Tanh", ["next"], ["t"]),
        make_node("Reshape", ["t", "square"], ["y"]),
    ]
    constants = {"keep": keep, "flat": np.array([-1, 16]), "square": np.array([-1, 4, 4])}
    model = build(nodes, {"x": (4, 4), "state": (16,)}, constants, outputs=("y", "next"))
    onnx.save(model, tmp_path / "m.onnx")
    x = RNG.normal(size=(400, 16)).astype(np.float32)
    x[:, 0] = 1.0
    states = [np.zeros(16)]
    for step in x:
        states.append(states[-1] * keep + step)
    due = np.tanh(states[1:])[:, 1:]
    frames, before = x.reshape(400, 4, 4), np.stack(states[:-1]).astype(np.float32)
    content = compile_model(
        tmp_path / "m.onnx", load_chip("digital"), {"x": frames, "state": before}
    )
    emulator, state, found = Emulator(content), before[:1], []
    for step in frames:
        codes = encode_inputs(content, {"x": step[None], "state": state})
        y, state = decode_outputs(content, emulator.run(codes)).values()
        found.append(y.reshape(16)[1:])
    assert 10 * np.log10((due**2).mean() / ((np.stack(found) - due) ** 2).mean()) > 30
    _, old, _, new = content.ports
    assert (old.scale, old.zero_point) == (new.scale, new.zero_point)
