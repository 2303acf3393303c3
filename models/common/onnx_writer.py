"""Writes small ONNX graphs node by node, with the weights of torch layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13

Shape = Sequence[int | str]


class Writer:
    """Collects nodes; every method returns the name of the tensor that its node writes.

    inputs   name -> shape; a str is a dimension left open
    """

    def __init__(self, name: str, inputs: Mapping[str, Shape]) -> None:
        self.name = name
        self._inputs = dict(inputs)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []

    def add(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, list(inputs), [name], f"{name}_node", **attributes))
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def conv(self, x: str, name: str, layer: Any) -> str:
        """layer   torch.nn.Conv2d with a bias, normalisation folded into it"""
        (y, z) = layer.padding
        return self.add(
            "Conv",
            [x, *self._parameters(name, layer)],
            name,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[y, z, y, z],
            group=layer.groups,
        )

    def dense(self, x: str, name: str, layer: Any) -> str:
        """layer   torch.nn.Linear with a bias; x (N, in_features)"""
        return self.add("Gemm", [x, *self._parameters(name, layer)], name, transB=1)

    def gru(self, x: str, state: str, name: str, layer: Any) -> str:
        """layer   torch.nn.GRU of one layer; x (steps, N, in), state (1, N, size)

        Returns the last state (1, N, size).
        """
        weights = [
            self.constant(f"{name}.{short}", _reorder(_values(layer, f"weight_{kind}_l0"))[None])
            for short, kind in (("w", "ih"), ("r", "hh"))
        ]
        biases = [_reorder(_values(layer, f"bias_{kind}_l0")) for kind in ("ih", "hh")]
        weights.append(self.constant(f"{name}.b", np.concatenate(biases)[None]))
        node = helper.make_node(
            "GRU",
            [x, *weights, "", state],
            ["", name],
            f"{name}_node",
            hidden_size=layer.hidden_size,
            linear_before_reset=1,
        )
        self._nodes.append(node)
        return name

    def save(self, path: Path, outputs: Mapping[str, Shape]) -> None:
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [_port(name, shape) for name, shape in self._inputs.items()],
            [_port(name, shape) for name, shape in outputs.items()],
            self._weights,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="norcim")
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))

    def _parameters(self, name: str, layer: Any) -> list[str]:
        parts = ("weight", "bias")
        return [self.constant(f"{name}.{part}", _values(layer, part)) for part in parts]


def _values(layer: Any, name: str) -> np.ndarray:
    return np.asarray(getattr(layer, name).detach().numpy(), np.float32)


def _reorder(values: np.ndarray) -> np.ndarray:
    """Gates reset, update, new (torch) as update, reset, new (ONNX)."""
    reset, update, new = np.split(values, 3)
    return np.concatenate([update, reset, new])


def _port(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
