"""Conv, Gemm, MatMul, BatchNormalization, and the scale-and-shift that constants amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from norcim.frontend.call import Array, Call
from norcim.frontend.values import (
    Codes,
    Const,
    MovesBatch,
    Unsupported,
    Value,
    View,
    contiguous,
    element_order,
)
from norcim.frontend.windows import Window, window
from norcim.ir.graph import Floats, Shape, WeightCodes
from norcim.ir.window import NO_PADS, out_sizes

_POINTWISE = {"stride": (1, 1), "dilation": (1, 1), "pads": NO_PADS, "clamp": None}


def conv(call: Call) -> Value:
    """1-D and 2-D convolution, grouped and depthwise."""
    x, weight, codes = call.real(0), *weight_of(call, 1)
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise Unsupported(f"{rank}-D convolution; 1-D and 2-D are supported")
    if len(x.shape) != rank + 1:
        raise ValueError(f"weight {weight.shape} for an input of {x.shape} per sample")
    groups = int(call.attr("group", 1))
    h, w = (*x.shape[1:], 1)[:2]
    win = window(call, weight.shape[2:], (h, w))
    return emit_conv(call, x, weight, codes, win, groups)


def emit_conv(
    call: Call, x: View, weight: Array, codes: Codes | None, win: Window, groups: int
) -> View:
    """A convolution of (c, spatial...) with a weight (c_out, c_in / groups, k...), bias input 2."""
    rank = weight.ndim - 2
    tensor = call.builder.materialise(x, ([1], [2] if rank == 2 else [], [0]), call.node.name)
    h, w, c_in = call.builder.tensors[tensor].shape
    if weight.shape[1] * groups != c_in or weight.shape[0] % groups:
        raise ValueError(f"weight {weight.shape} does not fit {c_in} channels, {groups} groups")
    out = out_sizes((h, w), win.kernel, win.stride, win.dilation, win.pads)
    ir_weight, ir_codes = _to_ir(weight, codes, rank)
    output = call.builder.emit(
        "conv",
        call.node.name,
        [tensor],
        (*out, weight.shape[0]),
        {
            "stride": win.stride,
            "dilation": win.dilation,
            "pads": win.pads,
            "groups": groups,
            "clamp": None,
        },
        name=call.node.outputs[0],
        weight=ir_weight,
        bias=_bias(call, 2, weight.shape[0]),
        weight_codes=ir_codes,
    )
    shape = (*out, weight.shape[0]) if rank == 2 else (out[0], weight.shape[0])
    return contiguous(output, shape).permuted((rank, *range(rank)))


def _to_ir(weight: Array, codes: Codes | None, rank: int) -> tuple[Floats, WeightCodes | None]:
    """ONNX (c_out, c_in, k...) to (kh, kw, c_in, c_out)."""

    def turn(array: Array) -> Array:
        wide = array[..., None] if rank == 1 else array
        return wide.transpose(2, 3, 1, 0)

    ir_codes = None if codes is None else per_channel_codes(map_codes(codes, turn))
    return np.ascontiguousarray(turn(weight), np.float32), ir_codes


def map_codes(codes: Codes, change: Any) -> Codes:
    """The same codes with their elements moved by `change`."""
    return Codes(change(codes.codes), change(codes.scale), change(codes.zero_point))


def per_channel_codes(codes: Codes) -> WeightCodes | None:
    """Weight codes with one scale per last axis and zero point 0.

    None if the scale varies along another axis, or if moving the zero point to 0 leaves int8: the
    real weights are quantised anew then.
    """
    axes = tuple(range(codes.scale.ndim - 1))
    scale = codes.scale.max(axis=axes)
    if (codes.scale.min(axis=axes) != scale).any():
        return None
    centred = codes.codes.astype(np.int64) - codes.zero_point
    if centred.min(initial=0) < -128 or centred.max(initial=0) > 127:
        return None
    return WeightCodes(np.ascontiguousarray(centred, np.int8), np.array(scale, np.float64))


def weight_of(call: Call, index: int) -> tuple[Array, Codes | None]:
    """A constant input that must be there, with the codes behind it."""
    const = call.const(index)
    if const is None:
        raise ValueError(f"input {index} is missing")
    return call.finite(const.array), const.codes


def _bias(call: Call, index: int, size: int, factor: float = 1.0) -> Floats | None:
    array = call.numbers(index)
    if array is None:
        return None
    if array.size not in (1, size):
        raise Unsupported(f"a bias of shape {array.shape} for {size} outputs")
    return np.broadcast_to(array.reshape(-1) * factor, (size,)).astype(np.float32)


def gemm(call: Call) -> Value:
    """alpha * x @ weight + beta * bias for a vector per sample."""
    x, weight, codes = call.real(0), *weight_of(call, 1)
    alpha, beta = float(call.attr("alpha", 1.0)), float(call.attr("beta", 1.0))
    if weight.ndim != 2:
        raise ValueError(f"a weight of shape {weight.shape}, not a matrix")
    if x.whole and len(x.shape) == 2:
        x = x.permuted((1, 0)) if call.attr("transA", 0) else x
    elif call.attr("transA", 0) or len(x.shape) != 1:
        raise MovesBatch("it multiplies across the batch (transA)", "export it with transA=0")
    if call.attr("transB", 0):
        weight = weight.T
        codes = None if codes is None else map_codes(codes, np.transpose)
    if alpha != 1.0:
        weight = weight * alpha
        codes = replace(codes, scale=codes.scale * alpha) if codes and alpha > 0 else None
    bias = call.numbers(2)
    if x.whole and bias is not None and bias.size not in (1, weight.shape[1]):  # one a row
        rows = product(call, x, weight, codes, None)
        return affine(call, rows, np.ones(()), beta * bias.astype(np.float64))
    return product(call, x, weight, codes, _bias(call, 2, weight.shape[1], beta))


def matmul(call: Call) -> Value:
    """Product with a constant matrix on either side."""
    if isinstance(call.value(0), Const):
        return _matmul_left(call)
    if not isinstance(call.value(1), Const):
        raise Unsupported("it multiplies two activations")
    x, weight, codes = call.real(0), *weight_of(call, 1)
    while 2 < weight.ndim <= len(x.shape) + 1 and weight.shape[0] == 1:
        weight = weight[0]
        codes = None if codes is None else map_codes(codes, lambda a: a[0])
    if weight.ndim < 2 or not x.shape:
        raise Unsupported(f"a constant of shape {weight.shape}; matrices are supported")
    if weight.ndim > 2:
        return _stacked_product(call, x, weight, codes)
    return product(call, x, weight, codes, None)


def _matmul_left(call: Call) -> Value:
    """weight (..., M, K) @ x (..., K, T): a pointwise convolution over T."""
    x, weight, codes = call.real(1), *weight_of(call, 0)
    if weight.ndim < 2 or len(x.shape) < 2:
        raise Unsupported(f"a constant {weight.shape} times an activation {x.shape}")
    turned = None if codes is None else map_codes(codes, _turned)
    multiply = _stacked_product if weight.ndim > 2 else _product
    result = multiply(call, _view_turned(x), _turned(weight), turned)
    return _view_turned(result)


def _turned(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)


def _view_turned(x: View) -> View:
    last = len(x.axes) - 1
    return x.permuted((*range(last - 1), last, last - 1))


def _product(call: Call, x: View, weight: Array, codes: Codes | None) -> View:
    return product(call, x, weight, codes, None)


def _stacked_product(call: Call, x: View, weight: Array, codes: Codes | None) -> View:
    """x (..., M, K) @ weight (..., K, N), a matrix for each outer index: a grouped convolution.

    Where the activation has no such axis, or one of size 1, every matrix takes all of it.
    """
    outer, inputs, outputs = weight.shape[:-2], weight.shape[-2], weight.shape[-1]
    n, is_vector = len(outer), len(x.shape) == 1
    if n > len(x.shape) - 2 and not x.whole:
        raise MovesBatch(f"a matrix a sample, {weight.shape}", "fix the batch to 1")
    x = replace(x, axes=((),) * (n + 2 - len(x.shape)) + x.axes)  # a vector is a row
    own = x.shape[-2 - n : -2]
    if x.shape[-1] != inputs or own not in (outer, (1,) * n):
        raise Unsupported(f"matrices {weight.shape} times an activation {x.shape}")
    groups = prod(own)

    def columns(array: Array) -> Array:  # (K, all outputs)
        return np.moveaxis(array.reshape(-1, inputs, outputs), 0, 1).reshape(inputs, -1)

    last = len(x.shape) - 1
    first = [*range(last - 1 - n)]
    tensor = call.builder.materialise(
        x, (first, [last - 1], [*range(last - 1 - n, last - 1), last]), call.node.name
    )
    h, w, _ = call.builder.tensors[tensor].shape
    flat = None if codes is None else map_codes(codes, lambda a: columns(a)[None, None])
    output = call.builder.emit(
        "conv", call.node.name, [tensor], (h, w, prod(outer) * outputs),
        {**_POINTWISE, "groups": groups}, name=call.node.outputs[0],
        weight=np.ascontiguousarray(columns(weight)[None, None], np.float32),
        weight_codes=None if flat is None else per_channel_codes(flat),
    )  # fmt: skip
    lead = [x.shape[axis] for axis in first]
    result = contiguous(output, (*lead, x.shape[-2], *outer, outputs))
    k = len(first)
    result = result.permuted((*range(k), *range(k + 1, k + 1 + n), k, k + 1 + n))
    kept = [axis for axis in range(k + 2 + n) if not (is_vector and axis == k + n)]
    return replace(result.permuted(kept), whole=x.whole)


def product(call: Call, x: View, weight: Array, codes: Codes | None, bias: Floats | None) -> View:
    """x (..., K) @ weight (K, M) as a 1x1 convolution; its view is (..., M)."""
    if x.shape[-1] != weight.shape[0]:
        raise ValueError(f"{x.shape} times {weight.shape}")
    builder, node = call.builder, call.node.name
    if len(x.shape) == 1:
        x, weight, codes = _permute_rows(x, weight, codes)
    last = len(x.shape) - 1
    inner = [last - 1] if last == 2 else []
    outer = [axis for axis in range(last) if axis not in inner]
    tensor = builder.materialise(x, (outer, inner, [last]), node)
    h, w, _ = builder.tensors[tensor].shape
    output = builder.emit(
        "conv",
        node,
        [tensor],
        (h, w, weight.shape[1]),
        {**_POINTWISE, "groups": 1},
        name=call.node.outputs[0],
        weight=np.ascontiguousarray(weight[None, None], np.float32),
        bias=bias,
        weight_codes=None
        if codes is None
        else per_channel_codes(map_codes(codes, lambda a: a[None, None])),
    )
    return contiguous(output, (*x.shape[:-1], weight.shape[1]))


def _permute_rows(x: View, weight: Array, codes: Codes | None) -> tuple[View, Array, Codes | None]:
    """Reorder the weight's rows to how a flattened tensor lies, instead of the tensor."""
    factors = x.flat()
    if factors in ((), ((x.shape[0], 1),)):
        return x, weight, codes
    rows = np.argsort(element_order(factors))
    turned = None if codes is None else map_codes(codes, lambda a: a[rows])
    return replace(x, axes=(((x.shape[0], 1),),)), weight[rows], turned


