"""Folds scale-and-shift (batch normalisation, bias, input scaling) into neighbouring weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from norcim.frontend.passes import Edit
from norcim.ir.graph import Graph, Op, WeightCodes
from norcim.ir.window import NO_PADS

Doubles = npt.NDArray[np.float64]


def is_affine(op: Op | None) -> bool:
    """True for a convolution that scales and shifts each channel on its own, unclamped."""
    if op is None or op.kind != "conv" or op.weight is None or op.weight_codes is not None:
        return False
    attrs = op.attrs
    plain = attrs["stride"] == (1, 1) and attrs["pads"] == NO_PADS and attrs["clamp"] is None
    return plain and op.weight.shape == (1, 1, 1, attrs["groups"])


def _scale_shift(op: Op) -> tuple[Doubles, Doubles]:
    assert op.weight is not None
    scale = op.weight.reshape(-1).astype(np.float64)
    return scale, _bias(op)


def _bias(op: Op) -> Doubles:
    assert op.weight is not None
    if op.bias is None:
        return np.zeros(op.weight.shape[3], np.float64)
    return op.bias.astype(np.float64)


def _rebuilt(op: Op, weight: Doubles, bias: Doubles, codes: WeightCodes | None) -> Op:
    return replace(
        op,
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32) if bias.any() else None,
        weight_codes=codes,
    )


def fold_after(graph: Graph) -> Graph:
    """Fold a scale-and-shift into the convolution before it."""
    edit = Edit(graph)
    for affine in graph.ops:
        before = edit.writer.get(affine.inputs[0])
        if not is_affine(affine) or before is None or before.kind != "conv":
            continue
        if before.attrs["clamp"] is not None or not edit.private(before.output):
            continue
        assert before.weight is not None
        scale, shift = _scale_shift(affine)
        codes = _scaled_codes(before.weight_codes, scale)
        folded = _rebuilt(before, before.weight * scale, _bias(before) * scale + shift, codes)
        edit.swap(affine, replace(folded, output=affine.output))
        edit.drop(before)
        edit.refresh()
    return edit.close()


def _scaled_codes(codes: WeightCodes | None, scale: Doubles) -> WeightCodes | None:
    """The same codes under the new scales; none if a scale is not positive (codes are signed)."""
    if codes is None or not (scale > 0).all():
        return None
    return replace(codes, scale=codes.scale * scale)


def fold_before(graph: Graph) -> Graph:
    """Fold a scale-and-shift into the convolution that reads it.

    A shift cannot be folded into a convolution with padding: the border reads 0, not the shift.
    """
    edit = Edit(graph)
    for op in graph.ops:
        affine = edit.writer.get(op.inputs[0])
        if op.kind != "conv" or affine is None or not is_affine(affine):
            continue
        scale, shift = _scale_shift(affine)
        groups, channels = op.attrs["groups"], len(scale)
        padded = op.attrs["pads"] != NO_PADS and shift.any()
        dense = groups == 1 or groups == channels
        if not dense or padded or op.weight_codes is not None or not edit.private(affine.output):
            continue
        edit.swap(op, _folded_before(op, scale, shift, affine.inputs))
        edit.drop(affine)
        edit.refresh()
    return edit.close()


def _folded_before(op: Op, scale: Doubles, shift: Doubles, inputs: tuple[str, ...]) -> Op:
    assert op.weight is not None
    weight = op.weight.astype(np.float64)
    if op.attrs["groups"] == 1:
        scale, shift = scale[:, None], shift[:, None]
    else:
        multiplier = weight.shape[3] // len(scale)
        scale, shift = np.repeat(scale, multiplier)[None], np.repeat(shift, multiplier)[None]
    bias = _bias(op) + (weight * shift).sum(axis=(0, 1, 2))
    return replace(_rebuilt(op, weight * scale, bias, None), inputs=inputs)
