"""QuantizeLinear and DequantizeLinear.

On an activation, QuantizeLinear makes a tensor that carries the quantisation parameters (a clip
without a clamp, which a pass merges into the operation before it); DequantizeLinear returns the
real values of the same tensor. On a constant both keep the integer codes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from norcim.errors import NorcimError
from norcim.frontend.builder import Builder
from norcim.frontend.call import Array, Call
from norcim.frontend.values import Codes, Const, Unsupported, Value, View
from norcim.ir.graph import QParams

_ONNX_TYPES = {2: "uint8", 3: "int8"}


def quantize_linear(call: Call) -> Value:
    """Real values to codes of a scalar scale."""
    value = call.value(0)
    zero = call.const(2)
    default = _ONNX_TYPES.get(int(call.attr("output_dtype", 2)), "another type")
    dtype = default if zero is None else str(zero.array.dtype)
    if dtype not in ("int8", "uint8"):
        raise Unsupported(f"codes of {dtype}; int8 and uint8 are supported")
    if isinstance(value, Const):
        return _quantise_constant(call, value, dtype)
    view = call.real(0)
    qparams = _scalar_qparams(call, dtype)
    if call.builder.tensors[view.tensor].qparams == qparams:
        return replace(view, integer=dtype)
    return replace(_annotated(call, view, qparams), integer=dtype)


def _annotated(call: Call, view: View, qparams: QParams) -> View:
    """The view on a tensor of the same values with these parameters; one per pair of both."""
    builder = call.builder
    for op in builder.ops:
        same = op.kind == "clip" and op.inputs == (view.tensor,) and op.attrs["clamp"] is None
        if same and builder.tensors[op.output].qparams == qparams:
            return replace(view, tensor=op.output)
    name = call.node.outputs[0]
    result = builder.emit_elementwise("clip", call.node.name, view, {"clamp": None}, name=name)
    builder.set_qparams(result.tensor, qparams)
    return result


def dequantize_linear(call: Call) -> Value:
    """Codes to real values."""
    value = call.value(0)
    if isinstance(value, Const):
        return _dequantise_constant(call, value)
    view = call.view(0)
    if not view.integer:
        raise Unsupported("it dequantises values that are not codes")
    qparams = _scalar_qparams(call, view.integer)
    have = call.builder.tensors[view.tensor].qparams
    if have is None:
        _annotate_codes(call.builder, view.tensor, qparams)
    elif have != qparams:
        raise Unsupported(
            f"its parameters differ from those that its input was quantised with "
            f"({qparams.scale:g}, {qparams.zero_point} and {have.scale:g}, {have.zero_point})",
            "insert a DequantizeLinear and QuantizeLinear pair for the change of scale",
        )
    return replace(view, integer="")


def _annotate_codes(builder: Builder, tensor: str, qparams: QParams) -> None:
    """Parameters for a tensor of codes and for those that its codes were moved from."""
    writers = {op.output: op for op in builder.ops}
    while builder.tensors[tensor].qparams is None:
        builder.set_qparams(tensor, qparams)
        if tensor in writers:
            tensor = writers[tensor].inputs[0]


def _scales(call: Call) -> Array:
    """The scale input, float64. Raises NC-E0208 unless every one is a positive number."""
    const = call.const(1)
    if const is None:
        raise ValueError("no scale given")
    scale = const.array.astype(np.float64)
    if not scale.size or not (np.isfinite(scale).all() and (scale > 0).all()):
        bad = scale[~(np.isfinite(scale) & (scale > 0))]
        raise NorcimError(
            "NC-E0208",
            "a quantisation scale is not a positive number",
            where=f"{call.node.op} {call.node.name}",
            expected="finite and above 0",
            got=f"{bad[0]:g}" if bad.size else "none",
            fix="calibrate the model again; a tensor that is always 0 often gives scale 0",
        )
    return scale


def _scalar_qparams(call: Call, dtype: str) -> QParams:
    scale, zero = _scales(call), call.const(2)
    zeros = np.zeros(1, np.int64) if zero is None else zero.array.astype(np.int64).reshape(-1)
    if scale.size != 1 or zeros.size != 1:
        raise Unsupported("an activation quantised per channel", "quantise activations per tensor")
    qparams = QParams(float(scale.reshape(())), int(zeros[0]), signed=dtype == "int8")
    if not qparams.lo <= qparams.zero_point <= qparams.hi:
        raise ValueError(f"zero point {qparams.zero_point} for codes of {dtype}")
    return qparams


def _along_axis(call: Call, array: Array, shape: tuple[int, ...]) -> Array:
    """A scale or zero point broadcast to a constant: scalar, or one per position of `axis`."""
    if array.size == 1:
        return np.broadcast_to(array.reshape(()), shape)
    axis = int(call.attr("axis", 1)) % len(shape)
    if array.ndim != 1 or array.size != shape[axis] or call.attr("block_size", 0):
        raise Unsupported("weights quantised in blocks", "quantise them per output channel")
    ones = [1] * len(shape)
    ones[axis] = array.size
    return np.broadcast_to(array.reshape(ones), shape)


def _parameters(call: Call, shape: tuple[int, ...]) -> tuple[Array, Array]:
    zero = call.const(2)
    zeros = np.zeros(1, np.int64) if zero is None else zero.array.astype(np.int64)
    return _along_axis(call, _scales(call), shape), _along_axis(call, zeros, shape)


def _quantise_constant(call: Call, const: Const, dtype: str) -> Const:
    scale, zero = _parameters(call, const.array.shape)
    limits = np.iinfo(dtype)
    single = call.finite(const.array).astype(np.float32) / scale.astype(np.float32)
    codes = np.rint(single) + zero  # divided in float32, as ONNX says, so that ties agree
    return Const(np.clip(codes, limits.min, limits.max).astype(dtype))


def _dequantise_constant(call: Call, const: Const) -> Const:
    codes = const.array.astype(np.int64)
    scale, zero = _parameters(call, codes.shape)
    return Const((codes - zero) * scale, Codes(codes, scale, zero))
