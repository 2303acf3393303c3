"""Every key that a chip file has: its type, its range, its unit and what it means.

The table checks chip files, and docs/chips.md lists the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

VECTOR_OPS = ("add", "avgpool", "copy", "dwconv", "maxpool", "mul", "table")
RULES = ("lossless", "wtm2101", "linear")
STAGES = ("requantise", "shift")
GAIN_SCOPES = ("tile", "layer")


@dataclass(frozen=True)
class Key:
    """One value of a chip file.

    kind     int, float, bool, choice, choices (a set of strings) or regions
    lo, hi   inclusive range of a number
    choices  what a choice may be
    unit     for readers; empty for pure numbers
    """

    kind: str
    doc: str
    unit: str = ""
    lo: float = 0
    hi: float = 0
    choices: tuple[str, ...] = ()


def _count(doc: str, lo: int, hi: int, unit: str = "") -> Key:
    return Key("int", doc, unit, lo, hi)


def _energy(doc: str) -> Key:
    return Key("float", doc, "J", 0, 1e-6)


SCHEMA: dict[str, Key] = {
    "arrays.count": _count("crossbar arrays, all of one kind", 1, 256),
    "arrays.n_rows": _count("wordlines of an array, without the bias strip", 1, 65535),
    "arrays.n_columns": _count("bitlines of an array", 1, 65535),
    "arrays.regions": Key("regions", "wordlines that a tile may not straddle: [first, count] each"),
    "arrays.reserved_columns": _count("leading bitlines that no tile may use", 0, 65535),
    "arrays.n_bias_rows": _count("wordlines driven with 128, beside n_rows", 0, 255),
    "arrays.cell_lo": _count("smallest weight code that a cell pair holds", -32768, 0),
    "arrays.cell_hi": _count("largest weight code that a cell pair holds", 1, 32767),
    "arrays.signed_rows": Key("bool", "the wordline driver takes int8 (else uint8 only)"),
    "converter.rule": Key("choice", "converter rule of the arithmetic page", choices=RULES),
    "converter.bits": _count("bits of the converter's code; a lossless one ignores it", 2, 16),
    "converter.gain_lo": _count("log2 of the smallest divisor", 0, 31),
    "converter.gain_hi": _count("log2 of the largest divisor", 0, 31),
    "converter.gain_scope": Key(
        "choice", "what shares one gain: a tile or a layer", choices=GAIN_SCOPES
    ),
    "digital.stage": Key("choice", "digital stage of the arithmetic page", choices=STAGES),
    "digital.vector_ops": Key("choices", "operations beside the arrays", choices=VECTOR_OPS),
    "memories.activation_bytes": _count("activation memory", 1, 1 << 30, "bytes"),
    "memories.weight_bytes": _count(
        "cells with their bias rows, and weights of the vector path, together", 1, 1 << 31, "bytes"
    ),
    "memories.vector_weight_bytes": _count("weights of the vector path alone", 0, 1 << 30, "bytes"),
    "memories.n_descriptors": _count("program descriptors", 1, 65535),
    "memories.n_tiles": _count("tile records", 1, 1 << 24),
    "memories.n_columns": _count("column records of the digital stage", 0, 1 << 24),
    "memories.n_tables": _count("256-entry lookup tables", 0, 65535),
    "timing.clock_hz": Key("float", "clock of the NPU", "Hz", 1e3, 1e11),
    "timing.lanes": _count("MACs per cycle of an MVM that the lanes compute", 1, 1 << 20),
    "timing.vector_lanes": _count("MACs or steps per cycle of the vector path", 1, 1 << 20),
    "timing.n_converters": _count(
        "columns digitised at once; 0: no converters, the lanes compute an MVM", 0, 65535
    ),
    "timing.cycles_per_conversion": _count("settle and convert one group", 0, 1 << 20, "cycles"),
    "timing.descriptor_cycles": _count("fetch and set-up of a descriptor", 0, 1 << 20, "cycles"),
    "energy.conversion_j": _energy("one conversion"),
    "energy.row_power_w": Key("float", "DAC and driver of one active wordline", "W", 0, 1),
    "energy.cell_current_a": Key("float", "mean current of one cell", "A", 0, 1e-3),
    "energy.bitline_v": Key("float", "voltage across a cell while it is read", "V", 0, 10),
    "energy.vector_op_j": _energy("one step of the digital stage or the vector path"),
    "energy.sram_byte_j": _energy("one byte read from or written to activation memory"),
    "energy.mac_j": _energy("one digital MAC"),
    "energy.static_w": Key("float", "drawn whether anything runs or not", "W", 0, 100),
}

SECTIONS = tuple(dict.fromkeys(key.split(".")[0] for key in SCHEMA))
