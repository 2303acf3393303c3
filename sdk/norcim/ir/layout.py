"""Between the arrays that an ONNX model shows and the (h, w, c) tensors of the IR."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.ir.graph import Port, Shape


def to_tensor(port: Port, shape: Shape, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of the model's shape (n, *port.shape) as (n, h, w, c); the dtype is kept."""
    axes = (0, *(axis + 1 for axis in port.perm))
    return np.ascontiguousarray(array.transpose(axes)).reshape(len(array), *shape)


def from_tensor(port: Port, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A tensor (n, h, w, c) as the model's (n, *port.shape); the dtype is kept."""
    permuted = tensor.reshape(len(tensor), *(port.shape[axis] for axis in port.perm))
    axes = (0, *(int(axis) + 1 for axis in np.argsort(port.perm)))
    return np.ascontiguousarray(permuted.transpose(axes))
