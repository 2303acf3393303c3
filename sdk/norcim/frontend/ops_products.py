"""MatMul: with a constant on the arrays, of two activations beside them."""

from __future__ import annotations

from math import prod

import numpy as np

from norcim.frontend import ops_linear as linear
from norcim.frontend.builder import check_budget
from norcim.frontend.call import Call
from norcim.frontend.ops_elementwise import binary
from norcim.frontend.ops_move import broadcast
from norcim.frontend.ops_pool import reduce_axes
from norcim.frontend.values import Const, Value, View


def matmul(call: Call) -> Value:
    """Product with a constant matrix on either side, or of two activations (attention)."""
    if any(isinstance(call.value(index), Const) for index in (0, 1)):
        return linear.matmul(call)
    return _dynamic(call, call.real(0), call.real(1))


def _dynamic(call: Call, a: View, b: View) -> View:
    """a (..., M, K) @ b (..., K, N): all products elementwise, their means over K, times K.

    It takes M * N * K bytes of activation memory.
    """
    vectors = (len(a.shape) == 1, len(b.shape) == 1)
    left = View(a.tensor, ((), *a.axes)) if vectors[0] else a
    right = View(b.tensor, (*b.axes, ())) if vectors[1] else b
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"{a.shape} times {b.shape}")
    rank = max(len(left.axes), len(right.axes))
    left = View(left.tensor, ((),) * (rank - len(left.axes)) + left.axes)
    right = View(right.tensor, ((),) * (rank - len(right.axes)) + right.axes)
    outer = [max(m, n) for m, n in zip(left.shape[:-2], right.shape[:-2], strict=True)]
    shape = (*outer, left.shape[-2], right.shape[-1], left.shape[-1])  # (..., M, N, K)
    check_budget(prod(shape), call.node.name)
    order = [rank, *range(rank)]  # K slowest: the mean pools over it without another copy
    wide = [
        View(left.tensor, (*left.axes[:-1], (), left.axes[-1])),
        View(right.tensor, (*right.axes[:-2], (), right.axes[-1], right.axes[-2])),
    ]
    products = binary(call, "mul", *(broadcast(call, view, shape, order) for view in wide))
    mean = reduce_axes(call, products, [rank], False, "avgpool")
    total = linear.affine(call, mean, np.array(float(shape[-1])), np.zeros(()))
    gone = {rank - 2 if vectors[0] else -1, rank - 1 if vectors[1] else -1}
    return total.permuted([axis for axis in range(rank) if axis not in gone])
