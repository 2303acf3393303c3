"""Float evaluation of the IR operations on batches, numpy only.

Every kernel takes (op, inputs, out_shape): inputs are float32 (n, h, w, c), out_shape is the
(h, w, c) of the result. They are written for speed on small networks: one sgemm per convolution,
depthwise and pooling by kernel position.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from norcim.ir.functions import apply_table
from norcim.ir.graph import Floats, Op, Shape
from norcim.ir.window import NO_PADS, Pads, taps


def _pad(x: Floats, pads: Pads, value: float) -> Floats:
    if pads == NO_PADS:
        return x
    top, left, bottom, right = pads
    n, h, w, c = x.shape
    out = np.full((n, h + top + bottom, w + left + right, c), value, np.float32)
    out[:, top : top + h, left : left + w] = x
    return out


def _clamp(x: Floats, clamp: tuple[float, float] | None) -> Floats:
    """Clamp in place; `x` is always a kernel's own fresh result."""
    if clamp is None:
        return x
    return np.clip(x, np.float32(clamp[0]), np.float32(clamp[1]), out=x)


def _im2col(x: Floats, op: Op, kernel: tuple[int, int], out: tuple[int, int]) -> Floats:
    """(n * oh * ow, kh * kw * c) from a padded input, channel fastest."""
    stride, dilation = op.attrs["stride"], op.attrs["dilation"]
    n, _, _, c = x.shape
    if kernel == (1, 1) and stride == (1, 1):
        return x.reshape(-1, c)
    columns = np.empty((n, *out, *kernel, c), np.float32)
    for ky, kx, rows, cols in taps(kernel, stride, dilation, out):
        columns[:, :, :, ky, kx] = x[:, rows, cols]
    return columns.reshape(n * out[0] * out[1], -1)


def _depthwise(x: Floats, op: Op, weight: Floats, out_shape: Shape) -> Floats:
    kernel, out = (weight.shape[0], weight.shape[1]), (out_shape[0], out_shape[1])
    if out_shape[2] != x.shape[3]:
        x = np.repeat(x, out_shape[2] // x.shape[3], axis=3)
    result = np.zeros((x.shape[0], *out_shape), np.float32)
    product = np.empty_like(result)
    for ky, kx, rows, cols in taps(kernel, op.attrs["stride"], op.attrs["dilation"], out):
        np.multiply(x[:, rows, cols], weight[ky, kx, 0], out=product)
        result += product
    return result


def _dense(x: Floats, op: Op, weight: Floats, out_shape: Shape) -> Floats:
    kernel, groups = (weight.shape[0], weight.shape[1]), op.attrs["groups"]
    parts = []
    for xg, wg in zip(np.split(x, groups, axis=3), np.split(weight, groups, axis=3), strict=True):
        columns = _im2col(np.ascontiguousarray(xg), op, kernel, out_shape[:2])
        parts.append(columns @ wg.reshape(-1, wg.shape[3]))
    result = parts[0] if groups == 1 else np.concatenate(parts, axis=1)
    return result.reshape(x.shape[0], *out_shape)


def conv(op: Op, inputs: Sequence[Floats], out_shape: Shape) -> Floats:
    """Convolution, depthwise when groups == c_in; Gemm is a 1x1 convolution of (1, 1, K)."""
    weight = op.weight
    assert weight is not None
    x = _pad(inputs[0], op.attrs["pads"], 0.0)
    groups = op.attrs["groups"]
    depthwise = groups > 1 and groups == x.shape[3]
    result = (_depthwise if depthwise else _dense)(x, op, weight, out_shape)
    if op.bias is not None:
        result += op.bias
    return _clamp(result, op.attrs["clamp"])


def add(op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Elementwise sum of two tensors of one shape."""
    return _clamp(inputs[0] + inputs[1], op.attrs["clamp"])


def mul(op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Elementwise product of two tensors of one shape."""
    return _clamp(inputs[0] * inputs[1], op.attrs["clamp"])


def maxpool(op: Op, inputs: Sequence[Floats], out_shape: Shape) -> Floats:
    """Largest value of each window; positions outside the input never win."""
    x = _pad(inputs[0], op.attrs["pads"], -np.inf)
    result = np.full((x.shape[0], *out_shape), -np.inf, np.float32)
    attrs = op.attrs
    for _, _, rows, cols in taps(
        attrs["kernel"], attrs["stride"], attrs["dilation"], out_shape[:2]
    ):
        np.maximum(result, x[:, rows, cols], out=result)
    return result


def window_counts(op: Op, size: tuple[int, int], out: tuple[int, int]) -> Floats:
    """How many positions each average-pool window divides by, float32 (oh, ow, 1)."""
    kernel, attrs = op.attrs["kernel"], op.attrs
    if attrs["count_include_pad"]:
        return np.full((*out, 1), kernel[0] * kernel[1], np.float32)
    inside = _pad(np.ones((1, *size, 1), np.float32), attrs["pads"], 0.0)
    counts = np.zeros((*out, 1), np.float32)
    for _, _, rows, cols in taps(kernel, attrs["stride"], (1, 1), out):
        counts += inside[0, rows, cols]
    return np.maximum(counts, 1.0)


def avgpool(op: Op, inputs: Sequence[Floats], out_shape: Shape) -> Floats:
    """Mean of each window."""
    x, attrs, out = inputs[0], op.attrs, out_shape[:2]
    size = (x.shape[1], x.shape[2])
    if attrs["kernel"] == size and attrs["pads"] == NO_PADS:
        return np.asarray(x.mean(axis=(1, 2), keepdims=True), np.float32)
    padded = _pad(x, attrs["pads"], 0.0)
    total = np.zeros((x.shape[0], *out_shape), np.float32)
    for _, _, rows, cols in taps(attrs["kernel"], attrs["stride"], (1, 1), out):
        total += padded[:, rows, cols]
    total /= window_counts(op, size, out)
    return total


def clip(op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Clamp to a range; without a clamp, the identity (a change of quantisation only)."""
    return _clamp(inputs[0].copy(), op.attrs["clamp"])


def table(op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """One of TABLE_FUNCTIONS on every element."""
    return np.asarray(apply_table(op.attrs, inputs[0]), np.float32)


def reshape(_op: Op, inputs: Sequence[Floats], out_shape: Shape) -> Floats:
    """Another shape of the same row-major elements."""
    return inputs[0].reshape(-1, *out_shape)


def transpose(op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Reorder (h, w, c)."""
    h, w, c = op.attrs["perm"]
    return np.ascontiguousarray(inputs[0].transpose(0, h + 1, w + 1, c + 1))


def pad(op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Constant border around (h, w)."""
    return _pad(inputs[0], op.attrs["pads"], op.attrs["value"])


def argmax(_op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Index of the first largest channel."""
    return np.asarray(inputs[0].argmax(axis=-1)[..., None], np.float32)


def widen(_op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """The values as they are."""
    return inputs[0]


def update(_op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """take * new + keep * old."""
    gates, new, old = inputs
    return gates[:, :1] * new + gates[:, 1:] * old


def softmax(_op: Op, inputs: Sequence[Floats], _out_shape: Shape) -> Floats:
    """Softmax over channels."""
    e = np.exp(inputs[0] - inputs[0].max(axis=3, keepdims=True))
    return np.asarray(e / e.sum(axis=3, keepdims=True), np.float32)
