"""Constant folding: nodes whose inputs are all known are evaluated by onnx's own reference.

The size of a result is bounded before anything is evaluated, so that a model of a few bytes
cannot ask for terabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

from norcim.errors import NorcimError
from norcim.frontend.builder import check_budget
from norcim.frontend.load import Node, damaged
from norcim.frontend.values import BATCH, Const, Unsupported

Array = npt.NDArray[Any]
Bound = Callable[[Sequence[Array], Mapping[str, Any]], int]


def _broadcast(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    return prod(np.broadcast_shapes(*(a.shape for a in arrays))) if arrays else 1


def _total(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    return sum(a.size for a in arrays)


def _first_as_shape(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    return prod(int(d) for d in arrays[0].reshape(-1))


def _expand(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    wanted = tuple(int(d) for d in arrays[1].reshape(-1))
    shape = wanted[::-1]
    have = arrays[0].shape[::-1]
    rank = max(len(shape), len(have))
    return prod(
        max(shape[i] if i < len(shape) else 1, have[i] if i < len(have) else 1) for i in range(rank)
    )


def _tile(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    return arrays[0].size * prod(int(d) for d in arrays[1].reshape(-1))


def _range(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    start, limit, delta = (float(a) for a in arrays)
    return int(max(0.0, np.ceil((limit - start) / delta))) if delta else 0


def _pad(arrays: Sequence[Array], attrs: Mapping[str, Any]) -> int:
    pads = arrays[1].reshape(-1) if len(arrays) > 1 else np.array(attrs["pads"])
    rank = arrays[0].ndim
    return prod(
        size + int(pads[axis]) + int(pads[axis + rank]) for axis, size in enumerate(arrays[0].shape)
    )


def _gather(arrays: Sequence[Array], attrs: Mapping[str, Any]) -> int:
    axis = attrs.get("axis", 0)
    return int(arrays[0].size // max(1, arrays[0].shape[axis]) * arrays[1].size)


def _matmul(arrays: Sequence[Array], _attrs: Mapping[str, Any]) -> int:
    a, b = arrays[0], arrays[1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return prod(batch) * prod(a.shape[-2:-1]) * (b.shape[-1] if b.ndim > 1 else 1)


def _gemm(arrays: Sequence[Array], attrs: Mapping[str, Any]) -> int:
    a, b = arrays[0], arrays[1]
    return int(a.shape[1 if attrs.get("transA") else 0] * b.shape[0 if attrs.get("transB") else 1])


_ELEMENTWISE = """
    Abs Add And Cast Ceil Clip Div Equal Erf Exp Flatten Floor Greater GreaterOrEqual Identity Less
    LessOrEqual Log Max Min Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Sigmoid Sign Sqrt Sub
    Sum Tanh Where
"""
_NO_LARGER = """
    Concat ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Shape Size Slice Split
    Squeeze Transpose Unsqueeze
"""

FOLDABLE: Mapping[str, Bound] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _broadcast),
    **dict.fromkeys(_NO_LARGER.split(), _total),
    "ConstantOfShape": _first_as_shape,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Pad": _pad,
    "Range": _range,
    "Tile": _tile,
}
"""Operation -> upper bound of the elements that its evaluation makes."""

_CARRIES_BATCH = {
    "Cast",
    "Concat",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Unsqueeze",
}


def constant_node(node: Node) -> Const:
    """The value of a Constant node, whichever attribute holds it."""
    for name, dtype in (
        ("value", None),
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in node.attrs:
            return Const(np.asarray(node.attrs[name], dtype))
    raise Unsupported("Constant without a numeric value", "remove it from the graph")


def fold(node: Node, inputs: Sequence[Const | None], opset: int) -> list[Const]:
    """Evaluate a node on constants; one result per output.

    Raises Unsupported for a node that is not in FOLDABLE, NC-E0206 if its result is too large.
    """
    if node.op not in FOLDABLE or node.domain:
        raise Unsupported("it works on constants and cannot be folded", "fold it with onnxsim")
    present = [const.array for const in inputs if const is not None]
    symbolic = any(const is not None and const.symbolic for const in inputs)
    if symbolic and node.op == "ConstantOfShape":  # one for all samples, whatever their number
        inputs = [Const(np.where(array == BATCH, 1, array)) for array in present]
        present, symbolic = [const.array for const in inputs if const is not None], False
    if symbolic and node.op not in (*_CARRIES_BATCH, "Shape", "Size"):
        raise Unsupported(
            "it computes with the batch size, which is not known",
            "export with a fixed batch size of 1",
        )
    try:
        check_budget(FOLDABLE[node.op](present, node.attrs), node.name)
        results = evaluate_node(node, inputs, opset)
    except NorcimError:
        raise
    except Exception as error:  # onnx's reference raises whatever its numpy code meets
        raise damaged(node.name, f"{node.op} of constants fails: {error}") from error
    return [Const(array, symbolic=symbolic and bool((array == BATCH).any())) for array in results]


def evaluate_node(node: Node, inputs: Sequence[Const | None], opset: int) -> list[Array]:
    """What onnx's reference makes of constant inputs; the caller has bounded the result."""
    from onnx.reference import ReferenceEvaluator  # slow to import, and rarely needed

    names = ["" if const is None else f"i{k}" for k, const in enumerate(inputs)]
    outputs = [f"o{k}" for k in range(len(node.outputs))]
    attrs = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attrs.items()
    }
    proto = helper.make_node(node.op, names, outputs, **attrs)
    feeds = {f"i{k}": _narrow(const.array) for k, const in enumerate(inputs) if const is not None}
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    blank = [helper.make_tensor_value_info(name, 0, None) for name in outputs]
    graph = helper.make_graph([proto], "fold", infos, blank)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        results = ReferenceEvaluator(model).run(None, feeds)
    return [_narrow(np.asarray(result)) for result in results]


def _narrow(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float64 else array
