"""All blocks of the NPU in one Verilated program: a million cycles in seconds, driven by arrays.

Each block stands beside the others with its inputs on the same words; one run drives one of them. A
member of a port (a field of a struct, an element of an array) takes a word of 32 bits.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, Flow, In, Out

from norcim_overlay.npu.converter import Converter
from norcim_overlay.npu.counters import Counters
from norcim_overlay.npu.drain import Drain
from norcim_overlay.npu.encoder import Encoder
from norcim_overlay.npu.fetcher import Fetcher
from norcim_overlay.npu.lines import Lines
from norcim_overlay.npu.mac_lanes import MacLanes
from norcim_overlay.npu.positions import Positions
from norcim_overlay.npu.requantise import Requantise
from norcim_overlay.npu.steps import Steps
from norcim_overlay.npu.table import Table
from norcim_overlay.npu.vector_memory import VectorMemory
from norcim_overlay.npu.window import Window
from norcim_overlay.sim.toolchain import Program, build

HARNESS = Path(__file__).with_name("blocks.cpp")
WORD = 32
LANES, VECTOR_LANES, PORTS = 8, 4, 2
"""Lanes, those of them for vector operations, and lanes that the drain works off a cycle."""
BLOCKS = {
    "converter": Converter,
    "counters": lambda: Counters(8),
    "drain": lambda: Drain(LANES, PORTS),
    "encoder": Encoder,
    "fetcher": Fetcher,
    "lanes": lambda: MacLanes(LANES, VECTOR_LANES),
    "lines": lambda: Lines(LANES),
    "memory": lambda: VectorMemory(256, 8, 4),
    "positions": Positions,
    "requantise": Requantise,
    "steps": Steps,
    "table": lambda: Table(2),
    "window": Window,
}


@dataclass(frozen=True)
class Member:
    """One field or element of a port: its path, its signal and how its word is read."""

    path: str
    value: Value
    signed: bool
    is_input: bool


def members(component: Any) -> list[Member]:
    """What a component's ports are made of, inputs and outputs."""
    found = []
    for path, member, value in component.signature.flatten(component):
        name = ".".join(map(str, path))
        found += list(_leaves(name, value, member.flow == Flow.In))
    return found


def _leaves(path: str, value: Any, is_input: bool) -> Iterator[Member]:
    if isinstance(value, data.View):
        for key, _ in data.Layout.cast(value.shape()):
            yield from _leaves(f"{path}.{key}", value[key], is_input)
    else:
        bits = Value.cast(value)
        yield Member(path, bits, bits.shape().signed, is_input)


class Blocks(Component):
    """Every block; `select` chooses whose outputs are found."""

    def __init__(self) -> None:
        self.blocks = {name: make() for name, make in BLOCKS.items()}
        self.members = {name: members(block) for name, block in self.blocks.items()}
        counts = [sum(m.is_input for m in ms) for ms in self.members.values()]
        others = [sum(not m.is_input for m in ms) for ms in self.members.values()]
        super().__init__(
            {
                "select": In(range(len(self.blocks))),
                "given": In(WORD * max(counts)),
                "found": Out(WORD * max(others)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index, (name, block) in enumerate(self.blocks.items()):
            m.submodules[name] = block
            inputs = [x for x in self.members[name] if x.is_input]
            for place, member in enumerate(inputs):
                m.d.comb += member.value.eq(self.given.word_select(place, WORD))
            words = []
            for member in self.members[name]:
                if not member.is_input:
                    word = Signal(Shape(WORD, member.signed))
                    m.d.comb += word.eq(member.value)
                    words.append(word)
            with m.If(self.select == index):
                m.d.comb += self.found.eq(Cat(*words))
        return m


class BlockBench:
    """The running program. A context manager; ends the program on exit."""

    def __init__(self) -> None:
        top = Blocks()
        self._members = top.members
        source = rtlil.convert(top, name="blocks", emit_src=False)
        program = Program("npu-blocks", "blocks", source, {HARNESS.name: HARNESS.read_bytes()})
        self._process = subprocess.Popen(
            [str(build(program))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> BlockBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, block: str, **inputs: Any) -> Mapping[str, np.ndarray]:
        """One row a cycle of every output, sampled before the clock edge that ends the cycle.

        inputs  by path, dots written as two underscores: an integer is steady, an array has one
                element a cycle; what is not named is 0. The block is reset first.
        """
        found = self._members[block]
        given = [m.path for m in found if m.is_input]
        shown = [m for m in found if not m.is_input]
        values = {name.replace("__", "."): np.asarray(value) for name, value in inputs.items()}
        assert set(values) <= set(given), sorted(set(values) - set(given))
        n = max(v.size for v in values.values())
        words = np.zeros((n, len(given)), "<u4")
        for name, value in values.items():
            words[:, given.index(name)] = value.astype(np.int64) & 0xFFFFFFFF
        header = np.array([list(BLOCKS).index(block), n, len(given), len(shown)], "<u4")
        self._process.stdin.write(header.tobytes() + words.tobytes())  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        size = 4 * n * len(shown)
        raw = self._process.stdout.read(size)  # type: ignore[union-attr]
        assert len(raw) == size, "the simulation ended"
        table = np.frombuffer(raw, "<u4").reshape(n, len(shown))
        return {
            m.path: table[:, i].astype("<i4" if m.signed else "<u4").astype(np.int64)
            for i, m in enumerate(shown)
        }
