"""Random legal programs on the gateware and on the golden executor: memories have to be equal."""

from __future__ import annotations

import numpy as np

from norcim.emulator.reference import execute
from norcim.emulator.regions import port_region
from norcim.image.model import ImageContent
from norcim.spec.error_codes import DeviceError
from norcim.spec.program import Opcode
from norcim_overlay.sim.program import Machine, load_program, run_program
from tests.conformance.programs import random_program

FILL = 0xA5


def start_memory(content: ImageContent, inputs: list[np.ndarray], sample: int) -> np.ndarray:
    """An activation memory with one sample's input in it."""
    memory = np.full((1, content.activation_bytes), FILL, np.uint8)
    for port, codes in zip(content.ports, inputs, strict=False):
        port_region(port).view(memory)[...] = codes[sample]
    return memory[0]


def golden(content: ImageContent, memory: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The memory after the program, and saturated conversions of every descriptor."""
    batch = memory[None].copy()
    return batch[0], [execute(d, content, batch) for d in content.program[:-1]]


def replay(machine: Machine, seed: int, widths: tuple[int, ...] = ()) -> int:
    """Compare one program's memories and counters; returns its cycles."""
    content, inputs = random_program(seed, widths)
    memory = start_memory(content, inputs, 0)
    expected, saturated = golden(content, memory)
    load_program(machine, content)
    machine.clear_counts()
    ran = run_program(machine, content, memory, watchdog=3_000_000)
    where = f"seed {seed}: " + ", ".join(Opcode(d.opcode).name for d in content.program)
    assert ran.error == DeviceError.OK, f"{where}: {ran}"
    assert ran.done, where
    differing = np.flatnonzero(memory != expected)
    assert not len(differing), f"{where}: bytes {differing[:8]} differ"
    for index, d in enumerate(content.program[:-1]):
        if d.opcode == Opcode.MVM:
            assert machine.counts(index)["saturated"] == saturated[index], f"{where} at {index}"
    return ran.n_cycles
