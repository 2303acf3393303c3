"""Constants that stand where an activation is needed."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from norcim.frontend.call import Array, Call
from norcim.frontend.moving import Loop, Part, Span, assemble
from norcim.frontend.ops_linear import affine
from norcim.frontend.values import View, contiguous


def constant_view(call: Call, like: View, array: Array, shape: Sequence[int]) -> View:
    """A constant (per sample) as an activation that does not depend on its input.

    like  any activation: its first element is repeated, multiplied by 0 and shifted. The program
          has no other way to make bytes that no input brings.
    """
    builder, node = call.builder, call.node.name
    size = int(prod(shape))
    name = f"{call.node.outputs[0]}~constant"
    flat = contiguous(builder.materialise(like, ([], [], list(range(len(like.axes)))), node),
                      (prod(like.shape),))  # fmt: skip
    repeated = assemble(builder, node, name, [Part(flat, (Span(0, 0, (Loop(size, 0, 1),)),))],
                        (size,))  # fmt: skip
    values = affine(call, repeated, np.zeros(()), np.asarray(array, np.float64).reshape(size))
    return contiguous(values.tensor, shape)
