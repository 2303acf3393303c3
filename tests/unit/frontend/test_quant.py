"""QDQ models: parameters on tensors, codes on weights, the same numbers as onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from norcim.errors import NorcimError
from norcim.ir import QParams

RNG = np.random.default_rng(0)
CODES = RNG.integers(-127, 128, (5, 3, 3, 3)).astype(np.int8)
A = {"as": np.float32(0.03), "az": np.int8(-3)}
B = {"bs": np.float32(0.11), "bz": np.int8(-128)}
QA, QB = QParams(float(A["as"]), -3, True), QParams(float(B["bs"]), -128, True)


def qdq(x, y, p):
    return [
        make_node("QuantizeLinear", [x, f"{p}s", f"{p}z"], [f"{y}_q"]),
        make_node("DequantizeLinear", [f"{y}_q", f"{p}s", f"{p}z"], [y]),
    ]


def weight(name="w", codes=CODES, scale=None, axis=0, zero=None):
    """(node, constants) of a dequantised weight, per channel unless a scalar scale is given."""
    size = codes.shape[axis]
    scale = RNG.uniform(0.001, 0.01, size).astype(np.float32) if scale is None else scale
    zero = np.zeros(np.shape(scale), codes.dtype) if zero is None else zero
    node = make_node("DequantizeLinear", [f"{name}_c", f"{name}_s", f"{name}_z"], [name], axis=axis)
    return node, {f"{name}_c": codes, f"{name}_s": scale, f"{name}_z": zero}


def conv_nodes(node, *, bias=()):
    return [
        *qdq("x", "xd", "a"),
        node,
        make_node("Conv", ["xd", "w", *bias], ["c"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["c"], ["r"]),
        *qdq("r", "y", "b"),
    ]


def test_parameters_land_on_the_fused_output(agrees):
    node, constants = weight()
    graph = agrees(conv_nodes(node), {"x": (3, 6, 6)}, {**constants, **A, **B})
    assert [op.kind for op in graph.ops] == ["conv"]
    conv = graph.ops[0]
    assert graph.tensors["x"].qparams == QA
    assert graph.tensors[conv.output].qparams == QB
    assert conv.attrs["clamp"] == (0.0, np.inf)
    np.testing.assert_array_equal(conv.weight_codes.codes, CODES.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(conv.weight_codes.scale, constants["w_s"])


def test_a_scalar_weight_scale_is_repeated_per_channel(imported):
    node, constants = weight(scale=np.float32(0.5))
    graph = imported(conv_nodes(node), {"x": (3, 6, 6)}, {**constants, **A, **B})
    assert graph.ops[0].weight_codes.scale.tolist() == [0.5] * 5


def test_an_int32_bias_is_code_times_scale(agrees):
    node, constants = weight()
    bias, bias_constants = weight("b", np.array([1000, -7, 0, 2**20, -(2**22)], np.int32))
    nodes = conv_nodes(node, bias=["b"])
    graph = agrees([bias, *nodes], {"x": (3, 6, 6)}, {**constants, **bias_constants, **A, **B})
    want = bias_constants["b_c"] * bias_constants["b_s"].astype(np.float64)
    np.testing.assert_allclose(graph.ops[0].bias, want, rtol=1e-7)


def test_uint8_weights_are_centred_where_that_is_exact(agrees):
    codes = RNG.integers(60, 200, (5, 3, 3, 3)).astype(np.uint8)
    node, constants = weight(codes=codes, scale=np.float32(0.01), zero=np.uint8(128))
    graph = agrees(conv_nodes(node), {"x": (3, 6, 6)}, {**constants, **A, **B})
    got = graph.ops[0].weight_codes.codes.transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(got, codes.astype(int) - 128)


def test_weights_that_do_not_fit_int8_are_quantised_anew(agrees):
    codes = RNG.integers(0, 256, (5, 3, 3, 3)).astype(np.uint8)
    node, constants = weight(codes=codes, scale=np.float32(0.01), zero=np.uint8(100))
    graph = agrees(conv_nodes(node), {"x": (3, 6, 6)}, {**constants, **A, **B})
    assert graph.ops[0].weight_codes is None


def test_weights_quantised_per_input_channel_are_quantised_anew(imported):
    node, constants = weight(axis=1)
    graph = imported(conv_nodes(node), {"x": (3, 6, 6)}, {**constants, **A, **B})
    assert graph.ops[0].weight_codes is None


def test_float_weights_behind_a_qdq_pair_become_codes(agrees):
    nodes = [
        *qdq("x", "xd", "a"),
        *qdq("w", "wd", "w"),
        make_node("Conv", ["xd", "wd"], ["c"]),
        *qdq("c", "y", "b"),
    ]
    w = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
    constants = {"w": w, "ws": np.float32(0.02), "wz": np.int8(0), **A, **B}
    graph = agrees(nodes, {"x": (3, 6, 6)}, constants)
    got = graph.ops[0].weight_codes.codes.transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(got, np.clip(np.rint(w / np.float32(0.02)), -128, 127))


def test_flatten_permutes_codes_with_the_weight(agrees):
    codes = RNG.integers(-127, 128, (45, 4)).astype(np.int8)
    node, constants = weight(codes=codes, axis=1)
    nodes = [
        make_node("Conv", ["x", "k"], ["c"]),
        *qdq("c", "d", "a"),
        make_node("Flatten", ["d"], ["f"]),
        node,
        make_node("MatMul", ["f", "w"], ["m"]),
        *qdq("m", "y", "b"),
    ]
    kernel = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
    graph = agrees(nodes, {"x": (3, 5, 5)}, {"k": kernel, **constants, **A, **B})
    gemm = graph.ops[-1]
    np.testing.assert_allclose(
        gemm.weight, gemm.weight_codes.codes * gemm.weight_codes.scale, rtol=1e-6
    )


def test_transposed_codes_of_a_gemm(agrees):
    codes = RNG.integers(-127, 128, (4, 6)).astype(np.int8)
    node, constants = weight(codes=codes)
    nodes = [
        *qdq("x", "xd", "a"),
        node,
        make_node("Gemm", ["xd", "w"], ["g"], transB=1),
        *qdq("g", "y", "b"),
    ]
    graph = agrees(nodes, {"x": (6,)}, {**constants, **A, **B})
    np.testing.assert_array_equal(graph.ops[0].weight_codes.codes[0, 0], codes.T)


def test_a_batch_norm_scales_the_codes_scale(imported):
    node, constants = weight()
    nodes = [
        *qdq("x", "xd", "a"),
        node,
        make_node("Conv", ["xd", "w"], ["c"]),
        make_node("Mul", ["c", "g"], ["m"]),
        *qdq("m", "y", "b"),
    ]
    gain = np.array([1, 2, 3, 4, 5], np.float32).reshape(5, 1, 1)
    graph = imported(nodes, {"x": (3, 6, 6)}, {"g": gain, **constants, **A, **B})
    want = constants["w_s"].astype(np.float64) * [1, 2, 3, 4, 5]
    np.testing.assert_allclose(graph.ops[0].weight_codes.scale, want)


def test_a_negative_gain_drops_the_codes(imported):
    node, constants = weight()
    nodes = [node, make_node("Conv", ["x", "w"], ["c"]), make_node("Neg", ["c"], ["y"])]
    graph = imported(nodes, {"x": (3, 6, 6)}, constants)
    assert len(graph.ops) == 1
    assert graph.ops[0].weight_codes is None


def test_two_quantisations_of_one_tensor_stay_two_tensors(agrees):
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        *qdq("r", "p", "a"),
        *qdq("r", "q", "b"),
        make_node("Add", ["p", "q"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (3, 4)}, {**A, **B})
    assert [op.kind for op in graph.ops] == ["clip", "clip", "clip", "add"]


def test_the_same_pair_before_each_reader_is_one(agrees):
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        *qdq("r", "p", "a"),
        *qdq("r", "q", "a"),
        make_node("Add", ["p", "q"], ["y"]),
    ]
    graph = agrees(nodes, {"x": (3, 4)}, A)
    assert [op.kind for op in graph.ops] == ["clip", "add"]


def test_a_change_of_scale_is_an_operation(agrees):
    nodes = [*qdq("x", "p", "a"), *qdq("p", "y", "b")]
    graph = agrees(nodes, {"x": (3, 4)}, {**A, **B})
    assert [(op.kind, op.attrs["clamp"]) for op in graph.ops] == [("clip", None)]
    assert graph.tensors[graph.outputs[0].tensor].qparams == QB


def test_a_relu_between_equal_codes_is_fused(agrees):
    node, constants = weight()
    nodes = [
        *qdq("x", "xd", "a"),
        node,
        make_node("Conv", ["xd", "w"], ["c"]),
        *qdq("c", "d", "a"),
        make_node("Relu", ["d"], ["r"]),
        *qdq("r", "y", "a"),
    ]
    graph = agrees(nodes, {"x": (3, 6, 6)}, {**constants, **A})
    assert [op.kind for op in graph.ops] == ["conv"]


def test_parameters_spread_over_operations_that_only_move_codes(agrees):
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
        *qdq("p", "d", "a"),
        make_node("MaxPool", ["d"], ["y"], kernel_shape=[2, 2]),
    ]
    graph = agrees(nodes, {"x": (3, 6, 6)}, A)
    assert [tensor.qparams for name, tensor in graph.tensors.items() if name != "x"] == [QA] * 3


def test_zero_padding_of_codes_is_fused(agrees):
    node, constants = weight()
    nodes = [
        *qdq("x", "xd", "a"),
        make_node("Pad", ["xd", "p"], ["pd"]),
        *qdq("pd", "pq", "a"),
        node,
        make_node("Conv", ["pq", "w"], ["c"]),
        *qdq("c", "y", "b"),
    ]
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    graph = agrees(nodes, {"x": (3, 6, 6)}, {"p": pads, **constants, **A, **B})
    assert [op.kind for op in graph.ops] == ["conv"]


@pytest.mark.parametrize(
    ("dtype", "kind"), [("int8", TensorProto.INT8), ("uint8", TensorProto.UINT8)]
)
def test_integer_ports(imported, dtype, kind):
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make_node("DequantizeLinear", ["t", "s", "z"], ["d"]),
        make_node("MaxPool", ["d"], ["p"], kernel_shape=[2, 2]),
        make_node("QuantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.1), "z": np.array(7, dtype)}
    graph = imported(nodes, {"x": (6, 6, 3)}, constants, types={"x": kind, "y": kind})
    assert [port.codes for port in (*graph.inputs, *graph.outputs)] == [dtype, dtype]
    want = QParams(float(np.float32(0.1)), 7, dtype == "int8")
    assert {tensor.qparams for tensor in graph.tensors.values()} == {want}


def test_max_pool_on_codes(imported):
    nodes = [
        make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2]),
        make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.1), "z": np.int8(7)}
    graph = imported(nodes, {"x": (3, 6, 6)}, constants, types={"x": TensorProto.INT8})
    assert graph.inputs[0].codes == "int8"
    assert all(tensor.qparams for tensor in graph.tensors.values())


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("where", ["activation", "weight"])
def test_illegal_scales(imported, scale, where):
    node, constants = weight()
    broken = {"as": np.float32(scale)} if where == "activation" else {}
    if where == "weight":
        constants["w_s"][3] = scale
    with pytest.raises(NorcimError) as caught:
        imported(conv_nodes(node), {"x": (3, 6, 6)}, {**constants, **A, **B, **broken})
    assert caught.value.id == "NC-E0208"
    assert "Linear" in caught.value.where


@pytest.mark.parametrize(
    ("constants", "text"),
    [
        ({"as": np.full(3, 0.1, np.float32), "az": np.zeros(3, np.int8)}, "per channel"),
        ({"as": np.float32(0.1), "az": np.int16(0)}, "int16"),
    ],
)
def test_activation_codes_that_are_not_supported(imported, constants, text):
    with pytest.raises(NorcimError, match=text) as caught:
        imported(qdq("x", "y", "a"), {"x": (3, 4)}, constants, opset=21)
    assert caught.value.id == "NC-E0203"


def test_reading_codes_under_another_scale_is_refused(imported):
    nodes = [
        make_node("QuantizeLinear", ["x", "as", "az"], ["q"]),
        make_node("DequantizeLinear", ["q", "bs", "bz"], ["y"]),
    ]
    with pytest.raises(NorcimError, match="differ from those"):
        imported(nodes, {"x": (4,)}, {**A, **B})


def test_arithmetic_on_codes_is_refused(imported):
    nodes = [
        make_node("QuantizeLinear", ["x", "as", "az"], ["q"]),
        make_node("Relu", ["q"], ["y"]),
    ]
    with pytest.raises(NorcimError, match="integer codes"):
        imported(nodes, {"x": (4,)}, A)
