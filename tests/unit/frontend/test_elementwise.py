"""Activations and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node

W = np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32)


def conv(output="c"):
    return make_node("Conv", ["x", "w"], [output])


def kinds(graph):
    return [op.kind for op in graph.ops]


@pytest.mark.parametrize(
    ("node", "opset", "clamp"),
    [
        (make_node("Relu", ["c"], ["y"]), 13, (0.0, np.inf)),
        (make_node("Clip", ["c"], ["y"], min=0.0, max=6.0), 7, (0.0, 6.0)),
        (make_node("Clip", ["c", "lo", "hi"], ["y"]), 13, (-0.5, 1.5)),
        (make_node("Clip", ["c", "", "hi"], ["y"]), 13, (-np.inf, 1.5)),
        (make_node("Max", ["c", "zero"], ["y"]), 13, (0.0, np.inf)),
        (make_node("Min", ["hi", "c"], ["y"]), 13, (-np.inf, 1.5)),
    ],
)
def test_a_clamp_becomes_part_of_the_conv(agrees, node, opset, clamp):
    constants = {
        "w": W,
        "lo": np.float32(-0.5),
        "hi": np.float32(1.5),
        "zero": np.zeros((1,), np.float32),
    }
    graph = agrees([conv(), node], {"x": (3, 8, 8)}, constants, opset=opset)
    assert kinds(graph) == ["conv"]
    assert graph.ops[0].attrs["clamp"] == clamp


def test_two_clamps_are_one(agrees):
    nodes = [
        conv(),
        make_node("Relu", ["c"], ["r"]),
        make_node("Clip", ["r"], ["y"], min=-1.0, max=6.0),
    ]
    graph = agrees(nodes, {"x": (3, 8, 8)}, {"w": W}, opset=7)
    assert graph.ops[0].attrs["clamp"] == (0.0, 6.0)


def test_a_clamp_moves_in_front_of_max_pooling(agrees):
    nodes = [
        conv(),
        make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Relu", ["p"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (3, 8, 8)}, {"w": W})
    assert kinds(graph) == ["conv", "maxpool"]


def test_a_clamp_of_a_tensor_with_two_readers_stays(agrees):
    nodes = [
        conv(),
        make_node("Relu", ["c"], ["r"]),
        make_node("Concat", ["r", "c"], ["y"], axis=1),
    ]
    assert kinds(agrees(nodes, {"x": (3, 8, 8)}, {"w": W})) == ["conv", "clip", "move"]


@pytest.mark.parametrize(
    ("op", "attrs", "function"),
    [
        ("LeakyRelu", {"alpha": 0.2}, "leaky_relu"),
        ("LeakyRelu", {}, "leaky_relu"),
        ("Sigmoid", {}, "sigmoid"),
        ("Tanh", {}, "tanh"),
        ("HardSigmoid", {}, "hard_sigmoid"),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, "hard_sigmoid"),
        ("HardSwish", {}, "hard_swish"),
        ("Elu", {"alpha": 0.7}, "elu"),
        ("Softplus", {}, "softplus"),
    ],
)
def test_functions_become_tables(agrees, op, attrs, function):
    graph = agrees([make_node(op, ["x"], ["y"], **attrs)], {"x": (4, 5)}, opset=14)
    assert kinds(graph) == ["table"]
    assert graph.ops[0].attrs["function"] == function


@pytest.mark.parametrize("slope", [np.float32(0.25), np.full((3, 1, 1), 0.25, np.float32)])
def test_prelu_with_a_single_slope(agrees, slope):
    graph = agrees([make_node("PRelu", ["x", "s"], ["y"])], {"x": (3, 4, 4)}, {"s": slope})
    assert kinds(graph) == ["table"]


def test_max_of_x_and_a_fraction_of_x_is_a_leaky_relu(agrees):
    nodes = [make_node("Mul", ["x", "a"], ["s"]), make_node("Max", ["s", "x"], ["y"])]
    graph = agrees(nodes, {"x": (3, 4, 4)}, {"a": np.float32(0.125)})
    assert kinds(graph) == ["table"]
    assert graph.ops[0].attrs["alpha"] == 0.125


@pytest.mark.parametrize(
    ("gate", "attrs", "function"),
    [("Sigmoid", {}, "silu"), ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, "hard_swish")],
)
def test_a_gated_activation_is_one_table(agrees, gate, attrs, function):
    nodes = [make_node(gate, ["x"], ["g"], **attrs), make_node("Mul", ["x", "g"], ["y"])]
    graph = agrees(nodes, {"x": (3, 4, 4)})
    assert [op.attrs["function"] for op in graph.ops] == [function]


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Sum"])
def test_two_activations(agrees, op):
    nodes = [
        conv("a"),
        make_node("Conv", ["x", "v"], ["b"]),
        make_node(op, ["a", "b"], ["c"]),
        make_node("Relu", ["c"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (3, 8, 8)}, {"w": W, "v": W[::-1].copy()})
    assert kinds(graph) == ["conv", "conv", "mul" if op == "Mul" else "add"]
    assert graph.ops[-1].attrs["clamp"] == (0.0, np.inf)


def test_an_activation_added_to_itself(agrees):
    agrees([make_node("Add", ["x", "x"], ["y"])], {"x": (3, 4, 5)})


def test_two_inputs_in_different_layouts(agrees):
    nodes = [
        conv("a"),
        make_node("Transpose", ["z"], ["b"], perm=[0, 3, 1, 2]),
        make_node("Add", ["a", "b"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (3, 8, 8), "z": (6, 6, 5)}, {"w": W})
    assert kinds(graph) == ["conv", "add"]


@pytest.mark.parametrize(
    ("op", "order"),
    [("Sub", ["x", "k"]), ("Sub", ["k", "x"]), ("Div", ["x", "k"]), ("Mul", ["k", "x"])],
)
@pytest.mark.parametrize("shape", [(), (1, 3, 1, 1), (3, 1, 1), (1, 1, 1, 5), (4, 5)])
def test_constants_that_broadcast(agrees, op, order, shape):
    constant = np.abs(np.random.default_rng(2).normal(size=shape)).astype(np.float32) + 0.5
    agrees([make_node(op, order, ["y"])], {"x": (3, 4, 5)}, {"k": constant})


def test_negation(agrees):
    agrees([make_node("Neg", ["x"], ["y"])], {"x": (3, 4)})


@pytest.mark.parametrize(
    ("shape", "axis", "opset"),
    [((6,), -1, 13), ((6,), 1, 11), ((3, 4, 5), 1, 13), ((3, 4, 5), 3, 13), ((3, 4, 5), 2, 11)],
)
def test_softmax(agrees, shape, axis, opset):
    node = make_node("Softmax", ["x"], ["y"], axis=axis)
    graph = agrees([node], {"x": shape}, opset=opset)
    assert kinds(graph)[-1] == "softmax"
