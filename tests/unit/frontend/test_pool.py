"""Pools, global pools and reductions."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node


@pytest.mark.parametrize(
    "attrs",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1, "pads": [0, 0, 1, 1]},
    ],
)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pool_geometry(agrees, kind, attrs):
    graph = agrees([make_node(kind, ["x"], ["y"], **attrs)], {"x": (3, 10, 8)})
    assert len(graph.ops) == 1


def test_dilated_max_pool(agrees):
    node = make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 3], dilations=[3, 2])
    agrees([node], {"x": (3, 10, 9)})


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 2, 1, 0]])
def test_average_pool_counts_padding_if_told(agrees, include, pads):
    attrs = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": pads}
    node = make_node("AveragePool", ["x"], ["y"], count_include_pad=include, **attrs)
    graph = agrees([node], {"x": (3, 9, 9)})
    assert graph.ops[0].attrs["count_include_pad"] == bool(include)


def test_average_pool_with_an_overhang_never_counts_it(agrees):
    attrs = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    agrees([make_node("AveragePool", ["x"], ["y"], **attrs)], {"x": (3, 5, 7)}, opset=19)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_one_dimensional_pool(agrees, kind):
    node = make_node(kind, ["x"], ["y"], kernel_shape=[3], strides=[2], pads=[1, 1])
    agrees([node], {"x": (4, 11)})


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 7)])
def test_global_pool(agrees, kind, shape):
    graph = agrees([make_node(kind, ["x"], ["y"])], {"x": shape})
    assert [op.kind for op in graph.ops] == ["maxpool" if "Max" in kind else "avgpool"]


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1], [1], [1, 2], [2], [1, 2, 3]])
def test_reduce_mean_over_any_axes(agrees, axes, keepdims):
    node = make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=keepdims)
    agrees([node], {"x": (4, 5, 6)})


def test_reduce_mean_with_axes_as_input(agrees):
    nodes = [make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)]
    agrees(nodes, {"x": (4, 5, 6)}, {"axes": np.array([2, 3])}, opset=18)


def test_channels_last_mean_needs_no_transpose(agrees):
    node = make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)
    graph = agrees([node], {"x": (5, 6, 4)})
    assert [op.kind for op in graph.ops] == ["avgpool"]
    assert graph.inputs[0].perm == (0, 1, 2)


def test_reduce_max(agrees):
    agrees([make_node("ReduceMax", ["x"], ["y"], axes=[2, 3])], {"x": (4, 5, 6)})
