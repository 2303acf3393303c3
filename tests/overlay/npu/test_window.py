"""The address generators against the golden executor's windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module

from norcim.emulator.reference import windows
from norcim.spec.program import Descriptor
from norcim_overlay.npu.positions import Positions
from norcim_overlay.npu.window import Window
from tests.overlay.npu.stream import simulate

OUTSIDE = -1


def descriptor(rng: np.random.Generator) -> Descriptor:
    def one(lo: int, hi: int) -> int:
        return int(rng.integers(lo, hi + 1))

    h, w, c = one(1, 6), one(1, 6), one(1, 12)
    return Descriptor(
        in_h=h, in_w=w, in_c=c, in_addr=one(0, 99), in_row_stride=w * c + one(0, 3),
        in_pixel_stride=c, in_channel_stride=1, out_h=one(1, 4), out_w=one(1, 4),
        kernel_h=one(1, 3), kernel_w=one(1, 3), stride_h=one(1, 3), stride_w=one(1, 3),
        dilation_h=one(1, 3), dilation_w=one(1, 3), pad_top=one(-2, 3), pad_left=one(-2, 3),
    )  # fmt: skip


def golden_addresses(d: Descriptor, first: int, count: int) -> np.ndarray:
    """Addresses of every position's inputs, (positions, taps * channels of the window)."""
    y, x, c = np.indices((d.in_h, d.in_w, d.in_c))
    addr = d.in_addr + y * d.in_row_stride + x * d.in_pixel_stride + c
    taps, _ = windows(addr[None], d, OUTSIDE)
    return taps[0, ..., first : first + count].reshape(d.out_h * d.out_w, -1)


def connect_positions(ctx: Any, p: Positions, d: Descriptor) -> None:
    ctx.set(p.n_h, d.out_h)
    ctx.set(p.n_w, d.out_w)
    ctx.set(p.y_first, -d.pad_top)
    ctx.set(p.x_first, -d.pad_left)
    ctx.set(p.y_step, d.stride_h)
    ctx.set(p.x_step, d.stride_w)
    origin = d.in_addr - d.pad_top * d.in_row_stride - d.pad_left * d.in_pixel_stride
    ctx.set(p.in_first, origin & 0xFFFFFFFF)
    ctx.set(p.in_row, d.stride_h * d.in_row_stride)
    ctx.set(p.in_step, d.stride_w * d.in_pixel_stride)


def walked(d: Descriptor, first: int, count: int, k_first: int) -> list[list[int]]:
    """Addresses as the two components give them, each position walked twice."""
    p, w, found, rng = Positions(), Window(), [], np.random.default_rng(first + count)
    m = Module()
    m.submodules += p, w
    m.d.comb += [w.y.eq(p.y), w.x.eq(p.x), w.base.eq(p.in_addr)]

    async def strobe(ctx: Any, *signals: Any) -> None:
        for signal in signals:
            ctx.set(signal, 1)
        await ctx.tick()
        for signal in signals:
            ctx.set(signal, 0)

    async def walk(ctx: Any, n: int) -> list[int]:
        """The next n inputs, one or more of a tap at a time."""
        addresses: list[int] = []
        while len(addresses) < n:
            inside, addr, left = (ctx.get(s) for s in (w.inside, w.addr, w.left))
            n_now = int(rng.integers(1, min(left, 8) + 1))
            addresses += [addr + i if inside else OUTSIDE for i in range(n_now)]
            ctx.set(w.count, n_now)
            ctx.set(w.tap_ends, n_now == left)
            assert ctx.get(w.is_last) == (len(addresses) == n)
            await strobe(ctx, w.advance)
        return addresses

    async def testbench(ctx: Any) -> None:
        connect_positions(ctx, p, d)
        for name in ("in_h", "in_w", "kernel_h", "kernel_w", "dilation_h", "dilation_w"):
            ctx.set(getattr(w, name), getattr(d, name))
        ctx.set(w.n_channels, count)
        ctx.set(w.channel_first, first)
        ctx.set(w.tap_row_step, d.dilation_h * d.in_row_stride)
        ctx.set(w.tap_step, d.dilation_w * d.in_pixel_stride)
        ctx.set(w.k_first, k_first)
        await strobe(ctx, p.start, w.seek)
        while ctx.get(w.seeking):
            await ctx.tick()
        await ctx.tick()
        n = d.kernel_h * d.kernel_w * count - k_first
        while not ctx.get(p.done):
            await strobe(ctx, w.load, p.advance)
            once = await walk(ctx, n)
            await strobe(ctx, w.restart)
            assert await walk(ctx, n) == once
            found.append(once)

    simulate(m, testbench)
    return found


@pytest.mark.parametrize("seed", range(25))
def test_addresses_are_those_of_the_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = descriptor(rng)
    first = int(rng.integers(0, d.in_c))
    count = int(rng.integers(1, d.in_c - first + 1))
    k_first = int(rng.integers(0, d.kernel_h * d.kernel_w * count))
    golden = golden_addresses(d, first, count)[:, k_first:]
    assert walked(d, first, count, k_first) == golden.tolist()


def test_a_start_behind_the_window_is_told() -> None:
    w = Window()

    async def testbench(ctx: Any) -> None:
        for name in ("kernel_h", "kernel_w", "n_channels", "seek"):
            ctx.set(getattr(w, name), 1)
        ctx.set(w.k_first, 5)
        await ctx.tick()
        ctx.set(w.seek, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(w.overrun)

    simulate(w, testbench)
