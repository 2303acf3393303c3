"""The gateware's memory map is the one of the spec."""

from __future__ import annotations

import pytest

from norcim.spec.program import ABI_LEVEL
from norcim.spec.registers import PERIPHERALS
from norcim_overlay.soc.config import gateware_id
from tests.overlay.soc.bus import BASES, CONFIG, SIZES, BusError, Cpu, run

BUILT = {
    ("SYSTEM", "GATEWARE"): gateware_id(CONFIG),
    ("SYSTEM", "CLOCK_HZ"): 4000,
    ("SYSTEM", "UART_HZ"): 8000,
    ("SYSTEM", "UNIQUE_ID_LO"): 0x55667788,
    ("SYSTEM", "UNIQUE_ID_HI"): 0x11223344,
    ("SYSTEM", "FLASH_BASE"): 0x200000,
    ("SYSTEM", "FLASH_BYTES"): 4 << 20,
    ("SYSTEM", "RECEIVE_BYTES"): 16,
    ("NPU", "ID"): ABI_LEVEL | 8 << 16,
    ("NPU", "ACTIVATION_BYTES"): SIZES.n_activation_bytes,
    ("NPU", "WEIGHT_BYTES"): SIZES.n_weight_bytes,
    ("NPU", "RECORD_WORDS"): SIZES.n_record_words,
    ("NPU", "N_DESCRIPTORS"): SIZES.n_descriptors,
    ("UART", "DATA"): 0,
    ("UART", "STATUS"): 1 << 31 | 4 << 16,
    ("FLASH", "STATUS"): 0b10,
}
ACTING = {("SYSTEM", "WATCHDOG"), ("FLASH", "DATA"), ("UART", "DATA")}
RUNNING = {("TIMER", "MILLISECONDS"), ("TIMER", "CYCLES")}


@pytest.mark.parametrize("peripheral", PERIPHERALS, ids=lambda p: p.name)
def test_every_register_is_where_the_spec_says(peripheral: object) -> None:
    async def testbench(cpu: Cpu) -> None:
        for register in peripheral.registers:  # type: ignore[attr-defined]
            key = (peripheral.name, register.name)  # type: ignore[attr-defined]
            due = BUILT.get(key, register.reset)
            if key not in RUNNING:
                assert await cpu.read(*key) == due, register.name
        for index, register in enumerate(peripheral.registers):  # type: ignore[attr-defined]
            if register.access == "rw":
                await cpu.write(peripheral.name, register.name, 0x80 + index)  # type: ignore[attr-defined]
        for index, register in enumerate(peripheral.registers):  # type: ignore[attr-defined]
            key = (peripheral.name, register.name)  # type: ignore[attr-defined]
            if register.access == "rw":
                assert await cpu.read(*key) == 0x80 + index, register.name
            elif key not in ACTING | RUNNING | {("FLASH", "STATUS")}:
                assert await cpu.read(*key) == BUILT.get(key, register.reset), register.name

    run(testbench)


def test_what_is_not_there_is_a_bus_error() -> None:
    taken = {p.base + r.offset for p in PERIPHERALS for r in p.registers}
    holes = [p.base + offset for p in PERIPHERALS for offset in range(0, 256, 4)]
    elsewhere = [0x8000_0500, 0x8000_FF00, 0x8001_0100, 0x8400_0000, 0xFFFF_FFFC]
    elsewhere += [BASES["ACTIVATIONS"] + SIZES.n_activation_bytes,
                  BASES["WEIGHTS"] + SIZES.n_weight_bytes,
                  BASES["RECORDS"] + 4 * SIZES.n_record_words]  # fmt: skip

    async def testbench(cpu: Cpu) -> None:
        for address in [a for a in holes if a not in taken] + elsewhere:
            with pytest.raises(BusError):
                await cpu.load(address)
            with pytest.raises(BusError):
                await cpu.store(address, 1)
        assert await cpu.read("SYSTEM", "CLOCK_HZ") == 4000  # it goes on

    run(testbench)


def test_time_passes_and_the_watchdog_bites_once() -> None:
    seen: list[int] = []

    async def watch(ctx: object, top: object) -> None:
        async for _, _, request in ctx.tick().sample(top.reset_request):  # type: ignore[attr-defined]
            seen.append(int(request))

    async def testbench(cpu: Cpu) -> None:
        first = [await cpu.read("TIMER", name) for name in ("MILLISECONDS", "CYCLES")]
        await cpu.wait(4 * 50)
        last = [await cpu.read("TIMER", name) for name in ("MILLISECONDS", "CYCLES")]
        assert 50 <= last[0] - first[0] <= 52  # 4 cycles a millisecond
        assert 200 <= last[1] - first[1] <= 210
        await cpu.write("SYSTEM", "WATCHDOG", 20)
        await cpu.wait(4 * 10)
        assert 8 <= await cpu.read("SYSTEM", "WATCHDOG") <= 11
        await cpu.write("SYSTEM", "WATCHDOG", 20)
        await cpu.wait(4 * 15)
        assert sum(seen) == 0  # it was fed
        await cpu.wait(4 * 10)
        assert sum(seen) == 1
        assert await cpu.read("SYSTEM", "CAUSE") == 0b10
        await cpu.write("SYSTEM", "RESET", 0)
        assert sum(seen) == 1
        await cpu.write("SYSTEM", "RESET", 1)
        await cpu.wait(1)
        assert sum(seen) == 2
        assert await cpu.read("SYSTEM", "CAUSE") == 0b01
        cpu.ctx.set(cpu.top.bus_error, 1)
        await cpu.wait(1)
        cpu.ctx.set(cpu.top.bus_error, 0)
        await cpu.wait(1)
        assert sum(seen) == 3
        assert await cpu.read("SYSTEM", "CAUSE") == 0b100

    run(testbench, watch)