def batch_normalization(call: Call) -> Value:
    """Inference-time normalisation: one scale and shift per channel."""
    x = call.real(0)
    gamma, beta, mean, var = (_vector(call, index) for index in (1, 2, 3, 4))
    if call.attr("training_mode", 0):
        raise Unsupported("it is in training mode", "export the model in evaluation mode")
    scale = call.finite(gamma / np.sqrt(var + float(call.attr("epsilon", 1e-5))))
    shape = (-1, *[1] * (len(x.shape) - 1))
    return affine(call, x, scale.reshape(shape), (beta - mean * scale).reshape(shape))


def _vector(call: Call, index: int) -> Array:
    array = call.numbers(index)
    if array is None:
        raise ValueError(f"input {index} is missing")
    return array.astype(np.float64)


def affine(call: Call, x: View, scale: Array, shift: Array) -> View:
    """x * scale + shift for constants that broadcast to x, as a 1x1 depthwise convolution."""
    builder, node = call.builder, call.node.name
    shape = builder.tensors[x.tensor].shape
    pair = [_in_memory(x, array, shape) for array in (scale, shift)]
    if any((array != array[:1, :1]).any() for array in pair):
        flat = (1, 1, int(np.prod(shape)))
        x = builder.emit_elementwise_reshape(x, flat, node)
        pair = [np.broadcast_to(array, shape).reshape(flat) for array in pair]
    c = pair[0].shape[2]
    weight = np.ascontiguousarray(pair[0][:1, :1, None, :], np.float32)
    bias = np.ascontiguousarray(pair[1][0, 0], np.float32)
    call.finite(weight)
    return builder.emit_elementwise(
        "conv",
        node,
        x,
        {**_POINTWISE, "groups": c},
        name=call.node.outputs[0],
        weight=weight,
        bias=bias if bias.any() else None,
    )


def _in_memory(x: View, array: Array, shape: Shape) -> Array:
    """A constant that broadcasts to the ONNX shape of x, as its tensor lies: (h, w, c)."""
    aligned = align(array, x.shape)
    if aligned.size == 1:
        return np.full((1, 1, shape[2]), aligned.reshape(-1)[0], np.float64)
    memory = np.empty(int(np.prod(shape)), np.float64)
    memory[element_order(x.flat())] = np.broadcast_to(aligned, x.shape).reshape(-1)
    return memory.reshape(shape)


def align(array: Array, shape: Sequence[int]) -> Array:
    """A constant without its batch axis, if it broadcasts to the per-sample shape.

    Raises Unsupported if it would make the result larger than the activation.
    """
    rank = len(shape)
    if array.ndim == rank + 1 and array.shape[0] == 1:
        array = array[0]
    sizes = array.shape[::-1]
    if array.ndim > rank or any(
        size not in (1, shape[rank - 1 - i]) for i, size in enumerate(sizes)
    ):
        raise Unsupported(f"a constant of shape {array.shape} enlarges an activation {shape}")
    return array
