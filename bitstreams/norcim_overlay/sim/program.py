"""Puts an image's sections into the NPU's memories, and runs its program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape

from norcim.emulator.reference import execute
from norcim.image.model import ImageContent
from norcim.spec.error_codes import DeviceError
from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TABLE_BYTES,
    TILE_WORDS,
)
from norcim.spec.record import pack_record
from norcim_overlay.npu.interface import Layout, Status
from norcim_overlay.npu.macro import Store

Bytes = npt.NDArray[np.uint8]
STATUS_MASK = (1 << Shape.cast(Status).width) - 1


class Machine(Protocol):
    """What runs programs: see VerilatedBench."""

    def write(self, store: int, addr: int, content: npt.NDArray[Any]) -> None: ...
    def read(self, store: int, addr: int, n_bytes: int) -> Bytes: ...
    def set_layout(self, packed: int, n_bits: int) -> None: ...
    def run(self, first: int = 0, watchdog: int = 0, most: int = 0) -> tuple[int, int]: ...


@dataclass(frozen=True)
class Ran:
    """How a run ended, and its cycles without those of firmware steps."""

    error: DeviceError
    descriptor: int
    done: bool
    n_cycles: int


def record_words(content: ImageContent) -> tuple[npt.NDArray[np.uint32], dict[str, int]]:
    """Descriptors, tiles, columns and tables in a row, and the word each section starts at."""
    sections = {
        "program": b"".join(pack_record(d, DESCRIPTOR_WORDS) for d in content.program),
        "tiles": b"".join(pack_record(t, TILE_WORDS) for t in content.tiles),
        "columns": b"".join(pack_record(c, COLUMN_WORDS) for c in content.columns),
        "tables": content.tables,
    }
    starts, words = {}, b""
    for name, section in sections.items():
        starts[name] = len(words) // 4
        words += section
    return np.frombuffer(words, "<u4"), starts


def layout_values(content: ImageContent, starts: dict[str, int]) -> dict[str, int]:
    """The fields of `Layout`; the vector weights follow the cells."""
    return {
        **starts,
        "n_descriptors": len(content.program),
        "n_tiles": len(content.tiles),
        "n_columns": len(content.columns),
        "n_tables": len(content.tables) // TABLE_BYTES,
        "n_activation_bytes": content.activation_bytes,
        "n_cell_bytes": len(content.weights),
        "vector_weights": len(content.weights),
        "n_vector_bytes": len(content.vector_weights),
    }


def load_program(machine: Machine, content: ImageContent, **changes: int) -> None:
    """Fill record and weight memory and set the layout; `changes` override its fields."""
    words, starts = record_words(content)
    machine.write(Store.RECORDS, 0, words)
    weights = content.weights + content.vector_weights
    machine.write(Store.WEIGHTS, 0, np.frombuffer(weights, np.uint8))
    set_layout(machine, {**layout_values(content, starts), **changes})


def set_layout(machine: Machine, values: dict[str, int]) -> None:
    """Set the fields of `Layout`."""
    machine.set_layout(Layout.const(values).as_value().value, Shape.cast(Layout).width)


def run_program(machine: Machine, content: ImageContent, memory: Bytes, watchdog: int = 0) -> Ran:
    """Run a loaded program on an activation memory, in place; the golden executor is the CPU.

    Stops for each FIRMWARE step, which `norcim.emulator.reference` executes, and resumes.
    """
    first, n_cycles = 0, 0
    while True:
        machine.write(Store.ACTIVATIONS, 0, memory)
        packed, cycles = machine.run(first, watchdog)
        n_cycles += cycles
        memory[:] = machine.read(Store.ACTIVATIONS, 0, len(memory))
        status = Status.from_bits(packed & STATUS_MASK)
        if not status.firmware:
            return Ran(DeviceError(status.error), status.descriptor, bool(status.done), n_cycles)
        step = content.program[status.descriptor]
        execute(step, content, memory[None])
        first = status.descriptor + 1
