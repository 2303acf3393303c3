"""Layout: what costs an operation and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_node

RNG = np.random.default_rng(0)
W = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)


def kinds(graph):
    return [op.kind for op in graph.ops]


def ints(*values):
    return np.array(values, np.int64)


def test_channels_last_export_needs_no_transpose(agrees):
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make_node("Conv", ["t", "w"], ["c"]),
        make_node("Transpose", ["c"], ["u"], perm=[0, 2, 3, 1]),
        make_node("Relu", ["u"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (8, 7, 3)}, {"w": W})
    assert kinds(graph) == ["conv"]
    assert graph.inputs[0].perm == (0, 1, 2)
    assert graph.outputs[0].perm == (0, 1, 2)


def test_one_channel_export_with_a_reshape(agrees):
    nodes = [
        make_node("Reshape", ["x", "s"], ["t"]),
        make_node("Conv", ["t", "w"], ["y"]),
    ]
    constants = {"s": ints(-1, 1, 8, 7), "w": W[:, :1].copy()}
    assert kinds(agrees(nodes, {"x": (8, 7, 1)}, constants)) == ["conv"]


def test_transposes_slide_through_elementwise_operations(agrees):
    nodes = [
        make_node("Conv", ["x", "w"], ["c"]),
        make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        make_node("Sigmoid", ["t"], ["s"]),
        make_node("Add", ["s", "b"], ["a"]),
        make_node("Transpose", ["a"], ["u"], perm=[0, 3, 1, 2]),
        make_node("MaxPool", ["u"], ["y"], kernel_shape=[2, 2]),
    ]
    constants = {"w": W, "b": RNG.normal(size=5).astype(np.float32)}
    assert kinds(agrees(nodes, {"x": (3, 8, 8)}, constants)) == ["conv", "table", "conv", "maxpool"]


@pytest.mark.parametrize(
    "flatten",
    [
        [make_node("Flatten", ["c"], ["f"])],
        [make_node("Reshape", ["c", "keep"], ["f"])],
        [make_node("Reshape", ["c", "zero"], ["f"])],
        [
            make_node("Shape", ["c"], ["s0"]),
            make_node("Gather", ["s0", "first"], ["s1"]),
            make_node("Unsqueeze", ["s1", "axis"], ["s2"]),
            make_node("Concat", ["s2", "rest"], ["s3"], axis=0),
            make_node("Reshape", ["c", "s3"], ["f"]),
        ],
    ],
)
def test_flatten_before_gemm_permutes_the_weights(agrees, flatten):
    nodes = [
        make_node("Conv", ["x", "w"], ["c"]),
        *flatten,
        make_node("Gemm", ["f", "v"], ["y"]),
    ]
    constants = {
        "w": W,
        "v": RNG.normal(size=(5 * 6 * 4, 7)).astype(np.float32),
        "keep": ints(-1, 120),
        "zero": ints(0, -1),
        "first": np.array(0),
        "axis": ints(0),
        "rest": ints(-1),
    }
    graph = agrees(nodes, {"x": (3, 8, 6)}, constants)
    assert kinds(graph) == ["conv", "reshape", "conv"]


def test_flatten_of_the_input_keeps_its_order(agrees):
    nodes = [make_node("Flatten", ["x"], ["f"]), make_node("Gemm", ["f", "v"], ["y"])]
    graph = agrees(nodes, {"x": (3, 4, 2)}, {"v": RNG.normal(size=(24, 7)).astype(np.float32)})
    assert kinds(graph) == ["conv"]


def test_swapped_axes_of_an_input_are_the_hosts_business(agrees):
    nodes = [
        make_node("Unsqueeze", ["x", "axis"], ["u"]),
        make_node("Transpose", ["u"], ["t"], perm=[0, 1, 3, 2]),
        make_node("Conv", ["t", "w"], ["y"]),
    ]
    constants = {"axis": ints(1), "w": W[:, :1].copy()}
    graph = agrees(nodes, {"x": (8, 7)}, constants)
    assert kinds(graph) == ["conv"]
    assert graph.inputs[0].perm == (1, 0)


def test_a_transpose_that_moves_elements_stays(agrees):
    nodes = [
        make_node("Conv", ["x", "w"], ["c"]),
        make_node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2]),
        make_node("MaxPool", ["t"], ["y"], kernel_shape=[1, 3], strides=[1, 2]),
    ]
    assert "transpose" in kinds(agrees(nodes, {"x": (3, 8, 6)}, {"w": W}))


def test_five_axes_shuffled_between_operations(agrees):
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        make_node("Reshape", ["r", "split"], ["a"]),
        make_node("Transpose", ["a"], ["b"], perm=[0, 3, 2, 4, 1]),
        make_node("Reshape", ["b", "join"], ["c"]),
        make_node("MatMul", ["c", "w"], ["y"]),
    ]
    constants = {
        "split": ints(-1, 2, 3, 4, 5),
        "join": ints(-1, 12, 10),
        "w": RNG.normal(size=(10, 2)).astype(np.float32),
    }
    agrees(nodes, {"x": (6, 20)}, constants)


def test_an_axis_that_cuts_across_the_layout(agrees):
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        make_node("Reshape", ["t", "s"], ["r"]),
        make_node("Softmax", ["r"], ["y"], axis=2),
    ]
    agrees(nodes, {"x": (4, 6)}, {"s": ints(-1, 3, 8)})


def test_squeeze_and_unsqueeze(agrees):
    nodes = [
        make_node("GlobalAveragePool", ["x"], ["p"]),
        make_node("Squeeze", ["p", "hw"], ["s"]),
        make_node("Unsqueeze", ["s", "hw"], ["u"]),
        make_node("Squeeze", ["u", "last"], ["y"]),
    ]
    constants = {"hw": ints(2, 3), "last": ints(-1)}
    assert kinds(agrees(nodes, {"x": (4, 5, 6)}, constants)) == ["avgpool"]


def test_squeeze_and_unsqueeze_with_attributes(agrees):
    nodes = [
        make_node("Unsqueeze", ["x"], ["u"], axes=[1]),
        make_node("Squeeze", ["u"], ["s"], axes=[1]),
        make_node("Relu", ["s"], ["y"]),
    ]
    agrees(nodes, {"x": (4, 5)}, opset=11)


@pytest.mark.parametrize("op", ["Identity", "Dropout"])
def test_operations_that_do_nothing(agrees, op):
    nodes = [make_node(op, ["x"], ["a"]), make_node("Relu", ["a"], ["y"])]
    assert kinds(agrees(nodes, {"x": (4,)})) == ["clip"]


def test_cast_between_float_types(imported):
    nodes = [
        make_node("Cast", ["x"], ["a"], to=TensorProto.FLOAT16),
        make_node("Cast", ["a"], ["b"], to=TensorProto.FLOAT),
        make_node("Relu", ["b"], ["y"]),
    ]
    assert kinds(imported(nodes, {"x": (4,)})) == ["clip"]


@pytest.mark.parametrize("opset", [7, 13, 18])
def test_zero_padding_becomes_part_of_the_conv(agrees, opset):
    pads = [0, 0, 1, 2, 0, 0, 0, 3]
    inputs, attrs = (["x"], {"pads": pads}) if opset == 7 else (["x", "p"], {})
    nodes = [make_node("Pad", inputs, ["a"], **attrs), make_node("Conv", ["a", "w"], ["y"])]
    graph = agrees(nodes, {"x": (3, 6, 6)}, {"w": W, "p": ints(*pads)}, opset=opset)
    assert kinds(graph) == ["conv"]
    assert graph.ops[0].attrs["pads"] == (1, 2, 0, 3)


def test_padding_with_another_value_stays(agrees):
    nodes = [
        make_node("Pad", ["x", "p", "v"], ["a"]),
        make_node("Conv", ["a", "w"], ["y"]),
    ]
    constants = {"w": W, "p": ints(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(0.5)}
    assert kinds(agrees(nodes, {"x": (3, 6, 6)}, constants)) == ["pad", "conv"]


@pytest.mark.parametrize("pads", [(0, 2, 0, 1), (0, 0, 3, 0, 0, 1), (0, 0, 1, 0, 0, 0, 0, 0)])
def test_padding_of_single_axes(agrees, pads):
    shape = (4, 5, 6)[: len(pads) // 2 - 1]
    agrees([make_node("Pad", ["x", "p"], ["y"])], {"x": shape}, {"p": ints(*pads)})


def test_padding_of_channels_moves_them_to_an_image_axis(agrees):
    agrees([make_node("Pad", ["x", "p"], ["y"])], {"x": (3, 4, 5)}, {"p": ints(0, 1, *[0] * 6)})


def test_a_filled_constant_is_folded(agrees):
    fill = numpy_helper.from_array(np.array([2.5], np.float32))
    nodes = [
        make_node("ConstantOfShape", ["s"], ["k"], value=fill),
        make_node("Mul", ["x", "k"], ["y"]),
    ]
    agrees(nodes, {"x": (3, 4)}, {"s": ints(4)})


def test_weights_computed_from_constants_are_folded(agrees):
    nodes = [
        make_node("Constant", [], ["k"], value_float=2.0),
        make_node("Transpose", ["v"], ["t"], perm=[1, 0]),
        make_node("Mul", ["t", "k"], ["w"]),
        make_node("MatMul", ["x", "w"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (6,)}, {"v": RNG.normal(size=(4, 6)).astype(np.float32)})
    assert kinds(graph) == ["conv"]


def test_one_dimensional_output(agrees):
    nodes = [make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)]
    assert agrees(nodes, {"x": (5,)}).outputs[0].shape == ()
