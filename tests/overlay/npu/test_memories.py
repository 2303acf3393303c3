"""The banked memory, the table, the fetcher and the counters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from norcim_overlay.npu.counters import Counters
from norcim_overlay.npu.fetcher import Fetcher
from norcim_overlay.npu.steps import PRODUCTS, Steps
from norcim_overlay.npu.table import Table
from norcim_overlay.npu.vector_memory import VectorMemory
from tests.overlay.npu.stream import simulate


@pytest.mark.parametrize(
    ("n_bytes", "n_banks", "n_write"), [(64, 8, 1), (64, 16, 2), (64, 8, 8), (88, 8, 4), (72, 4, 4)]
)
def test_a_vector_is_read_and_written_at_any_address(
    n_bytes: int, n_banks: int, n_write: int
) -> None:
    rng = np.random.default_rng(n_banks)
    memory, expected = VectorMemory(n_bytes, n_banks, n_write), np.zeros(n_bytes, np.uint8)
    last = n_bytes - n_write + 1

    async def testbench(ctx: Any) -> None:
        for addr in [*range(last), *rng.integers(0, last, 60).tolist()]:
            values = rng.integers(0, 256, n_write)
            count = int(rng.integers(0, n_write + 1))
            ctx.set(memory.write_addr, addr)
            ctx.set(memory.write_count, count)
            for i, value in enumerate(values.tolist()):
                ctx.set(memory.write_data[i], value)
            ctx.set(memory.write, 1)
            await ctx.tick()
            expected[addr : addr + count] = values[:count]
        ctx.set(memory.write, 0)
        for addr in range(n_bytes + memory.LATENCY):
            ctx.set(memory.read_addr, addr % n_bytes)
            if addr >= memory.LATENCY:
                there = expected[addr - memory.LATENCY :][:n_banks]
                got = [ctx.get(memory.read_data[i]) for i in range(len(there))]
                assert got == there.tolist()
                cell = memory.cell(addr - memory.LATENCY)
                assert ctx.get(cell) == there[0]
            await ctx.tick()

    simulate(memory, testbench)


def test_every_entry_of_the_table_at_every_port() -> None:
    table, entries = Table(2), np.random.default_rng(5).integers(0, 256, 256)

    async def testbench(ctx: Any) -> None:
        ctx.set(table.write, 1)
        for index, word in enumerate(entries.astype(np.uint8).view("<u4").tolist()):
            ctx.set(table.write_index, index)
            ctx.set(table.write_data, word)
            await ctx.tick()
        ctx.set(table.write, 0)
        for code in range(256 + table.LATENCY):
            ctx.set(table.index[0], code % 256)
            ctx.set(table.index[1], 255 - code % 256)
            if code >= table.LATENCY:
                start = code - table.LATENCY
                assert ctx.get(table.value[0]) == entries[start]
                assert ctx.get(table.value[1]) == entries[255 - start]
            await ctx.tick()

    simulate(table, testbench)


def test_the_fetcher_waits_for_a_slow_memory() -> None:
    fetcher, rng = Fetcher(), np.random.default_rng(6)
    words: list[tuple[int, int]] = []

    async def testbench(ctx: Any) -> None:
        queue: list[int] = []
        ctx.set(fetcher.start, 1)
        ctx.set(fetcher.address, 1000)
        ctx.set(fetcher.count, 20)
        await ctx.tick()
        ctx.set(fetcher.start, 0)
        for _ in range(400):
            ready, answer = rng.random() < 0.5, bool(queue) and rng.random() < 0.3
            ctx.set(fetcher.memory.ready, ready)
            ctx.set(fetcher.memory.valid, answer)
            if answer:
                ctx.set(fetcher.memory.data, queue.pop(0) * 3)
            if ctx.get(fetcher.word):
                words.append((ctx.get(fetcher.index), ctx.get(fetcher.data)))
                assert ctx.get(fetcher.done) == (len(words) == 20)
            if ready and ctx.get(fetcher.memory.request):
                queue.append(ctx.get(fetcher.memory.addr))
            await ctx.tick()

    simulate(fetcher, testbench)
    assert words == [(i, 3 * (1000 + i)) for i in range(20)]


def test_the_products_of_strides() -> None:
    steps = Steps()
    factors = {"row": 3, "pixel": 65535, "tap_row": 1, "tap": 0, "pad_row": -7, "pad_pixel": -1}

    async def testbench(ctx: Any) -> None:
        ctx.set(steps.row_stride, 70001)
        ctx.set(steps.pixel_stride, 131)
        for name, factor in factors.items():
            ctx.set(getattr(steps, f"factor_{name}"), factor)
        ctx.set(steps.start, 1)
        await ctx.tick()
        ctx.set(steps.start, 0)
        while not ctx.get(steps.done):
            await ctx.tick()
        await ctx.tick()
        for name in PRODUCTS:
            stride = 70001 if name.endswith("row") else 131
            assert ctx.get(getattr(steps, name)) == stride * factors[name] % 2**32, name

    simulate(steps, testbench)


def test_counts_add_up_over_runs_until_they_are_cleared() -> None:
    counters = Counters(4)

    async def run(ctx: Any, descriptor: int, n_cycles: int) -> None:
        ctx.set(counters.descriptor, descriptor)
        ctx.set(counters.begin, 1)
        await ctx.tick()
        ctx.set(counters.begin, 0)
        ctx.set(counters.add.cycles, 1)
        ctx.set(counters.add.macs, 5)
        await ctx.tick().repeat(n_cycles)
        ctx.set(counters.end, 1)
        await ctx.tick()
        ctx.set(counters.end, 0)

    async def shown(ctx: Any, descriptor: int) -> tuple[int, int]:
        ctx.set(counters.select, descriptor)
        await ctx.tick().repeat(counters.LATENCY)
        return ctx.get(counters.selected.cycles), ctx.get(counters.selected.macs)

    async def testbench(ctx: Any) -> None:
        await run(ctx, 2, 10)
        await run(ctx, 3, 4)
        await run(ctx, 2, 7)
        assert await shown(ctx, 2) == (17, 85)
        assert await shown(ctx, 3) == (4, 20)
        ctx.set(counters.clear, 1)
        await ctx.tick()
        ctx.set(counters.clear, 0)
        await ctx.tick().repeat(4)
        assert not ctx.get(counters.clearing)
        assert await shown(ctx, 2) == (0, 0)

    simulate(counters, testbench)
