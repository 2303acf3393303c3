"""The NPU in Amaranth's own simulator: needs no other tool, and is slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.sim import Simulator

from norcim_overlay.npu.counters import NAMES, Counters
from norcim_overlay.npu.interface import Layout
from norcim_overlay.npu.macro import NpuMacro, Sizes, Store

Action = Callable[[Any], Any]


class InterpretedBench:
    """Same methods as VerilatedBench; memories and counters start anew with each `run`."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes, self.bench = sizes, NpuMacro(sizes)
        self._layout = 0
        self._contents: dict[int, npt.NDArray[Any]] = {}
        self._counts: list[dict[str, int]] = []
        self._simulator = Simulator(self.bench)
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._testbench)
        self._has_run = False
        self._command = (0, 0, 0)
        self._result = (0, 0)

    def write(self, store: int, addr: int, content: npt.NDArray[Any]) -> None:
        """Keep a memory's content for the next run."""
        assert addr == 0
        self._contents[store] = content.copy()

    def read(self, store: int, addr: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Bytes of a memory after the run."""
        return self._contents[store].view(np.uint8)[addr : addr + n_bytes]

    def set_layout(self, packed: int, n_bits: int) -> None:
        """Set the layout, a packed `Layout`."""
        self._layout = packed

    def run(self, first: int = 0, watchdog: int = 0, most: int = 100_000) -> tuple[int, int]:
        """Start and wait: the packed status, and the cycles that it took."""
        self._command = (first, watchdog, most or 100_000)
        if self._has_run:
            self._simulator.reset()
        self._has_run = True
        self._simulator.run()
        return self._result

    def counts(self, descriptor: int) -> dict[str, int]:
        """The counters of one descriptor, of the last run alone."""
        return self._counts[descriptor]

    def clear_counts(self) -> None:
        """Nothing to do: a run starts with cleared counters."""

    async def _testbench(self, ctx: Any) -> None:
        bench, (first, watchdog, most) = self.bench, self._command
        self._fill(ctx)
        ctx.set(bench.layout, Layout.from_bits(self._layout))
        ctx.set(bench.first, first)
        ctx.set(bench.watchdog, watchdog)
        ctx.set(bench.start, 1)
        await ctx.tick()
        ctx.set(bench.start, 0)
        n_cycles = 0
        while ctx.get(bench.status.busy) and n_cycles < most:
            await ctx.tick()
            n_cycles += 1
        self._result = (ctx.get(bench.status.as_value()), n_cycles)
        memory = self._contents[Store.ACTIVATIONS]
        for addr in range(len(memory)):
            memory[addr] = ctx.get(bench.activations.cell(addr))
        await self._read_counts(ctx)

    def _fill(self, ctx: Any) -> None:
        for store, memory in (
            (Store.ACTIVATIONS, self.bench.activations),
            (Store.WEIGHTS, self.bench.weights),
        ):
            for addr, byte in enumerate(self._contents[store].tolist()):
                ctx.set(memory.cell(addr), byte)
        for addr, word in enumerate(self._contents[Store.RECORDS].tolist()):
            ctx.set(self.bench.records.data[addr], word)

    async def _read_counts(self, ctx: Any) -> None:
        self._counts = []
        for descriptor in range(8):
            ctx.set(self.bench.select, descriptor)
            await ctx.tick().repeat(Counters.LATENCY + 1)
            counts = ctx.get(self.bench.counts)
            self._counts.append({name: getattr(counts, name) for name in NAMES})
