"""The memory map of the SoC as its CPU sees it, with the registers of each peripheral.

Registers are 32 bits wide and are read and written as whole words, at byte offsets from the base
of their peripheral. Addresses from IO_BASE on are not cached. Memory windows take bytes, half words
and words, but for the record memory, which is written in whole words. An access to an address that
nothing answers is a bus error, which restarts the SoC.

The NPU keeps its counters per descriptor, so that one run shows where its time goes and where a
converter clips: write the descriptor's number to COUNTER_SELECT and read them. Its LAYOUT registers
say where the image lies; they and the memory windows are written only while it is not busy.
"""

from __future__ import annotations

from dataclasses import dataclass

IO_BASE = 0x8000_0000  #: addresses from here on are not cached


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

    offset  bytes from the peripheral's base address
    access  "ro" read only, "rw" read and write, "w1" writing a 1 acts, reads give 0;
            "port": reading and writing act, and mean different things
    reset   value after reset, None when the build decides it
    """

    name: str
    offset: int
    access: str
    reset: int | None
    doc: str
    fields: tuple[RegisterField, ...] = ()


@dataclass(frozen=True)
class Peripheral:
    """Registers at one place of the memory map."""

    name: str
    base: int
    doc: str
    registers: tuple[Register, ...]


@dataclass(frozen=True)
class Window:
    """Memory at one place of the memory map; the build decides how much of it there is."""

    name: str
    base: int
    doc: str


UART_REGISTERS = (
    Register("DATA", 0x00, "port", None, "the receiver's and the transmitter's FIFO", (
        RegisterField("byte", 0, 8, "read: the oldest byte received, which is taken; write: send"),
        RegisterField("valid", 8, 1, "read: there was one"),
    )),
    Register("STATUS", 0x04, "ro", None, "state of the FIFOs", (
        RegisterField("received", 0, 15, "bytes that wait to be read"),
        RegisterField("space", 16, 15, "bytes that may be written; more are lost"),
        RegisterField("idle", 31, 1, "all that was written has gone out"),
    )),
    Register("DIVISOR", 0x08, "rw", 0xFFFF, "clock cycles a bit, at least 5"),
    Register("OVERRUNS", 0x0C, "ro", 0, "bytes lost because the receiver's FIFO was full"),
    Register("FRAMING", 0x10, "ro", 0, "bytes dropped because they had no stop bit"),
)  # fmt: skip

TIMER_REGISTERS = (
    Register("MILLISECONDS", 0x00, "ro", 0, "since reset; wraps round"),
    Register("CYCLES", 0x04, "ro", 0, "clock cycles since reset; wraps round"),
)

FLASH_REGISTERS = (
    Register("CONTROL", 0x00, "rw", 0, "how the words that are written from now on go out", (
        RegisterField("length", 0, 6, "bits of a word, at most 32"),
        RegisterField("width", 6, 4, "data lines: 1 or 2"),
        RegisterField("drive", 10, 1, "line 0 is an output; 0: its words are received only"),
        RegisterField("select", 11, 1, "the chip is selected"),
        RegisterField("swap", 12, 1, "words of 32 bits begin with their lowest byte"),
    )),
    Register("STATUS", 0x04, "ro", None, "state of the FIFOs of 8 words", (
        RegisterField("received", 0, 1, "a word waits to be read"),
        RegisterField("space", 1, 1, "a word may be written"),
    )),
    Register("DATA", 0x08, "port", 0, "write: send a word; read: take what came back for one"),
)  # fmt: skip

SYSTEM_REGISTERS = (
    Register("GATEWARE", 0x00, "ro", None, "hash of the gateware's sources and sizes, low word"),
    Register("RESET", 0x04, "w1", 0, "restarts the whole SoC", (
        RegisterField("now", 0, 1, "restart"),
    )),
    Register("CAUSE", 0x08, "ro", 0, "what the last reset was", (
        RegisterField("software", 0, 1, "RESET was written"),
        RegisterField("watchdog", 1, 1, "WATCHDOG ran out"),
        RegisterField("bus", 2, 1, "the CPU asked for data at an address that nothing answers"),
    )),
    Register("WATCHDOG", 0x0C, "port", 0, "milliseconds until the SoC restarts; 0: never"),
    Register("CLOCK_HZ", 0x10, "ro", None, "clock cycles a second"),
    Register("UART_HZ", 0x14, "ro", None, "DIVISOR of the UART is this, divided by the baud rate"),
    Register("UNIQUE_ID_LO", 0x18, "ro", None, "unique id; both words 0: it is the flash's"),
    Register("UNIQUE_ID_HI", 0x1C, "ro", None, "unique id, high word"),
    Register("FLASH_BASE", 0x20, "ro", None, "first byte of the flash that is ours"),
    Register("FLASH_BYTES", 0x24, "ro", None, "bytes of the flash that are ours"),
    Register("RECEIVE_BYTES", 0x28, "ro", None, "bytes that the UART's receiver holds"),
)  # fmt: skip

SHA256_REGISTERS = (
    *(Register(f"STATE_{i}", 4 * i, "port", 0, f"word {i} of the hash's state") for i in range(8)),
    Register("WORD", 0x20, "port", 0, "write: a word of the block; the 16th begins the rounds"),
    Register("STATUS", 0x24, "ro", 0, "state of the rounds", (
        RegisterField("busy", 0, 1, "they go on; nothing may be written"),
    )),
)  # fmt: skip

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
        RegisterField("clearing", 3, 1, "the counters are being cleared"),
        RegisterField("error", 8, 8, "DeviceError that stopped the run, or 0"),
    )),
    Register("DESCRIPTOR", 0x0C, "ro", 0, "number of the descriptor that runs or that stopped"),
    Register("FIRST", 0x14, "rw", 0, "number of the descriptor at which start begins"),
    Register("WATCHDOG", 0x18, "rw", 0, "cycles a run may take before it is stopped; 0: no limit"),
    Register("COUNTER_SELECT", 0x20, "rw", 0, "descriptor whose counters are read below"),
    Register("CYCLES", 0x24, "ro", 0, "cycles from fetch to last store"),
    Register("STALLS", 0x28, "ro", 0, "of these, cycles in which the lanes waited for memory"),
    Register("MACS", 0x2C, "ro", 0, "multiply-accumulates, padding included"),
    Register("CONVERSIONS", 0x30, "ro", 0, "column sums that went through the converter stage"),
    Register("SATURATED", 0x34, "ro", 0, "of these, conversions that clipped"),
    Register("RUN_CYCLES", 0x38, "ro", 0, "cycles of the last run, from start to its end"),
    Register("LAYOUT_PROGRAM", 0x40, "rw", 0, "word of the record memory where descriptors begin"),
    Register("LAYOUT_TILES", 0x44, "rw", 0, "where the tile records begin"),
    Register("LAYOUT_COLUMNS", 0x48, "rw", 0, "where the column records begin"),
    Register("LAYOUT_TABLES", 0x4C, "rw", 0, "where the tables begin"),
    Register("LAYOUT_N_DESCRIPTORS", 0x50, "rw", 0, "descriptors"),
    Register("LAYOUT_N_TILES", 0x54, "rw", 0, "tile records"),
    Register("LAYOUT_N_COLUMNS", 0x58, "rw", 0, "column records"),
    Register("LAYOUT_N_TABLES", 0x5C, "rw", 0, "tables"),
    Register("LAYOUT_N_ACTIVATION_BYTES", 0x60, "rw", 0, "bytes of activations that may be used"),
    Register("LAYOUT_N_CELL_BYTES", 0x64, "rw", 0, "bytes of cells, from byte 0 of the weights"),
    Register("LAYOUT_VECTOR_WEIGHTS", 0x68, "rw", 0, "byte where the vector weights begin"),
    Register("LAYOUT_N_VECTOR_BYTES", 0x6C, "rw", 0, "bytes of vector weights"),
    Register("ACTIVATION_BYTES", 0x80, "ro", None, "size of the activation memory"),
    Register("WEIGHT_BYTES", 0x84, "ro", None, "size of the weight memory"),
    Register("RECORD_WORDS", 0x88, "ro", None, "size of the record memory"),
    Register("N_DESCRIPTORS", 0x8C, "ro", None, "descriptors that have counters"),
)  # fmt: skip

PERIPHERALS = (
    Peripheral("UART", 0x8000_0000, "serial line to the host", UART_REGISTERS),
    Peripheral("TIMER", 0x8000_0100, "time", TIMER_REGISTERS),
    Peripheral("FLASH", 0x8000_0200, "SPI flash controller", FLASH_REGISTERS),
    Peripheral("SYSTEM", 0x8000_0300, "what this SoC is; reset", SYSTEM_REGISTERS),
    Peripheral("SHA256", 0x8000_0400, "SHA-256 of one block", SHA256_REGISTERS),
    Peripheral("NPU", 0x8001_0000, "the NPU", NPU_REGISTERS),
)

WINDOWS = (
    Window("RAM", 0x0000_0000, "the CPU's memory, with the firmware in it"),
    Window("ACTIVATIONS", 0x8100_0000, "activation memory of the NPU"),
    Window("WEIGHTS", 0x8200_0000, "weight memory: cells, then vector weights"),
    Window("RECORDS", 0x8300_0000, "record memory: descriptors, tiles, columns, tables"),
)
