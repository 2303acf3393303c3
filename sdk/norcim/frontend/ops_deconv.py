"""ConvTranspose: zeros between the elements of the input, then a convolution."""

from __future__ import annotations

import numpy as np

from norcim.frontend.builder import check_budget
from norcim.frontend.call import Array, Call
from norcim.frontend.moving import MAX_PIECES, Loop, Part, Span, assemble, emit_pieces, whole
from norcim.frontend.ops_linear import emit_conv, map_codes, weight_of
from norcim.frontend.values import Unsupported, Value, View, contiguous
from norcim.frontend.windows import Window
from norcim.ir.moves import Piece
from norcim.ir.window import extent

_FIELD = 65535


def conv_transpose(call: Call) -> Value:
    """1-D and 2-D transposed convolution, grouped and dilated."""
    x, weight, codes = call.real(0), *weight_of(call, 1)
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise Unsupported(f"{rank}-D transposed convolution; 1-D and 2-D are supported")
    if len(x.shape) != rank + 1 or weight.shape[0] != x.shape[0]:
        raise ValueError(f"weight {weight.shape} for an input of {x.shape} per sample")
    groups = int(call.attr("group", 1))
    if groups < 1 or x.shape[0] % groups:
        raise ValueError(f"{x.shape[0]} channels in {groups} groups")
    strides = _ints(call, "strides", rank, 1)
    dilations = _ints(call, "dilations", rank, 1)
    spans = [extent(k, d) for k, d in zip(weight.shape[2:], dilations, strict=True)]
    borders = _borders(call, x.shape[1:], spans, strides)

    def turn(array: Array) -> Array:
        """(c_in, c_out / groups, k...) to an ordinary convolution's (c_out, c_in / groups, k...)"""
        parts = array.reshape(groups, array.shape[0] // groups, *array.shape[1:])
        swapped = parts.swapaxes(1, 2).reshape(-1, parts.shape[1], *array.shape[2:])
        return np.flip(swapped, axis=tuple(range(2, swapped.ndim)))

    x = _dilated(call, x, strides)
    x, pads = _cropped(call, x, borders, strides)
    (top, bottom), (left, right) = (*pads, (0, 0))[:2]
    turned = None if codes is None else map_codes(codes, turn)
    window = Window(
        (weight.shape[2], weight.shape[3] if rank == 2 else 1), (1, 1),
        (dilations[0], dilations[1] if rank == 2 else 1), (top, left, bottom, right),
    )  # fmt: skip
    return emit_conv(call, x, turn(weight), turned, window, groups)


def _ints(call: Call, name: str, rank: int, default: int) -> list[int]:
    values = [int(v) for v in call.attr(name, [default] * rank)]
    if len(values) != rank or min(values) < 1:
        raise ValueError(f"{name} {values}")
    return values


def _borders(
    call: Call, size: tuple[int, ...], spans: list[int], strides: list[int]
) -> list[tuple[int, int]]:
    """Zeros (or, below 0, crops) before and after the dilated input, per axis."""
    rank = len(size)
    extra = [int(v) for v in call.attr("output_padding", [0] * rank)]
    pads = [int(v) for v in call.attr("pads", [0] * (2 * rank))]
    shape = call.attr("output_shape")
    mode = call.attr("auto_pad", "NOTSET") or "NOTSET"
    if len(extra) != rank or len(pads) != 2 * rank:
        raise ValueError(f"pads {pads}, output_padding {extra}")
    found = []
    for axis in range(rank):
        full = strides[axis] * (size[axis] - 1) + extra[axis] + spans[axis]
        before, after = pads[axis], pads[axis + rank]
        if shape is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
            wanted = int(shape[-rank:][axis]) if shape is not None else size[axis] * strides[axis]
            total = full - wanted
            before = total // 2 if mode == "SAME_UPPER" else total - total // 2
            after = total - before
        elif mode == "VALID":
            before = after = 0
        found.append((spans[axis] - 1 - before, spans[axis] - 1 - after + extra[axis]))
    return found


def _dilated(call: Call, x: View, strides: list[int]) -> View:
    """Every spatial element followed by stride - 1 zeros."""
    rank = len(strides)
    tensor = call.builder.materialise(x, ([1], [2] if rank == 2 else [], [0]), call.node.name)
    for axis, stride in enumerate(strides):
        if stride > 1:
            tensor = _spread(call, tensor, axis, stride)
    h, w, c = call.builder.tensors[tensor].shape
    stored = contiguous(tensor, (h, w, c) if rank == 2 else (h, c))
    return stored.permuted((rank, *range(rank)))


def _spread(call: Call, tensor: str, axis: int, stride: int) -> str:
    """A box of one position and `stride` places a row: the place without an input reads 0."""
    builder, node = call.builder, call.node.name
    h, w, c = builder.tensors[tensor].shape
    check_budget(h * w * c * stride, node)
    inner = c if axis == 1 else w * c
    rows = h * w * c // inner
    if inner > _FIELD or -(-rows // _FIELD) > MAX_PIECES:
        raise Unsupported(f"an input of {h} x {w} x {c} with strides", "resize, then convolve")
    pieces = [
        Piece(
            0, first * inner, (inner, inner, 1), (min(_FIELD, rows - first), 1), (0, 0),
            first * stride * inner, (stride * inner, inner, 1),
            (min(_FIELD, rows - first), stride, inner),
        )
        for first in range(0, rows, _FIELD)
    ]  # fmt: skip
    shape = (h * stride, w, c) if axis == 0 else (h, w * stride, c)
    return emit_pieces(builder, node, f"{call.node.outputs[0]}~spread", [tensor], pieces, shape)


def _cropped(
    call: Call, x: View, borders: list[tuple[int, int]], strides: list[int]
) -> tuple[View, list[tuple[int, int]]]:
    """The input without what lies beyond negative borders, and the pads that are left."""
    pads = []
    for axis, ((before, after), stride) in enumerate(zip(borders, strides, strict=True), 1):
        after -= stride - 1  # the zeros that follow the last element
        first, cut = max(0, -before), max(0, -after)
        size = x.shape[axis] - first - cut
        if size < 1:
            raise Unsupported("its output is empty")
        if first or cut:
            spans = [whole(n) for n in x.shape]
            spans[axis] = Span(first, 0, (Loop(size, 1, 1),))
            shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
            name = f"{call.node.outputs[0]}~cropped"
            x = assemble(call.builder, call.node.name, name, [Part(x, tuple(spans))], shape)
        pads.append((max(0, before), max(0, after)))
    return x, pads
