"""Operations that only move elements: on an activation they change the view, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from norcim.frontend.call import Array, Call
from norcim.frontend.load import type_name
from norcim.frontend.values import (
    BATCH,
    Codes,
    Const,
    MovesBatch,
    Unsupported,
    Value,
    View,
    contiguous,
    split,
)

_KEEP_BATCH = "keep axis 0 as the batch: reshape to (-1, ...) or (0, ...)"


def reshape_view(call: Call, view: View, shape: Sequence[int]) -> View:
    """The view with other per-sample axes; the elements move only if the axes cut across."""
    if prod(shape) != prod(view.shape):
        raise MovesBatch(f"{view.shape} per sample to {tuple(shape)}", _KEEP_BATCH)
    axes = split(view.flat(), shape)
    if axes is not None:
        return replace(view, axes=axes)
    everything = list(range(len(view.axes)))
    tensor = call.builder.materialise(view, ([], [], everything), call.node.name)
    return replace(contiguous(tensor, shape), integer=view.integer)


def _on_codes(const: Const, change: Callable[[Array], Array]) -> Const:
    """Move a constant's elements, and with them the codes behind it."""
    codes = const.codes
    if codes is not None:
        codes = Codes(change(codes.codes), change(codes.scale), change(codes.zero_point))
    return Const(change(const.array), codes, const.symbolic)


def reshape(call: Call) -> Value:
    """Reshape; the batch stays the leading dimension."""
    wanted = call.ints("shape", 1)
    if wanted is None:
        raise ValueError("no shape given")
    value = call.value(0)
    if isinstance(value, Const):
        zero = not call.attr("allowzero", 0)
        dims = [value.array.shape[i] if d == 0 and zero else d for i, d in enumerate(wanted)]
        return _on_codes(value, lambda a: a.reshape(dims))
    view = call.view(0)
    return reshape_view(call, view, _per_sample(wanted, view.shape, call.builder.batch))


def _per_sample(wanted: list[int], shape: tuple[int, ...], batch: int | None) -> list[int]:
    """The shape without the batch, -1 and 0 resolved; the batch itself must stay in front."""
    if not wanted or any(d < -1 and d != BATCH for d in wanted):
        raise ValueError(f"shape {wanted}")
    # a model of open batch size that was exported with one sample often says 1
    if wanted[0] not in (BATCH, -1, 0, 1 if batch is None else batch) or BATCH in wanted[1:]:
        raise MovesBatch(f"{shape} per sample to {wanted}", _KEEP_BATCH)
    rest = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(wanted[1:])]
    if rest.count(-1) == 1:
        known = -prod(rest)
        if wanted[0] == -1 or known == 0 or prod(shape) % known:
            raise MovesBatch(f"{shape} per sample to {wanted}", _KEEP_BATCH)
        rest[rest.index(-1)] = prod(shape) // known
    return rest


def flatten(call: Call) -> Value:
    """Flatten from axis 1; other axes only where nothing but the batch stays in front."""
    value = call.value(0)
    if isinstance(value, Const):
        axis = int(call.attr("axis", 1)) % (value.array.ndim + 1)
        return _on_codes(value, lambda a: a.reshape(prod(a.shape[:axis]), -1))
    view = call.view(0)
    axis = int(call.attr("axis", 1)) % (len(view.shape) + 1)
    if axis == 0 or prod(view.shape[: axis - 1]) != 1:
        raise MovesBatch(f"it flattens the batch with other axes (axis {axis})", _KEEP_BATCH)
    return reshape_view(call, view, [prod(view.shape)])


def transpose(call: Call) -> Value:
    """Transpose; the batch stays the leading dimension."""
    value = call.value(0)
    if isinstance(value, Const):
        order = call.attr("perm", list(range(value.array.ndim))[::-1])
        return _on_codes(value, lambda a: a.transpose(order))
    view = call.view(0)
    rank = len(view.shape) + 1
    perm = [int(axis) for axis in call.attr("perm", list(range(rank))[::-1])]
    if sorted(perm) != list(range(rank)):
        raise ValueError(f"perm {perm} for {rank} axes")
    if perm[0] != 0:
        raise MovesBatch(
            f"it moves the batch axis (perm {perm})", "keep axis 0 first", at_one=False
        )
    return view.permuted([axis - 1 for axis in perm[1:]])


def squeeze(call: Call) -> Value:
    """Drop axes of size 1."""
    axes = call.ints("axes", 1)
    value = call.value(0)
    if isinstance(value, Const):
        drop = None if axes is None else tuple(axes)
        return _on_codes(value, lambda a: a.squeeze(drop))
    view = call.view(0)
    rank = len(view.shape) + 1
    if axes is None:
        axes = [axis for axis in range(1, rank) if view.shape[axis - 1] == 1]
    dropped = {axis % rank for axis in axes}
    if 0 in dropped:
        raise MovesBatch("it drops the batch axis", "keep axis 0 out of its axes", at_one=False)
    if any(view.shape[axis - 1] != 1 for axis in dropped):
        raise ValueError(f"axes {sorted(dropped)} of {view.shape} per sample")
    return view.permuted([axis for axis in range(rank - 1) if axis + 1 not in dropped])


def unsqueeze(call: Call) -> Value:
    """Add axes of size 1."""
    axes = call.ints("axes", 1)
    if axes is None:
        raise ValueError("no axes given")
    value = call.value(0)
    if isinstance(value, Const):
        return _on_codes(value, lambda a: np.expand_dims(a, tuple(axes)))
    view = call.view(0)
    rank = len(view.shape) + 1 + len(axes)
    added = {axis % rank for axis in axes}
    if len(added) != len(axes):
        raise ValueError(f"axes {axes} name one twice")
    if 0 in added:
        raise MovesBatch(
            "it adds an axis in front of the batch", "add axes behind axis 0", at_one=False
        )
    kept = iter(view.axes)
    new = tuple(() if axis in added else next(kept) for axis in range(1, rank))
    return replace(view, axes=new)


def shape_of(call: Call) -> Value:
    """The shape, as constant integers; BATCH stands for a batch size that is not fixed."""
    view = call.view(0)
    dims = [*view.shape] if view.whole else [call.builder.batch or BATCH, *view.shape]
    start, end = int(call.attr("start", 0)), call.attr("end")
    part = dims[start : None if end is None else int(end)]
    return Const(np.array(part, np.int64), symbolic=BATCH in part)


def identity(call: Call) -> Value:
    """Identity."""
    return call.value(0)


def dropout(call: Call) -> tuple[Value, ...]:
    """Dropout, which does nothing at inference; the mask is not there."""
    training = call.const(2)
    if any(call.node.outputs[1:]) or (training is not None and training.array.any()):
        raise Unsupported("its mask, or training", "export the model in evaluation mode")
    return (call.value(0),)


def cast(call: Call) -> Value:
    """Cast between float types: the IR has one."""
    float_types = (1, 10, 11, 16)  # FLOAT, FLOAT16, DOUBLE, BFLOAT16 of onnx.TensorProto
    wanted = int(call.attr("to", 1))
    if wanted not in float_types:
        raise Unsupported(f"a cast to {type_name(wanted)}", "quantise with QuantizeLinear instead")
    return call.real(0)
