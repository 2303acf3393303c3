"""Golden integer arithmetic: the law that emulator, gateware and C are tested against.

Every function works on integers held in int64 arrays and says its bounds. Nothing here is fast.
Source: docs/reference/arithmetic.md.
"""

from __future__ import annotations

from norcim.arith.converter import align_codes, convert, count_saturated
from norcim.arith.digital import requantise, shift_codes
from norcim.arith.encode import encode_rows
from norcim.arith.fixed import encode_multiplier, encode_shared_shift
from norcim.arith.steps import arg_max, join_state, split_state, update
from norcim.arith.vector import (
    add,
    average_pool,
    lookup,
    max_pool,
    multiply,
    softmax,
    softmax_table,
)

__all__ = [
    "add",
    "align_codes",
    "arg_max",
    "average_pool",
    "convert",
    "count_saturated",
    "encode_multiplier",
    "encode_rows",
    "encode_shared_shift",
    "join_state",
    "lookup",
    "max_pool",
    "multiply",
    "requantise",
    "shift_codes",
    "softmax",
    "softmax_table",
    "split_state",
    "update",
]
