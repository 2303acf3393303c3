"""Ranges of inputs by what comes out of the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx.helper import make_node

from norcim.frontend import import_onnx
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import QParams
from norcim.quantise.inputs import input_qparams
from norcim.quantise.scales import activation_qparams
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(8)
OPEN = (-np.inf, np.inf)
LINEAR = [make_node("Gemm", ["x", "w"], ["y"])]
LIMITED = [make_node("Clip", ["x", "low", "high"], ["c"]), make_node("Gemm", ["c", "w"], ["y"])]
CONSTANTS = {
    "w": RNG.normal(size=(16, 8)),
    "low": np.float32(-3), "high": np.float32(3),
}  # fmt: skip


def chosen(
    nodes: list[onnx.NodeProto], x: np.ndarray, folder: Path,
    more: Mapping[str, tuple[int, ...]] | None = None, outputs: tuple[str, ...] = (),
) -> tuple[QParams, QParams]:  # fmt: skip
    """The parameters of input x, and those that its own least squared error would give."""
    shapes = {"x": (16,), **(more or {})}
    onnx.save(build(nodes, shapes, CONSTANTS, outputs=outputs), folder / "m.onnx")
    graph = import_onnx(folder / "m.onnx")
    port = graph.inputs[0]
    feeds = {
        p.tensor: x[:, : np.prod(p.shape)].reshape(-1, *graph.tensors[p.tensor].shape)
        for p in graph.inputs
    }
    expected = evaluate(graph, feeds)
    return (
        input_qparams(graph, expected, port.tensor),
        activation_qparams(expected[port.tensor], OPEN, False),
    )


def heavy() -> np.ndarray:
    """Values about 1, in one feature up to 20."""
    x = RNG.normal(size=(200, 16)).astype(np.float32)
    x[:, 0] = RNG.uniform(-20, 20, 200)
    return x


def test_a_range_that_the_network_does_not_read_is_clipped(tmp_path: Path) -> None:
    found, usual = chosen(LIMITED, heavy(), tmp_path)
    assert found.scale < 0.6 * usual.scale


def test_a_range_that_counts_stays(tmp_path: Path) -> None:
    found, usual = chosen(LINEAR, heavy(), tmp_path)
    assert found == usual


def test_coded_inputs_and_states_stay(tmp_path: Path) -> None:
    found, usual = chosen(LIMITED, np.rint(heavy()), tmp_path)
    assert found.scale == usual.scale / 1.04, "no room either: all codes were seen"
    loop = [*LIMITED, make_node("Add", ["c", "z"], ["next"])]
    found, usual = chosen(loop, heavy(), tmp_path, {"z": (1,)}, ("y", "next"))
    assert found == usual, "x is what next becomes"


def test_a_mask_of_the_shape_of_an_input_is_not_its_state(tmp_path: Path) -> None:
    masked = [*LIMITED, make_node("Add", ["c", "z"], ["mask"])]
    x = heavy()
    x[:, 1:] = np.clip(x[:, 1:], -3, 3)
    x[:, [0, 1]] = x[:, [1, 0]]  # z, the first feature, is small
    found, usual = chosen(masked, x, tmp_path, {"z": (1,)}, ("y", "mask"))
    assert found.scale < 0.6 * usual.scale
