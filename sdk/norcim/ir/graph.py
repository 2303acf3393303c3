"""The intermediate representation between the ONNX front end and the mapper.

A graph is channels last: every activation tensor is (h, w, c) per sample, the batch is implied.
A vector of K features is (1, 1, K); a 1-D sequence of L steps is (L, 1, C). Weights are real
numbers (float32); a QDQ model also carries the integer codes that it was quantised to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class QParams:
    """real = scale * (code - zero_point); codes are int8 if signed, else uint8."""

    scale: float
    zero_point: int
    signed: bool

    @property
    def lo(self) -> int:
        """Smallest code."""
        return -128 if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest code."""
        return 127 if self.signed else 255


@dataclass(frozen=True)
class WeightCodes:
    """Integer weights that a QDQ model brings: weight = scale * codes (zero point 0).

    codes  int8, same shape as Op.weight
    scale  float64, (c_out,), one per output channel
    """

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tensor:
    """An activation tensor; qparams is set where a QDQ model (or the quantiser) fixes it."""

    name: str
    shape: Shape
    qparams: QParams | None = None


@dataclass(frozen=True)
class Op:
    """One operation; kind is a key of `norcim.ir.ops.OPS`, which lists attributes and meaning.

    conv    weight (kh, kw, c_in / groups, c_out), bias (c_out,) or None
    node    name of the ONNX node (or nodes, joined by +) that it comes from, for messages
    """

    kind: str
    node: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    weight: Floats | None = None
    bias: Floats | None = None
    weight_codes: WeightCodes | None = None


@dataclass(frozen=True)
class Port:
    """A graph input or output as the ONNX model shows it.

    shape   per-sample ONNX shape, without the batch dimension
    perm    hwc = array.transpose(perm).reshape(tensor.shape), per sample
    codes   "float32", or "int8" / "uint8" if the model's own interface is integer codes
    name    what the model calls it; empty where that is the tensor's name
    fine    1; or the tensor has twice the channels: whole steps, and what is left of a value in
            steps of 1 / fine of those
    level   of an input: every sample is divided by its largest magnitude, or by `level` if that is
            less; 0: by nothing
    levels  of an output: tensors of the inputs by whose divisors it is multiplied
    """

    tensor: str
    shape: tuple[int, ...]
    perm: tuple[int, ...]
    codes: str = "float32"
    name: str = ""
    fine: int = 1
    level: float = 0.0
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Operations in execution order; every tensor is a graph input or the output of one op."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]


def repeated_weights(graph: Graph) -> dict[str, str]:
    """Convolutions that do what an earlier one does, on another tensor: output to its output.

    Equal weights, bias and attributes, inputs and outputs of equal shapes.
    """
    first: dict[object, str] = {}
    found: dict[str, str] = {}
    for op in graph.ops:
        if op.kind != "conv" or op.weight is None:
            continue
        bias = None if op.bias is None else op.bias.tobytes()
        shapes = (graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape)
        attrs = repr(sorted(op.attrs.items()))
        key = (op.weight.shape, op.weight.tobytes(), bias, op.weight_codes is None, shapes, attrs)
        leader = first.setdefault(key, op.output)
        if leader != op.output:
            found[op.output] = leader
    return found
