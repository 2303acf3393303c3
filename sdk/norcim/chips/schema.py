"""Every key that a chip file has: its type, its range, its unit and what it means.

The table checks chip files, and docs/chips.md lists the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

VECTOR_OPS = ("add", "avgpool", "copy", "dwconv", "maxpool", "mul", "table")
RULES = ("lossless", "wtm2101", "linear")
STAGES = ("requantise", "shift")
GAIN_SCOPES = ("tile", "layer")
CELL_KINDS = ("none", "nor", "sonos", "sram", "rram", "pcm", "mram")
MEMORY_KINDS = ("unknown", "nor", "sonos", "sram", "rram", "pcm", "mram", "dram", "fefet")
DOMAINS = ("unknown", "analog", "digital", "hybrid")
ROLES = ("network", "estimate")
UNBINDING = ("about", "published", "cells")
"""Sections that no image depends on: they are optional and not part of a chip's fingerprint."""

NOT_INHERITED = ("about", "published")
"""Sections that a chip file does not take from its base."""

DEFAULT_SOURCE = "default of norcim: not given in the chip file"


@dataclass(frozen=True)
class Key:
    """One value of a chip file.

    kind     int, float, bool, choice, choices (a set of strings), regions or text
    lo, hi   inclusive range of a number
    choices  what a choice may be
    unit     for readers; empty for pure numbers
    default  what holds if a file leaves the key out; None: it must not
    """

    kind: str
    doc: str
    unit: str = ""
    lo: float = 0
    hi: float = 0
    choices: tuple[str, ...] = ()
    default: Any = None


def _count(doc: str, lo: int, hi: int, unit: str = "") -> Key:
    return Key("int", doc, unit, lo, hi)


def _energy(doc: str) -> Key:
    return Key("float", doc, "J", 0, 1e-6)


def _cell(doc: str, unit: str, hi: float, lo: float = 0.0) -> Key:
    return Key("float", doc, unit, lo, hi, default=0.0)


def _published(doc: str, unit: str, hi: float) -> Key:
    return Key("float", doc + "; 0: not published", unit, 0, hi, default=0.0)


_BINDING: dict[str, Key] = {
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
    "memories.record_bytes": Key(
        "int",
        "one memory that descriptors, tiles, columns and tables share; 0: none",
        "bytes",
        0,
        1 << 31,
        default=0,
    ),
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

_ABOUT: dict[str, Key] = {
    "about.memory": Key(
        "choice", "what holds the weights", choices=MEMORY_KINDS, default="unknown"
    ),
    "about.domain": Key("choice", "how sums are made", choices=DOMAINS, default="unknown"),
    "about.role": Key(
        "choice", "network: compiles and runs; estimate: peak figures only", choices=ROLES,
        default="network",
    ),
    "published.tops": _published("peak throughput, two operations a MAC", "TOPS", 1e6),
    "published.tops_per_w": _published("peak efficiency", "TOPS/W", 1e5),
    "published.power_w": _published("power at the peak or typical", "W", 1e4),
    "published.note": Key("text", "why an estimate is off, or what is missing", default=""),
}  # fmt: skip

_CELLS: dict[str, Key] = {
    "cells.kind": Key("choice", "cell technology; none: no error", choices=CELL_KINDS,
                      default="none"),
    "cells.program_slope": _cell("programming error: sigma a code of weight", "", 1),
    "cells.program_floor": _cell("programming error: sigma of the smallest weight", "codes", 100),
    "cells.zero_is_off": Key("bool", "both cells of a zero weight are off and have no error",
                             default=True),
    "cells.verify_tolerance": _cell("write-verify accepts within it; 0: no loop", "codes", 100),
    "cells.verify_pulses": Key("int", "most pulses of the write-verify loop", "", 1, 1000,
                               default=1),
    "cells.pulse_sigma": _cell("relative sigma of the step of a pulse", "", 1),
    "cells.read_slope": _cell("read noise of a conversion: sigma a code of weight", "", 1),
    "cells.read_floor": _cell("read noise of a conversion: smallest sigma", "codes", 100),
    "cells.rtn_probability": _cell("cells with a random-telegraph trap", "", 1),
    "cells.rtn_amplitude": _cell("mean relative current step of a trap", "", 1),
    "cells.drift_v_per_decade": _cell("mean threshold shift a decade of time", "V", 0.1),
    "cells.drift_spread": _cell("sigma of the shift over cells, relative to its mean", "", 10),
    "cells.drift_tau_s": Key("float", "time constant of the shift at 25 C", "s", 1e-6, 1e12,
                             default=1e5),
    "cells.activation_ev": Key("float", "activation energy of the shift", "eV", 0, 5,
                               default=1.1),
    "cells.swing": Key("float", "subthreshold slope factor n", "", 1, 10, default=1.5),
    "cells.drift_nu": _cell("power-law drift (t / 20 s)^-nu: mean of nu", "", 1),
    "cells.drift_nu_spread": _cell("sigma of nu over cells", "", 1),
    "cells.temperature_slope": _cell("share of w^(T0/T) that is not compensated", "", 1),
    "cells.temperature_gain": _cell("common relative gain a kelvin that is not compensated",
                                    "1/K", 0.1, -0.1),
    "cells.wire_ohm": _cell("bitline wire between two cells", "ohm", 1e3),
    "cells.ir_limit": _cell("largest relative loss of a cell by IR drop", "", 1),
    "cells.converter_offset": _cell("sigma of a column's offset", "LSB", 100),
    "cells.converter_gain": _cell("mean gain error of a column", "", 1, -1),
    "cells.converter_gain_spread": _cell("sigma of a column's gain", "", 1),
    "cells.converter_inl": _cell("sigma of a column's integral non-linearity, at its peak",
                                 "LSB", 100),
    "cells.converter_noise": _cell("sigma of a conversion with no input", "LSB", 100),
    "cells.stuck_off": _cell("weights whose cells are missing or stuck off", "", 1),
    "cells.stuck_on": _cell("weights with a cell stuck at full current", "", 1),
    "cells.dead_columns": _cell("columns that read nothing", "", 1),
    "cells.leading_columns": Key("int", "leading columns with the larger error", "", 0, 65535,
                                 default=0),
    "cells.leading_factor": Key("float", "how much larger their error is", "", 1, 100,
                                default=1.0),
    "cells.spare_columns": Key("int", "columns an array has beside n_columns, for remapping", "",
                               0, 65535, default=0),
    "cells.refine_gain": Key("float", "gain error that a second programming pass leaves", "", 0,
                             1, default=1.0),
    "cells.refine_sigma": Key("float", "programming sigma that a second pass leaves", "", 0, 1,
                              default=1.0),
    "cells.endurance_cycles": Key("float", "program cycles that double the error's variance", "",
                                  1, 1e16, default=1e5),
}  # fmt: skip

SCHEMA: dict[str, Key] = _BINDING | _ABOUT | _CELLS

SECTIONS = tuple(dict.fromkeys(key.split(".")[0] for key in SCHEMA))
