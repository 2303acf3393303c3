"""ArgMax: which channel is the largest, as a step of the firmware."""

from __future__ import annotations

import numpy as np

from norcim.frontend.call import Call
from norcim.frontend.values import MovesBatch, Unsupported, Value, contiguous

MAX_CHANNELS = 256
"""An index is a byte."""


def arg_max(call: Call) -> Value:
    """ArgMax over one axis of at most 256, the first of equal ones."""
    x = call.view()
    if call.attr("select_last_index", 0):
        raise Unsupported("the last of equal ones", "set select_last_index to 0")
    rank = len(x.shape) + 1
    axis = int(call.attr("axis", 0)) % rank - 1
    if axis < 0:
        raise MovesBatch("it compares samples of the batch", "set its axis to the channels")
    if x.shape[axis] > MAX_CHANNELS:
        raise Unsupported(f"over {x.shape[axis]} values", "take the largest on the host")
    rest = [a for a in x.by_stride() if a != axis]
    tensor = call.builder.materialise(x, (rest, [], [axis]), call.node.name)
    height, width, _ = call.builder.tensors[tensor].shape
    name = call.node.outputs[0]
    output = call.builder.emit("argmax", call.node.name, [tensor], (height, width, 1), name=name)
    order = [*rest, axis]
    stored = contiguous(output, [1 if a == axis else x.shape[a] for a in order])
    y = stored.permuted([int(a) for a in np.argsort(order)])
    kept = bool(call.attr("keepdims", 1))
    return y if kept else y.permuted([a for a in range(rank - 1) if a != axis])
