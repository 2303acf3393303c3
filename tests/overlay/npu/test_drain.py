"""From sums to bytes: slots are added up, lanes leave in order, one vector after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from norcim_overlay.npu.drain import Drain
from tests.overlay.npu.stream import simulate

N_LANES, N_PORTS = 16, 2


@pytest.mark.parametrize("slots", range(4))
def test_the_slots_of_a_vector_are_added(slots: int) -> None:
    drain, rng = Drain(N_LANES, N_PORTS), np.random.default_rng(slots)
    width = N_LANES >> slots
    vectors = rng.integers(-15, 16, (5, N_LANES))
    vectors[0] = 15
    expected = vectors.reshape(5, 1 << slots, width).sum(axis=1)
    stored: dict[int, int] = {}

    async def testbench(ctx: Any) -> None:
        for name, value in (("lo", -128), ("hi", 127), ("shared", {"multiplier": 1})):
            ctx.set(getattr(drain, name), value)
        for cycle in range(5 * width // N_PORTS + 40):
            index, phase = divmod(cycle, width // N_PORTS)
            ctx.set(drain.load, phase == 0 and index < 5)
            if index < 5:
                tag = {"addr": 100 * index, "n_lanes": width, "slots": slots, "first": 1, "last": 1}
                ctx.set(drain.tag, tag)
                for lane in range(N_LANES):
                    ctx.set(drain.sums[lane], int(vectors[index][lane]) if phase == 0 else 99)
            await ctx.tick()
            if ctx.get(drain.store):
                addr = ctx.get(drain.store_addr)
                for i in range(ctx.get(drain.store_count)):
                    stored[addr + i] = ctx.get(drain.store_data[i])
        assert not ctx.get(drain.busy)

    simulate(drain, testbench)
    wanted = {100 * i + c: int(expected[i, c]) & 255 for i in range(5) for c in range(width)}
    assert stored == wanted
