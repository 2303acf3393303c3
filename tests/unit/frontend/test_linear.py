"""Conv, Gemm, MatMul, BatchNormalization and constants folded into them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node

RNG = np.random.default_rng(0)


def rand(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"strides": [2, 1]},
        {"pads": [1, 0, 2, 3]},
        {"dilations": [2, 3], "pads": [2, 3, 2, 3]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID", "strides": [3, 2]},
        {"kernel_shape": [3, 2], "auto_pad": "NOTSET"},
    ],
)
def test_conv_geometry(agrees, attrs):
    node = make_node("Conv", ["x", "w", "b"], ["y"], **attrs)
    graph = agrees([node], {"x": (4, 10, 9)}, {"w": rand(5, 4, 3, 2), "b": rand(5)})
    assert [op.kind for op in graph.ops] == ["conv"]
    assert graph.ops[0].weight.shape == (3, 2, 4, 5)
    assert graph.inputs[0].perm == (1, 2, 0)


@pytest.mark.parametrize(("groups", "c_out"), [(2, 6), (4, 4), (4, 12)])
def test_grouped_and_depthwise_conv(agrees, groups, c_out):
    node = make_node("Conv", ["x", "w"], ["y"], group=groups, pads=[1, 1, 1, 1])
    graph = agrees([node], {"x": (4, 6, 5)}, {"w": rand(c_out, 4 // groups, 3, 3)})
    assert graph.ops[0].attrs["groups"] == groups
    assert graph.ops[0].bias is None


def test_one_dimensional_conv_is_a_sequence_of_width_one(agrees):
    node = make_node("Conv", ["x", "w"], ["y"], strides=[2], pads=[3, 1], dilations=[2])
    graph = agrees([node], {"x": (4, 20)}, {"w": rand(6, 4, 3)})
    assert graph.tensors["x"].shape == (20, 1, 4)
    assert graph.ops[0].weight.shape == (3, 1, 4, 6)


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_any_batch_dimension(agrees, batch):
    nodes = [
        make_node("Conv", ["x", "w"], ["y"]),
        make_node("Reshape", ["y", "shape"], ["z"]),
    ]
    lead = -1 if batch == "N" else batch
    constants = {"w": rand(2, 3, 3, 3), "shape": np.array([lead, 18])}
    agrees(nodes, {"x": (3, 5, 5)}, constants, batch=batch)


@pytest.mark.parametrize(
    "attrs", [{}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0}, {"transB": 1, "alpha": -1.5}]
)
@pytest.mark.parametrize("bias", [(), (4,), (1, 4)])
def test_gemm(agrees, attrs, bias):
    weight = rand(4, 6) if attrs.get("transB") else rand(6, 4)
    node = make_node("Gemm", ["x", "w", "b"], ["y"], **attrs)
    graph = agrees([node], {"x": (6,)}, {"w": weight, "b": rand(*bias)})
    assert graph.ops[0].weight.shape == (1, 1, 6, 4)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (3, 5, 6), (2, 3, 5, 6)])
def test_matmul_with_a_constant_on_the_right(agrees, shape):
    graph = agrees([make_node("MatMul", ["x", "w"], ["y"])], {"x": shape}, {"w": rand(6, 4)})
    assert [op.kind for op in graph.ops] == ["conv"]


def test_a_matrix_with_leading_axes_of_one(agrees):
    nodes = [make_node("MatMul", ["x", "w"], ["y"])]
    agrees(nodes, {"x": (5, 6)}, {"w": rand(1, 6, 4)})


@pytest.mark.parametrize(
    ("x", "w"),
    [((3, 5, 6), (3, 6, 4)), ((5, 6), (1, 6, 4)), ((2, 3, 5, 6), (3, 6, 4)),
     ((2, 3, 5, 6), (2, 3, 6, 4)), ((1, 5, 6), (3, 6, 4))],
)  # fmt: skip
def test_matmul_with_a_matrix_for_each_outer_index(agrees, x, w):
    agrees([make_node("MatMul", ["x", "w"], ["y"])], {"x": x}, {"w": rand(*w)})


def test_matmul_of_a_matrix_for_each_outer_index_from_the_left(agrees):
    agrees([make_node("MatMul", ["w", "x"], ["y"])], {"x": (3, 6, 5)}, {"w": rand(3, 4, 6)})


def test_matmul_with_a_constant_on_the_left(agrees):
    graph = agrees([make_node("MatMul", ["w", "x"], ["y"])], {"x": (6, 5)}, {"w": rand(4, 6)})
    assert [op.kind for op in graph.ops] == ["conv"]


def batch_norm(name, x, y):
    return make_node("BatchNormalization", [x, *(f"{name}{k}" for k in "gbmv")], [y])


def norm_constants(name, c):
    return {
        f"{name}g": rand(c),
        f"{name}b": rand(c),
        f"{name}m": rand(c),
        f"{name}v": np.abs(rand(c)) + 0.1,
    }


def test_batch_norm_folds_into_the_conv_before_it(agrees):
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        batch_norm("n", "c", "d"),
        make_node("Relu", ["d"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (3, 6, 6)}, {"w": rand(5, 3, 3, 3), **norm_constants("n", 5)})
    assert [op.kind for op in graph.ops] == ["conv"]
    assert graph.ops[0].attrs["clamp"] == (0.0, np.inf)


def test_batch_norm_behind_a_pool_becomes_a_depthwise_conv(agrees):
    nodes = [make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2]), batch_norm("n", "p", "y")]
    graph = agrees(nodes, {"x": (3, 6, 6)}, norm_constants("n", 3))
    assert [op.kind for op in graph.ops] == ["maxpool", "conv"]
    assert graph.ops[1].attrs["groups"] == 3


def test_batch_norm_in_front_folds_into_a_conv_without_padding(agrees):
    nodes = [batch_norm("n", "x", "d"), make_node("Conv", ["d", "w"], ["y"])]
    constants = {"w": rand(5, 3, 3, 3), **norm_constants("n", 3)}
    assert len(agrees(nodes, {"x": (3, 6, 6)}, constants).ops) == 1


def test_a_shift_does_not_fold_into_a_conv_with_padding(agrees):
    nodes = [
        batch_norm("n", "x", "d"),
        make_node("Conv", ["d", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {"w": rand(5, 3, 3, 3), **norm_constants("n", 3)}
    assert len(agrees(nodes, {"x": (3, 6, 6)}, constants).ops) == 2


@pytest.mark.parametrize("groups", [1, 3])
def test_scaled_and_shifted_input_folds_into_the_first_conv(agrees, groups):
    nodes = [
        make_node("Sub", ["x", "mean"], ["a"]),
        make_node("Div", ["a", "std"], ["b"]),
        make_node("Conv", ["b", "w"], ["y"], group=groups),
    ]
    constants = {
        "mean": rand(1, 3, 1, 1),
        "std": np.abs(rand(1, 3, 1, 1)) + 0.5,
        "w": rand(6, 3 // groups, 3, 3),
    }
    graph = agrees(nodes, {"x": (3, 6, 6)}, constants)
    assert [op.kind for op in graph.ops] == ["conv"]


def test_matmul_add_mul_add_is_one_operation(agrees):
    nodes = [
        make_node("MatMul", ["x", "w"], ["a"]),
        make_node("Add", ["b", "a"], ["c"]),
        make_node("Mul", ["c", "g"], ["d"]),
        make_node("Add", ["d", "h"], ["y"]),
    ]
    constants = {"w": rand(6, 4), "b": rand(4), "g": rand(4), "h": rand(1, 4)}
    assert len(agrees(nodes, {"x": (6,)}, constants).ops) == 1


def test_a_conv_that_is_also_an_output_is_not_folded(agrees):
    nodes = [make_node("Conv", ["x", "w"], ["c"]), make_node("Mul", ["c", "g"], ["y"])]
    constants = {"w": rand(5, 3, 3, 3), "g": rand(5, 1, 1)}
    assert len(agrees(nodes, {"x": (3, 6, 6)}, constants, outputs=["c", "y"]).ops) == 2


def test_a_constant_for_every_position_becomes_one_per_feature(agrees):
    nodes = [make_node("Relu", ["x"], ["r"]), make_node("Add", ["r", "b"], ["y"])]
    agrees(nodes, {"x": (3, 4, 5)}, {"b": rand(3, 4, 5)})
