"""The UART on its line: bytes both ways, at any divisor, with every loss counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from norcim_overlay.soc.uart import Uart
from tests.overlay.npu.stream import simulate
from tests.overlay.soc.bus import access_bank

N_RECEIVE, N_SEND = 16, 4
VALID, IDLE = 1 << 8, 1 << 31
WORDS = {"DATA": 0, "STATUS": 1, "DIVISOR": 2, "OVERRUNS": 3, "FRAMING": 4}


class Driver:
    def __init__(self, ctx: Any, uart: Uart) -> None:
        self.ctx, self.uart = ctx, uart

    async def access(self, name: str, value: int | None = None) -> int:
        return await access_bank(self.ctx, self.uart.registers, WORDS[name], value)

    async def feed(self, data: Sequence[int], divisor: int, stop: int = 1) -> None:
        """Bytes on the line, back to back."""
        for byte in data:
            for bit in [0, *(byte >> i & 1 for i in range(8)), stop]:
                self.ctx.set(self.uart.rx, bit)
                await self.ctx.tick().repeat(divisor)
        self.ctx.set(self.uart.rx, 1)

    async def take(self) -> list[int]:
        """What has been received."""
        found = []
        while (word := await self.access("DATA")) & VALID:
            found.append(word & 0xFF)
        return found

    async def listen(self, n_bytes: int, divisor: int) -> list[int]:
        """What comes out of the line, each bit sampled in its middle."""
        found = []
        for _ in range(n_bytes):
            while self.ctx.get(self.uart.tx):
                await self.ctx.tick()
            await self.ctx.tick().repeat(divisor // 2)
            byte = 0
            for i in range(9):
                await self.ctx.tick().repeat(divisor)
                byte |= int(self.ctx.get(self.uart.tx)) << i
            assert byte >> 8, "no stop bit"
            found.append(byte & 0xFF)
        return found


def _simulate(testbench: Any) -> None:
    uart = Uart(N_RECEIVE, N_SEND)

    async def main(ctx: Any) -> None:
        await testbench(Driver(ctx, uart))

    simulate(uart, main)


@pytest.mark.parametrize("divisor", [8, 9, 25])
def test_bytes_arrive_back_to_back(divisor: int) -> None:
    data = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7E, 0x18]

    async def testbench(d: Driver) -> None:
        await d.access("DIVISOR", divisor)
        await d.feed(data, divisor)
        await d.ctx.tick().repeat(divisor + 8)
        assert await d.access("STATUS") & 0x7FFF == len(data)
        assert await d.take() == data
        assert await d.access("STATUS") & 0x7FFF == 0
        assert await d.access("OVERRUNS") == await d.access("FRAMING") == 0

    _simulate(testbench)


@pytest.mark.parametrize("divisor", [8, 25])
def test_bytes_go_out_and_idle_says_when_they_are_gone(divisor: int) -> None:
    data = [0x00, 0xFF, 0x55, 0x9A]

    async def testbench(d: Driver) -> None:
        await d.access("DIVISOR", divisor)
        assert await d.access("STATUS") == IDLE | N_SEND << 16
        for byte in data:
            await d.access("DATA", byte)
        assert not await d.access("STATUS") & IDLE
        assert await d.listen(len(data), divisor) == data
        await d.ctx.tick().repeat(divisor)
        assert await d.access("STATUS") == IDLE | N_SEND << 16

    _simulate(testbench)


def test_space_counts_down_to_a_full_fifo() -> None:
    async def testbench(d: Driver) -> None:
        for byte in range(N_SEND + 3):  # one is at the serialiser; those too many are lost
            await d.access("DATA", byte)
            await d.ctx.tick()
        assert await d.access("STATUS") >> 16 & 0x7FFF == 0

    _simulate(testbench)


def test_bytes_past_a_full_fifo_are_counted() -> None:
    data = list(range(N_RECEIVE + 5))

    async def testbench(d: Driver) -> None:
        await d.access("DIVISOR", 8)
        await d.feed(data, 8)
        await d.ctx.tick().repeat(16)
        n_lost = await d.access("OVERRUNS")
        got = await d.take()
        assert n_lost >= 4
        assert got == data[: len(data) - n_lost]

    _simulate(testbench)


def test_a_byte_without_stop_bit_is_dropped_and_counted() -> None:
    async def testbench(d: Driver) -> None:
        await d.access("DIVISOR", 8)
        await d.feed([0x12], 8)
        await d.feed([0x55], 8, stop=0)
        await d.ctx.tick().repeat(200)  # what follows the broken frame is noise
        n_broken = await d.access("FRAMING")
        await d.take()
        await d.feed([0x34], 8)
        await d.ctx.tick().repeat(16)
        assert n_broken >= 1
        assert await d.take() == [0x34]

    _simulate(testbench)


def test_the_divisor_can_be_changed_between_bytes() -> None:
    async def testbench(d: Driver) -> None:
        for divisor in (8, 40, 13):
            await d.access("DIVISOR", divisor)
            await d.feed([0xC3, 0x3C], divisor)
            await d.ctx.tick().repeat(divisor + 8)
            assert await d.take() == [0xC3, 0x3C]

    _simulate(testbench)
