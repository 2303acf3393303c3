"""Drives the bus of the peripherals as the CPU does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from amaranth.hdl import Module
from amaranth.sim import Simulator

from norcim.spec.registers import PERIPHERALS, WINDOWS, Register
from norcim_overlay.npu.macro import Sizes
from norcim_overlay.soc.config import SocConfig
from norcim_overlay.soc.peripherals import Peripherals

SIZES = Sizes(8, 8, 1 << 10, 1 << 11, 1 << 8, 16)
CONFIG = SocConfig(
    SIZES, clock_hz=4000, uart_hz=8000, unique_id=0x1122334455667788, flash_base=0x200000,
    n_receive_bytes=16, n_send_bytes=4,
)  # fmt: skip
BASES = {p.name: p.base for p in PERIPHERALS} | {w.name: w.base for w in WINDOWS}
REGISTERS = {(p.name, r.name): r for p in PERIPHERALS for r in p.registers}
PATIENCE = 100


class BusError(Exception):
    """The bus answered with an error."""


async def access_bank(ctx: Any, bank: Any, address: int, value: int | None = None) -> int:
    """Read a peripheral's register on its own, or write `value`, in one cycle."""
    strobe = bank.read if value is None else bank.write
    ctx.set(bank.address, address)
    ctx.set(bank.write_data, value or 0)
    ctx.set(strobe, 1)
    got = int(ctx.get(bank.read_data))
    await ctx.tick()
    ctx.set(strobe, 0)
    return got


class Cpu:
    """The CPU's end of the bus."""

    def __init__(self, ctx: Any, top: Peripherals) -> None:
        self.ctx, self.top = ctx, top

    async def access(self, address: int, write: int, data: int, sel: int) -> int:
        """One transfer. Raises BusError; an AssertionError if nothing answers."""
        bus, ctx = self.top.bus, self.ctx
        values = {"adr": address >> 2, "we": write, "dat_w": data, "sel": sel, "cyc": 1, "stb": 1}
        for name, value in values.items():
            ctx.set(getattr(bus, name), value)
        for _ in range(PATIENCE):
            await ctx.tick()
            ack, err = ctx.get(bus.ack), ctx.get(bus.err)
            if ack or err:
                got = int(ctx.get(bus.dat_r))
                break
        else:
            raise AssertionError(f"no answer at 0x{address:08x}")
        await ctx.tick()  # the answer is taken at this edge
        ctx.set(bus.cyc, 0)
        ctx.set(bus.stb, 0)
        if err:
            raise BusError(hex(address))
        return got

    async def read(self, peripheral: str, name: str) -> int:
        return await self.load(BASES[peripheral] + REGISTERS[peripheral, name].offset)

    async def write(self, peripheral: str, name: str, value: int) -> None:
        await self.store(BASES[peripheral] + REGISTERS[peripheral, name].offset, value)

    async def load(self, address: int) -> int:
        return await self.access(address, 0, 0, 0b1111)

    async def store(self, address: int, value: int, n_bytes: int = 4) -> None:
        """As the CPU does it: the value is repeated over the word's lanes."""
        repeated = sum((value & (1 << 8 * n_bytes) - 1) << 8 * i for i in range(0, 4, n_bytes))
        await self.access(address, 1, repeated, ((1 << n_bytes) - 1) << address % 4)

    async def wait(self, n_cycles: int) -> None:
        await self.ctx.tick().repeat(n_cycles)


def field(register: Register, name: str, value: int) -> int:
    """A field of a register's value."""
    found = next(f for f in register.fields if f.name == name)
    return value >> found.lsb & (1 << found.width) - 1


def run(testbench: Callable[[Cpu], Awaitable[None]], *processes: Any) -> None:
    """Simulate the peripherals; `processes` are further testbenches, given the component."""
    top, m = Peripherals(CONFIG), Module()
    m.submodules.top = top
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_clock(1e-6, domain="npu")

    async def main(ctx: Any) -> None:
        await testbench(Cpu(ctx, top))

    simulator.add_testbench(main)
    for process in processes:
        simulator.add_testbench(_bind(process, top), background=True)
    simulator.run()


def _bind(process: Any, top: Peripherals) -> Any:
    async def bound(ctx: Any) -> None:
        await process(ctx, top)

    return bound
