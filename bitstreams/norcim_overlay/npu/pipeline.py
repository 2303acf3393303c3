"""Registers in a row, and small memories."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.memory import Memory


def delay(m: Module, value: Any, n_cycles: int) -> Any:
    """The value as it was `n_cycles` ago, through registers without reset logic."""
    for _ in range(n_cycles):
        later = Signal.like(value, reset_less=True)
        m.d.sync += later.eq(value)
        value = later
    return value


def delay_valid(m: Module, valid: Any, n_cycles: int) -> Any:
    """As `delay`, for a strobe: the registers are cleared on reset."""
    for _ in range(n_cycles):
        later = Signal()
        m.d.sync += later.eq(valid)
        valid = later
    return valid


def distributed_memory(shape: Any, depth: int) -> Memory:
    """A memory for reading without a clock, in the logic cells of an FPGA."""
    return Memory(shape=shape, depth=depth, init=[], attrs={"ram_style": "distributed"})
