"""Operators on integers (QLinearConv, ConvInteger, ...): read as the real ones behind them.

Dynamic quantisation is read as no quantisation: the values are taken as they are, and the chip's
own parameters, chosen on the calibration set, take its place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from norcim.frontend import ops_linear as linear
from norcim.frontend.call import Array, Call
from norcim.frontend.ops_products import matmul
from norcim.frontend.ops_quant import dequantize_linear, quantize_linear
from norcim.frontend.values import Codes, Const, Unsupported, Value, View
from norcim.ir.graph import QParams


def qlinear_conv(call: Call) -> Value:
    """QLinearConv: x, w and y with their scales and zero points, an int32 bias."""
    x = _real(call, call.values[0:3])
    weight = _real(call, call.values[3:6], axis=0)
    bias = None
    if call.value(8) is not None:
        bias = Const(_bias(call, 8, 1, 4))
    return _quantised(call, "Conv", (x, weight, bias), 6)


def qlinear_matmul(call: Call) -> Value:
    """QLinearMatMul: a, b and y with their scales and zero points."""
    a, b = _real(call, call.values[0:3], axis=0), _real(call, call.values[3:6], axis=1)
    return _quantised(call, "MatMul", (a, b), 6)


def _real(call: Call, values: tuple[Value, ...], axis: int = 1) -> Value:
    node = replace(call.node, op="DequantizeLinear", attrs={"axis": axis})
    value = dequantize_linear(replace(call, node=node, values=values))
    assert not isinstance(value, tuple)
    return value


def _bias(call: Call, index: int, x_scale: int, w_scale: int) -> Array:
    bias, first, second = (call.numbers(i) for i in (index, x_scale, w_scale))
    assert bias is not None
    if first is None or second is None:
        raise ValueError("a scale is missing")
    return bias.astype(np.float64) * first.astype(np.float64) * second.astype(np.float64)


def _quantised(call: Call, op: str, values: tuple[Value, ...], scale: int) -> Value:
    handler = linear.conv if op == "Conv" else matmul
    result = handler(replace(call, node=replace(call.node, op=op), values=values))
    node = replace(call.node, op="QuantizeLinear", attrs={})
    last = replace(call, node=node, values=(result, *call.values[scale : scale + 2]))
    return quantize_linear(last)


def conv_integer(call: Call) -> Value:
    """ConvInteger: products of codes less their zero points."""
    return _on_codes(call, "Conv")


def matmul_integer(call: Call) -> Value:
    """MatMulInteger: products of codes less their zero points."""
    return _on_codes(call, "MatMul")


def _on_codes(call: Call, op: str) -> Value:
    x, step = _less_zero(call, 0, 2)
    weight = call.const(1)
    if weight is None:
        raise ValueError("no weight given")
    zero = call.numbers(3)
    zeros = np.zeros(1) if zero is None else zero.astype(np.float64)
    if op == "Conv" and zeros.size > 1:
        zeros = zeros.reshape(-1, *[1] * (weight.array.ndim - 1))
    centred = call.finite(weight.array).astype(np.float64) - zeros
    codes = None
    if np.abs(centred).max(initial=0) <= 127:
        scale = np.full(centred.shape, 1.0 / step)
        codes = Codes(centred.astype(np.int64), scale, np.zeros(centred.shape, np.int64))
    handler = linear.conv if op == "Conv" else matmul
    values = (x, Const(centred / step, codes))
    return handler(replace(call, node=replace(call.node, op=op), values=values))


def _less_zero(call: Call, index: int, zero: int) -> tuple[View, float]:
    """An activation whose real values are `step` times (its codes less their zero point)."""
    x, const = call.view(index), call.numbers(zero)
    zeros = np.zeros(1) if const is None else const.reshape(-1)
    if zeros.size != 1:
        raise Unsupported("a zero point a row", "quantise activations per tensor")
    if not x.integer:  # dynamically quantised: the values themselves, step 1
        return x, 1.0
    tensors = call.builder.tensors
    if tensors[x.tensor].qparams is None:
        call.builder.set_qparams(x.tensor, QParams(1.0, int(zeros[0]), x.integer == "int8"))
    q = tensors[x.tensor].qparams
    assert q is not None
    if q.zero_point != int(zeros[0]):
        raise Unsupported("another zero point than its input was quantised with")
    return replace(x, integer=""), q.scale


def dynamic_quantize_linear(call: Call) -> tuple[Value, ...]:
    """DynamicQuantizeLinear: the values as they are, with scale 1 and zero point 0."""
    return (call.real(0), Const(np.ones((), np.float32)), Const(np.zeros((), np.uint8)))
