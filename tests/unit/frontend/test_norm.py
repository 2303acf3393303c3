"""Normalisations, reductions, products of activations and operators on integers."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.runtime import compile_model, decode_outputs, encode_inputs

RNG = np.random.default_rng(3)


def rand(*shape):
    return RNG.normal(size=shape).astype(np.float32)


K = {
    "g": 1 + 0.3 * rand(6), "b": 0.3 * rand(6), "axes": np.array([2], np.int64),
    "two": np.array([1, 2], np.int64), "q": rand(6, 6), "k": rand(6, 6), "v": rand(6, 6),
    "gg": 1 + 0.3 * rand(3), "bb": 0.3 * rand(3),
}  # fmt: skip
CASES = {
    "layer": ([make_node("LayerNormalization", ["x", "g", "b"], ["y"])], (5, 6), 17),
    "layer_axis": ([make_node("LayerNormalization", ["x", "g"], ["y"], axis=-1)], (4, 5, 6), 17),
    "instance": ([make_node("InstanceNormalization", ["x", "g", "b"], ["y"])], (6, 5, 4), 17),
    "group_18": (
        [make_node("GroupNormalization", ["x", "gg", "bb"], ["y"], num_groups=3)], (6, 5, 4), 18,
    ),
    "group_21": (
        [make_node("GroupNormalization", ["x", "g", "b"], ["y"], num_groups=3)], (6, 5, 4), 21,
    ),
    "lp": ([make_node("LpNormalization", ["x"], ["y"], axis=2)], (5, 6), 17),
    "log_softmax": ([make_node("LogSoftmax", ["x"], ["y"], axis=-1)], (5, 6), 17),
    "log_softmax_old": ([make_node("LogSoftmax", ["x"], ["y"])], (6,), 11),
    "sum": ([make_node("ReduceSum", ["x", "axes"], ["y"])], (5, 6), 17),
    "min": ([make_node("ReduceMin", ["x"], ["y"], axes=[2], keepdims=0)], (5, 6), 17),
    "l1": ([make_node("ReduceL1", ["x", "two"], ["y"])], (5, 6), 18),
    "l2": ([make_node("ReduceL2", ["x", "axes"], ["y"])], (5, 6), 18),
    "log_sum_exp": ([make_node("ReduceLogSumExp", ["x", "axes"], ["y"], keepdims=0)], (5, 6), 18),
    "sum_square": ([make_node("ReduceSumSquare", ["x", "axes"], ["y"])], (5, 6), 18),
    "mean_of_three": (
        [make_node("Relu", ["x"], ["r"]), make_node("Tanh", ["x"], ["t"]),
         make_node("Mean", ["x", "r", "t"], ["y"])], (5, 6), 17,
    ),
    "divided": (
        [make_node("Sigmoid", ["x"], ["s"]), make_node("ReduceMax", ["s"], ["m"], axes=[2]),
         make_node("Div", ["x", "m"], ["y"])], (5, 6), 17,
    ),
    "prelu": ([make_node("PRelu", ["x", "g"], ["y"])], (5, 6), 17),
    "attention": (
        [
            make_node("MatMul", ["x", "q"], ["a"]),
            make_node("MatMul", ["x", "k"], ["bk"]),
            make_node("MatMul", ["x", "v"], ["c"]),
            make_node("Transpose", ["bk"], ["d"], perm=[0, 2, 1]),
            make_node("MatMul", ["a", "d"], ["e"]),
            make_node("Softmax", ["e"], ["f"], axis=-1),
            make_node("MatMul", ["f", "c"], ["y"]),
        ],
        (5, 6), 17,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_onnxruntime_does(agrees, name):
    nodes, shape, opset = CASES[name]
    agrees(nodes, {"x": shape}, K, opset=opset)


@pytest.mark.parametrize("name", CASES)
def test_the_image_gives_the_same_within_its_steps(save, name):
    nodes, shape, opset = CASES[name]
    path = save(nodes, {"x": shape}, K, opset=opset)
    x = RNG.normal(size=(256, *shape)).astype(np.float32)
    content = compile_model(path, load_chip("digital"), {"x": x})
    outputs = Emulator(content).run(encode_inputs(content, {"x": x}))
    [got] = decode_outputs(content, outputs).values()
    [want] = onnxruntime.InferenceSession(path).run(None, {"x": x})
    least_db = 20 if name == "attention" else 24
    assert 10 * np.log10(np.square(want).sum() / np.square(got - want).sum()) > least_db


def test_qlinear_operators_keep_the_models_scales(save):
    # within +-60: onnxruntime sums pairs of products in 16 bits on some processors
    rng = np.random.default_rng(11)
    w = rng.integers(-60, 60, (4, 3, 3, 3)).astype(np.int8)
    constants = {
        "xs": np.float32(0.02), "xz": np.uint8(120), "w": w, "ws": 0.01 + 0.01 * rng.random(4),
        "wz": np.zeros(4, np.int8), "ys": np.float32(0.1), "yz": np.uint8(128),
        "bias": rng.integers(-2000, 2000, 4).astype(np.int32),
        "m": rng.integers(-60, 60, (144, 5)).astype(np.int8), "ms": np.float32(0.01),
        "mz": np.int8(0), "zs": np.float32(1.5), "zz": np.uint8(100),
    }  # fmt: skip
    nodes = [
        make_node("QuantizeLinear", ["x", "xs", "xz"], ["a"]),
        make_node("QLinearConv", ["a", "xs", "xz", "w", "ws", "wz", "ys", "yz", "bias"], ["c"]),
        make_node("Flatten", ["c"], ["f"]),
        make_node("QLinearMatMul", ["f", "ys", "yz", "m", "ms", "mz", "zs", "zz"], ["d"]),
        make_node("DequantizeLinear", ["d", "zs", "zz"], ["y"]),
    ]
    path = save(nodes, {"x": (3, 8, 8)}, constants)
    x = rng.normal(size=(16, 3, 8, 8)).astype(np.float32)
    content = compile_model(path, load_chip("digital"), {"x": x})
    outputs = Emulator(content).run(encode_inputs(content, {"x": x}))
    [got] = decode_outputs(content, outputs).values()
    [want] = onnxruntime.InferenceSession(path).run(None, {"x": x})
    assert np.abs(got - want).max() <= 1.5 * 1.01  # one step


def test_integer_operators_after_dynamic_quantisation(save):
    rng = np.random.default_rng(12)
    w = rng.integers(-60, 60, (4, 3, 3, 3)).astype(np.int8)
    constants = {
        "w": w, "wz": np.int8(3), "ws": np.float32(0.01),
        "m": rng.integers(70, 190, (144, 5)).astype(np.uint8), "mz": np.uint8(128),
    }  # fmt: skip
    nodes = [
        make_node("DynamicQuantizeLinear", ["x"], ["a", "s", "z"]),
        make_node("ConvInteger", ["a", "w", "z", "wz"], ["c"]),
        make_node("Cast", ["c"], ["d"], to=TensorProto.FLOAT),
        make_node("Mul", ["s", "ws"], ["p"]),
        make_node("Mul", ["d", "p"], ["e"]),
        make_node("Flatten", ["e"], ["f"]),
        make_node("DynamicQuantizeLinear", ["f"], ["g", "t", "u"]),
        make_node("MatMulInteger", ["g", "m", "u", "mz"], ["h"]),
        make_node("Cast", ["h"], ["i"], to=TensorProto.FLOAT),
        make_node("Mul", ["i", "t"], ["y"]),
    ]
    path = save(nodes, {"x": (3, 8, 8)}, constants)
    x = rng.normal(size=(16, 3, 8, 8)).astype(np.float32)
    content = compile_model(path, load_chip("digital"), {"x": x})
    outputs = Emulator(content).run(encode_inputs(content, {"x": x}))
    [got] = decode_outputs(content, outputs).values()
    session = onnxruntime.InferenceSession(path)
    want = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])
    assert 10 * np.log10(np.square(want).sum() / np.square(got - want).sum()) > 30


def test_integer_operators_on_integer_inputs(save):
    rng = np.random.default_rng(12)
    w = rng.integers(-60, 60, (6, 4)).astype(np.int8)
    nodes = [
        make_node("MatMulInteger", ["x", "w", "z"], ["c"]),
        make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT),
    ]
    path = save(nodes, {"x": (6,)}, {"w": w, "z": np.uint8(7)}, types={"x": TensorProto.UINT8})
    x = rng.integers(0, 255, (32, 6)).astype(np.uint8)
    content = compile_model(path, load_chip("digital"), {"x": x})
    outputs = Emulator(content).run(encode_inputs(content, {"x": x}))
    [got] = decode_outputs(content, outputs).values()
    [want] = onnxruntime.InferenceSession(path).run(None, {"x": x})
    assert 10 * np.log10(np.square(want).sum() / np.square(got - want).sum()) > 25
