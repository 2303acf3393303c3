"""A run that was stopped, or ended by the watchdog, leaves nothing behind that spoils the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from norcim.emulator.reference import execute
from norcim.spec.error_codes import DeviceError
from norcim_overlay.npu.interface import Layout
from norcim_overlay.npu.macro import NpuMacro, Store
from norcim_overlay.sim.program import layout_values, record_words
from tests.overlay.npu.stream import simulate
from tests.overlay.npu.test_fields import MVM, N_BYTES, SIZES, TILE, image

CONTENT = image(MVM, (TILE,), {})
WORDS, STARTS = record_words(CONTENT)


async def fill(ctx: Any, macro: NpuMacro, store: Store, content: bytes) -> None:
    """Through the host port, as a CPU does."""
    ctx.set(macro.host_store, store)
    ctx.set(macro.host_count, 4)
    ctx.set(macro.host_write, 1)
    for addr in range(0, len(content), 4):
        ctx.set(macro.host_addr, addr)
        ctx.set(macro.host_data, int.from_bytes(content[addr : addr + 4], "little"))
        await ctx.tick()
    ctx.set(macro.host_write, 0)


async def run(ctx: Any, macro: NpuMacro, stop_at: int = 0) -> int:
    """Start, stop after so many cycles, wait; returns the cycles."""
    ctx.set(macro.start, 1)
    await ctx.tick()
    ctx.set(macro.start, 0)
    n_cycles = 0
    while ctx.get(macro.status.busy):
        n_cycles += 1
        ctx.set(macro.stop, n_cycles == stop_at)
        await ctx.tick()
        assert n_cycles < 2000
    ctx.set(macro.stop, 0)
    return n_cycles


@pytest.mark.parametrize("by", ["stop", "watchdog"])
def test_a_run_after_an_interrupted_one_gives_the_golden_memory(by: str) -> None:
    macro = NpuMacro(SIZES)
    memory = np.random.default_rng(8).integers(0, 256, N_BYTES).astype(np.uint8)
    golden = memory[None].copy()
    execute(CONTENT.program[0], CONTENT, golden)
    whole: list[int] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(macro.layout, Layout.const(layout_values(CONTENT, STARTS)))
        await fill(ctx, macro, Store.RECORDS, WORDS.tobytes())
        await fill(ctx, macro, Store.WEIGHTS, CONTENT.weights + CONTENT.vector_weights)
        await fill(ctx, macro, Store.ACTIVATIONS, memory.tobytes())
        whole.append(await run(ctx, macro))
        assert whole[0] > 150
        for n_cycles in (3, 20, 45, 60, 100, 150):
            if by == "stop":
                assert await run(ctx, macro, n_cycles) < n_cycles + 60
                assert ctx.get(macro.status.error) == DeviceError.OK
            else:
                ctx.set(macro.watchdog, n_cycles)
                assert await run(ctx, macro) < n_cycles + 60
                assert ctx.get(macro.status.error) == DeviceError.WATCHDOG
                ctx.set(macro.watchdog, 0)
            assert not ctx.get(macro.status.done)
            # At once: words that an unfinished fetch still asks for would come into the next one.
            await run(ctx, macro)
            assert (ctx.get(macro.status.error), ctx.get(macro.status.done)) == (DeviceError.OK, 1)
            cells = [ctx.get(macro.activations.cell(addr)) for addr in range(N_BYTES)]
            assert cells == golden[0].tolist(), f"{by} after {n_cycles} cycles"

    simulate(macro, testbench)
