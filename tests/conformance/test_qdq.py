"""A QDQ layer on the `digital` chip against onnxruntime: at most one step apart, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.runtime import compile_model, decode_outputs, encode_inputs

CHANNELS, SIDE, SAMPLES = 12, 9, 32
Init = dict[str, np.ndarray[Any, Any]]


class Model:
    """A layer between DequantizeLinear and QuantizeLinear nodes."""

    def __init__(self, rng: np.random.Generator, *, per_channel: bool) -> None:
        self.rng, self.per_channel = rng, per_channel
        self.nodes: list[NodeProto] = []
        self.init: Init = {}

    def put(self, name: str, value: Any) -> str:
        """An initialiser."""
        self.init[name] = np.asarray(value)
        return name

    def scale(self, name: str, scale: Any, zero: Any) -> list[str]:
        """Names of a scale and a zero point."""
        return [self.put(f"{name}_s", np.float32(scale)), self.put(f"{name}_z", zero)]

    def real(self, name: str, scale: Any, zero: Any, **attributes: Any) -> str:
        """The real values of codes."""
        inputs = [name, *self.scale(name, scale, zero)]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_r"], **attributes))
        return f"{name}_r"

    def weight(self, shape: tuple[int, ...], axis: int) -> list[str]:
        """Real weight and bias of int8 and int32 codes."""
        n = shape[axis]
        scales = self.rng.uniform(0.5, 2, n) * 0.01 if self.per_channel else 0.01
        kind = {"axis": axis} if self.per_channel else {}
        zeros = np.zeros(n, np.int8) if self.per_channel else np.int8(0)
        self.put("w", self.rng.integers(-127, 128, shape).astype(np.int8))
        self.put("b", self.rng.integers(-3000, 3000, n).astype(np.int32))
        wide = np.zeros(n, np.int32) if self.per_channel else np.int32(0)
        bias_kind = {"axis": 0} if self.per_channel else {}
        return [
            self.real("w", scales, zeros, **kind),
            self.real("b", np.asarray(scales) * 0.05, wide, **bias_kind),
        ]


def build(kind: str, unsigned: bool, per_channel: bool) -> tuple[onnx.ModelProto, Init]:
    """The model and its input codes, by name."""
    rng = np.random.default_rng(len(kind) + 2 * unsigned + per_channel)
    model = Model(rng, per_channel=per_channel)
    code = np.uint8 if unsigned else np.int8
    lo, zero_in, zero_out = (0, 7, 131) if unsigned else (-128, -5, 3)
    flat = kind == "gemm"
    shape = (CHANNELS,) if flat else (CHANNELS, SIDE, SIDE)
    x = model.real("x", 0.05, code(zero_in))
    out_scale = 0.4 if kind in ("conv", "gemm", "depthwise") else 0.07
    extra: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    if kind == "conv":
        node = helper.make_node("Conv", [x, *model.weight((10, CHANNELS, 3, 3), 0)], ["r"], **extra)
    elif kind == "depthwise":
        parts = model.weight((CHANNELS, 1, 3, 3), 0)
        node = helper.make_node("Conv", [x, *parts], ["r"], group=CHANNELS, **extra)
    elif kind == "gemm":
        node = helper.make_node("Gemm", [x, *model.weight((10, CHANNELS), 0)], ["r"], transB=1)
    elif kind == "add":
        other = model.real("x2", 0.031, code(zero_in + 9))
        node = helper.make_node("Add", [x, other], ["r"])
    elif kind == "average":
        node = helper.make_node("AveragePool", [x], ["r"], kernel_shape=[3, 3], strides=[2, 2])
    else:
        out_scale, zero_out = 0.05, zero_in
        node = helper.make_node("MaxPool", [x], ["r"], kernel_shape=[3, 3], strides=[2, 2])
    model.nodes.append(node)
    scale = model.scale("y", out_scale, code(zero_out))
    model.nodes.append(helper.make_node("QuantizeLinear", ["r", *scale], ["y"]))
    element = TensorProto.UINT8 if unsigned else TensorProto.INT8
    names = ("x", "x2") if kind == "add" else ("x",)
    graph = helper.make_graph(
        model.nodes, kind,
        [helper.make_tensor_value_info(name, element, ["n", *shape]) for name in names],
        [helper.make_tensor_value_info("y", element, None)],
        [numpy_helper.from_array(value, name) for name, value in model.init.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    codes = {name: rng.integers(lo, lo + 256, (SAMPLES, *shape)).astype(code) for name in names}
    return onnx.shape_inference.infer_shapes(proto), codes


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "gemm", "add", "average", "max"])
def test_a_layer_is_within_a_step_of_onnxruntime(
    kind: str, per_channel: bool, unsigned: bool, tmp_path: Path
) -> None:
    proto, codes = build(kind, unsigned, per_channel)
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    due = session.run(None, codes)[0].astype(int)
    content = compile_model(path, load_chip("digital"))
    found = decode_outputs(content, Emulator(content).run(encode_inputs(content, codes)))
    apart = np.abs(found["y"].astype(int).reshape(due.shape) - due)
    assert len(np.unique(due)) > 50
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.02
