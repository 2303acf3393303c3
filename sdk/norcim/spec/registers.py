"""The NPU's register map as the SoC's CPU sees it.

32-bit registers at byte offsets from the NPU's base address. Counters are kept per descriptor, so
that one run shows where its time goes and where a converter clips: write the descriptor's number
to COUNTER_SELECT and read them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RegisterField:
    """Bits lsb .. lsb + width - 1 of a register."""

    name: str
    lsb: int
    width: int
    doc: str


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    offset  bytes from the NPU's base
    access  "ro" read only, "rw" read and write, "w1" writing a 1 acts, reads give 0
    reset   value after reset, None when the build decides it
    """

    name: str
    offset: int
    access: str
    reset: int | None
    doc: str
    fields: tuple[RegisterField, ...] = ()


NPU_REGISTERS = (
    Register("ID", 0x00, "ro", None, "what this NPU is", (
        RegisterField("abi_level", 0, 16, "ABI_LEVEL that the sequencer executes"),
        RegisterField("lanes", 16, 16, "multiply-accumulates a cycle"),
    )),
    Register("CONTROL", 0x04, "w1", 0, "starts and stops the sequencer", (
        RegisterField("start", 0, 1, "run from descriptor FIRST; clears STATUS, not the counters"),
        RegisterField("stop", 1, 1, "stop after the access in flight; STATUS.busy falls"),
        RegisterField("clear", 2, 1, "clear the counters of all descriptors"),
    )),
    Register("STATUS", 0x08, "ro", 0, "state of the sequencer", (
        RegisterField("busy", 0, 1, "descriptors are being executed"),
        RegisterField("done", 1, 1, "END was reached"),
        RegisterField("firmware", 2, 1, "stopped at a FIRMWARE step: run it, set FIRST, start"),
        RegisterField("error", 8, 8, "DeviceError that stopped the run, or 0"),
    )),
    Register("DESCRIPTOR", 0x0C, "ro", 0, "number of the descriptor that runs or that stopped"),
    Register("PROGRAM_BASE", 0x10, "rw", 0, "byte address of descriptor 0, a multiple of 4"),
    Register("FIRST", 0x14, "rw", 0, "number of the descriptor at which start begins"),
    Register("WATCHDOG", 0x18, "rw", 0, "cycles a run may take before it is stopped; 0: no limit"),
    Register("COUNTER_SELECT", 0x20, "rw", 0, "descriptor whose counters are read below"),
    Register("CYCLES", 0x24, "ro", 0, "cycles from fetch to last store"),
    Register("STALLS", 0x28, "ro", 0, "of these, cycles in which the lanes waited for memory"),
    Register("MACS", 0x2C, "ro", 0, "multiply-accumulates, padding included"),
    Register("CONVERSIONS", 0x30, "ro", 0, "column sums that went through the converter stage"),
    Register("SATURATED", 0x34, "ro", 0, "of these, conversions that clipped"),
)  # fmt: skip
