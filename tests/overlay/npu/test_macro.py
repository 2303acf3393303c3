"""The host port of the NPU's memories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from norcim_overlay.npu.macro import HOST_LATENCY, NpuMacro, Sizes, Store
from tests.overlay.npu.stream import simulate

SIZES = Sizes(
    n_lanes=8, n_vector_lanes=4, n_activation_bytes=64, n_weight_bytes=64, n_record_words=16
)


@pytest.mark.parametrize("store", Store)
def test_every_store_is_written_and_read_at_every_address(store: Store) -> None:
    macro, rng = NpuMacro(SIZES), np.random.default_rng(store)
    expected = {s: np.zeros(64, np.uint8) for s in Store}
    step = 4 if store == Store.RECORDS else 1

    async def write(ctx: Any, s: Store, addr: int, count: int) -> None:
        word = int(rng.integers(1 << 32))
        for name, value in (("store", s), ("addr", addr), ("count", count), ("data", word)):
            ctx.set(getattr(macro, f"host_{name}"), value)
        ctx.set(macro.host_write, 1)
        await ctx.tick()
        ctx.set(macro.host_write, 0)
        n = 4 if s == Store.RECORDS else count
        expected[s][addr : addr + n] = np.array([word], "<u4").view(np.uint8)[:n]

    async def testbench(ctx: Any) -> None:
        for s in Store:  # something else in the other stores
            for addr in range(0, 64, 4):
                await write(ctx, s, addr, 4)
        for addr in range(0, 61, step):
            await write(ctx, store, addr, int(rng.integers(1, 5)))
        ctx.set(macro.host_store, store)
        for addr in range(0, 61, step):
            ctx.set(macro.host_addr, addr)
            await ctx.tick().repeat(HOST_LATENCY)
            word = int(expected[store][addr : addr + 4].copy().view("<u4")[0])
            assert ctx.get(macro.host_read) == word, addr

    simulate(macro, testbench)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_lanes": 4}, {"n_lanes": 12}, {"n_lanes": 64}, {"n_vector_lanes": 2},
        {"n_vector_lanes": 16}, {"n_activation_bytes": 66}, {"n_weight_bytes": 68},
        {"n_record_words": 12},
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_built_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"lanes|banks"):
        replace(SIZES, **wrong)
