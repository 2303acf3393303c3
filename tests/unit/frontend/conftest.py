"""Builds small ONNX models and compares their import with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from norcim.frontend import import_onnx
from norcim.ir import Graph, evaluate, from_tensor, to_tensor

BATCH = 3


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[Any, ...]],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    batch: Any = "N",
    types: Mapping[str, int] | None = None,
    outputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model of the given nodes; its output is what the last node writes unless told."""
    kinds = types or {}

    def info(name: str, shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)

    arrays = {name: np.asarray(array) for name, array in (constants or {}).items()}
    graph = helper.make_graph(
        list(nodes),
        "small",
        [info(name, [batch, *shape]) for name, shape in inputs.items()],
        [info(name, None) for name in outputs or nodes[-1].output[:1]],
        [
            numpy_helper.from_array(a.astype(np.float32) if a.dtype == np.float64 else a, name)
            for name, a in arrays.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run_reference(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    """onnxruntime without optimisation: what the model says, node by node."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(feeds)))


def run_graph(graph: Graph, feeds: Mapping[str, Any], *, fake_quantise: bool = False) -> list[Any]:
    """The imported graph on arrays in the model's own layout, real values in and out."""
    inputs = {
        port.tensor: to_tensor(port, graph.tensors[port.tensor].shape, feeds[port.tensor])
        for port in graph.inputs
    }
    results = evaluate(graph, inputs, fake_quantise=fake_quantise)
    return [from_tensor(port, results[port.tensor]) for port in graph.outputs]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes what `build` makes; returns the file."""

    def write(*args: Any, **kwargs: Any) -> Path:
        path = tmp_path / "model.onnx"
        onnx.save(build(*args, **kwargs), path)
        return path

    return write


@pytest.fixture
def imported(save: Callable[..., Path]) -> Callable[..., Graph]:
    """Imports what `build` makes."""
    return lambda *args, **kwargs: import_onnx(save(*args, **kwargs))


@pytest.fixture
def agrees(tmp_path: Path) -> Callable[..., Graph]:
    """Imports what `build` makes and checks that it computes what onnxruntime does."""

    def check(nodes: Any, inputs: Any, *args: Any, **kwargs: Any) -> Graph:
        model = build(nodes, inputs, *args, **kwargs)
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        graph = import_onnx(path)
        rng = np.random.default_rng(1)
        batch = kwargs.get("batch", "N")
        n = batch if isinstance(batch, int) else BATCH
        feeds = {
            name: rng.normal(size=(n, *shape)).astype(np.float32) for name, shape in inputs.items()
        }
        quantised = any(tensor.qparams for tensor in graph.tensors.values())
        results = run_graph(graph, feeds, fake_quantise=quantised)
        for got, want in zip(results, run_reference(model, feeds), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())
        return graph

    return check
