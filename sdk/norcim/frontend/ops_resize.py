"""Resize and Upsample by constant factors.

Nearest is a selection of positions. Every other mode is, for each axis, a product with a constant
matrix, which onnx's own reference computes from the unit matrix: any factor, any mode, exactly as
ONNX defines it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from norcim.frontend.call import Array, Call
from norcim.frontend.constants import evaluate_node
from norcim.frontend.load import Node
from norcim.frontend.moving import Part, assemble, runs, whole
from norcim.frontend.ops_linear import product
from norcim.frontend.values import Const, MovesBatch, Unsupported, Value, View

_KEPT = (
    "antialias",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "mode",
    "nearest_mode",
)
_LONGEST = 4096  # of an axis: the matrix is made whole

_OPSET = 19  # of the Resize that defines the matrices


def resize(call: Call) -> Value:
    """Resize (and Upsample) by constant scales or to constant sizes, in any mode."""
    x = call.view(0)
    rank = len(x.shape) + 1
    attrs = _attributes(call)
    for axis, (size, scale) in enumerate(_targets(call, (1, *x.shape), rank)):
        if axis == 0:
            if size != 1 or scale not in (None, 1.0):
                raise MovesBatch("it resizes the batch", "keep axis 0 as it is")
            continue
        if size != x.shape[axis - 1] or scale not in (None, 1.0):
            x = _along(call, x, axis - 1, _matrix(attrs, x.shape[axis - 1], size, scale))
    return x


def _attributes(call: Call) -> Mapping[str, Any]:
    """Attributes of an equal Resize of today's opset."""
    if call.node.op == "Upsample" or call.opset < 11:  # positions are y / scale, rounded down
        mode = {"bilinear": "linear"}.get(call.attr("mode", "nearest"), call.attr("mode"))
        return {
            "mode": mode or "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    attrs = {name: call.attr(name) for name in _KEPT if call.attr(name) is not None}
    if attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise Unsupported("mode tf_crop_and_resize", "crop and resize on the host")
    if call.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("a policy other than stretch", "export with the final sizes")
    return attrs


def _targets(call: Call, shape: tuple[int, ...], rank: int) -> list[tuple[int, float | None]]:
    """(size, scale) of every axis, the batch included; a scale is None if sizes are given."""
    old = call.node.op == "Upsample" or call.opset < 11
    scales = call.attr("scales") or _floats(call, 1 if old else 2)
    sizes = None if old else call.ints("", 3)
    axes = [int(axis) % rank for axis in call.attr("axes") or range(rank)]
    targets: list[tuple[int, float | None]] = [(size, None) for size in shape]
    if scales:
        pairs = zip(axes, scales, strict=True)
        for axis, scale in pairs:
            if not np.isfinite(scale) or scale <= 0:
                raise ValueError(f"scale {scale}")
            size = np.floor(np.float32(shape[axis]) * np.float32(scale))  # in float32, as ONNX
            targets[axis] = (int(size), float(scale))
    elif sizes:
        for axis, size in zip(axes, sizes, strict=True):
            targets[axis] = (1 if axis == 0 else size, None)
    else:
        raise ValueError("neither scales nor sizes given")
    if min(size for size, _ in targets) < 1:
        raise Unsupported("its output is empty", "check the scales")
    return targets


def _floats(call: Call, index: int) -> list[float] | None:
    numbers = call.numbers(index)
    return None if numbers is None or not numbers.size else [float(v) for v in numbers.reshape(-1)]


def _matrix(attrs: Mapping[str, Any], size: int, target: int, scale: float | None) -> Array:
    """(size, target): what resizing makes of one axis."""
    if max(size, target) > _LONGEST:
        raise Unsupported(f"an axis of {size} to {target}", f"at most {_LONGEST} are supported")
    given = {"scales": np.array([1.0, scale], np.float32)} if scale is not None else {
        "sizes": np.array([size, target], np.int64)
    }  # fmt: skip
    if scale is not None and np.floor(scale * size) < target:  # 10 * float32(0.7) is below 7
        given = {"scales": np.array([1.0, np.nextafter(np.float32(scale), 9)], np.float32)}
    inputs = ["x", "", "scales"] if scale is not None else ["x", "", "", "sizes"]
    arrays: dict[str, Array] = {"x": np.eye(size, dtype=np.float32), **given}
    node = Node("Resize", "", "Resize", tuple(inputs), ("y",), attrs)
    values = [Const(arrays[name]) if name else None for name in inputs]
    try:
        return evaluate_node(node, values, _OPSET)[0]
    except Exception as error:  # onnx's reference raises whatever it meets
        raise ValueError(f"{dict(attrs)}: {error}") from error


def _along(call: Call, x: View, axis: int, matrix: Array) -> View:
    picks = matrix.argmax(axis=0)
    if (matrix == np.eye(len(matrix))[:, picks]).all():
        others = [whole(n) for n in x.shape]
        parts = [
            Part(x, (*others[:axis], span, *others[axis + 1 :]))
            for span in runs([int(i) for i in picks])
        ]
        shape = (*x.shape[:axis], matrix.shape[1], *x.shape[axis + 1 :])
        return assemble(call.builder, call.node.name, call.node.outputs[0], parts, shape)
    if x.integer:
        raise Unsupported("it interpolates integer codes", "export in QDQ format")
    rank = len(x.shape)
    order = [a for a in x.by_stride() if a != axis] + [axis]
    result = product(call, x.permuted(order), matrix, None, None)
    return result.permuted([order.index(a) for a in range(rank)])
