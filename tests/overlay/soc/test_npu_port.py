"""The NPU as the CPU sees it: windows in bytes, half words and words, registers, a program."""

from __future__ import annotations

import numpy as np
import pytest

from norcim.spec.error_codes import DeviceError
from norcim.spec.program import DESCRIPTOR_WORDS, Descriptor, Opcode
from norcim.spec.record import pack_record
from tests.overlay.soc.bus import BASES, REGISTERS, SIZES, BusError, Cpu, field, run

N_BYTES = {"ACTIVATIONS": SIZES.n_activation_bytes, "WEIGHTS": SIZES.n_weight_bytes,
           "RECORDS": 4 * SIZES.n_record_words}  # fmt: skip
STATUS = REGISTERS["NPU", "STATUS"]


def test_windows_take_bytes_half_words_and_words() -> None:
    rng = np.random.default_rng(7)

    async def testbench(cpu: Cpu) -> None:
        for name in ("ACTIVATIONS", "WEIGHTS"):
            expected = np.zeros(N_BYTES[name], np.uint8)
            for _ in range(60):
                n = int(rng.choice([1, 2, 4]))
                at = int(rng.integers(64 // n)) * n + int(rng.choice([0, N_BYTES[name] - 64]))
                value = int(rng.integers(1 << 32))
                await cpu.store(BASES[name] + at, value, n)
                expected[at : at + n] = np.frombuffer(value.to_bytes(4, "little"), np.uint8)[:n]
            for at in [*range(0, 64, 4), *range(N_BYTES[name] - 64, N_BYTES[name], 4)]:
                due = int.from_bytes(expected[at : at + 4].tobytes(), "little")
                assert await cpu.load(BASES[name] + at) == due, (name, at)

    run(testbench)


def test_records_are_written_in_whole_words() -> None:
    async def testbench(cpu: Cpu) -> None:
        base = BASES["RECORDS"]
        await cpu.store(base + 4, 0x11223344)
        for n in (1, 2):
            with pytest.raises(BusError):
                await cpu.store(base + 4, 0, n)
        assert await cpu.load(base + 4) == 0x11223344

    run(testbench)


def test_windows_do_not_overlap() -> None:
    async def testbench(cpu: Cpu) -> None:
        for index, name in enumerate(N_BYTES):
            await cpu.store(BASES[name] + 8, 0x1000 + index)
        for index, name in enumerate(N_BYTES):
            assert await cpu.load(BASES[name] + 8) == 0x1000 + index

    run(testbench)


def _copy() -> Descriptor:
    """One row of 5 bytes from address 16 to address 100."""
    return Descriptor(
        opcode=Opcode.COPY, in_addr=16, in_row_stride=5, in_pixel_stride=5, in_channel_stride=1,
        in_h=1, in_w=1, in_c=5, out_c=5, out_h=1, out_w=1, out_addr=100, out_row_stride=5,
        out_pixel_stride=5, out_channel_stride=1, kernel_h=1, kernel_w=1, stride_h=1, stride_w=1,
        dilation_h=1, dilation_w=1, clamp_hi=255,
    )  # fmt: skip


async def _load_program(cpu: Cpu, *program: Descriptor) -> None:
    words = b"".join(pack_record(d, DESCRIPTOR_WORDS) for d in program)
    for at in range(0, len(words), 4):
        await cpu.store(BASES["RECORDS"] + at, int.from_bytes(words[at : at + 4], "little"))
    await cpu.write("NPU", "LAYOUT_N_DESCRIPTORS", len(program))
    await cpu.write("NPU", "LAYOUT_N_ACTIVATION_BYTES", N_BYTES["ACTIVATIONS"])


async def _run(cpu: Cpu) -> int:
    await cpu.write("NPU", "CONTROL", 1)
    for _ in range(200):
        status = await cpu.read("NPU", "STATUS")
        if not field(STATUS, "busy", status):
            return status
    raise AssertionError("the NPU does not end")


def test_a_program_runs_and_is_counted() -> None:
    async def testbench(cpu: Cpu) -> None:
        await _load_program(cpu, _copy(), Descriptor(opcode=Opcode.END))
        await cpu.store(BASES["ACTIVATIONS"] + 16, 0x04030201)
        await cpu.store(BASES["ACTIVATIONS"] + 20, 0x05, 1)
        status = await _run(cpu)
        assert field(STATUS, "done", status) == 1
        assert field(STATUS, "error", status) == 0
        assert await cpu.load(BASES["ACTIVATIONS"] + 100) == 0x04030201
        assert await cpu.load(BASES["ACTIVATIONS"] + 104) & 0xFF == 0x05
        assert await cpu.read("NPU", "DESCRIPTOR") == 1
        await cpu.write("NPU", "COUNTER_SELECT", 0)
        cycles = await cpu.read("NPU", "CYCLES")
        assert 10 < cycles < await cpu.read("NPU", "RUN_CYCLES") < 1000
        await cpu.write("NPU", "CONTROL", 1 << 2)
        while field(STATUS, "clearing", await cpu.read("NPU", "STATUS")):
            pass
        assert await cpu.read("NPU", "CYCLES") == 0

    run(testbench)


def test_an_error_and_its_place_are_seen() -> None:
    bad = Descriptor(opcode=0xEE)

    async def testbench(cpu: Cpu) -> None:
        await _load_program(cpu, _copy(), bad)
        status = await _run(cpu)
        assert field(STATUS, "error", status) == DeviceError.BAD_OPCODE
        assert await cpu.read("NPU", "DESCRIPTOR") == 1
        await cpu.write("NPU", "FIRST", 1)
        await _run(cpu)
        assert await cpu.read("NPU", "DESCRIPTOR") == 1

    run(testbench)


def test_the_clock_stops_when_nothing_is_to_be_done() -> None:
    active: list[int] = []

    async def watch(ctx: object, top: object) -> None:
        async for _, _, value in ctx.tick().sample(top.npu_active):  # type: ignore[attr-defined]
            active.append(int(value))

    async def testbench(cpu: Cpu) -> None:
        await cpu.wait(50)
        assert active[0] == 1  # from reset on
        assert active[-1] == 0
        await _load_program(cpu, _copy(), Descriptor(opcode=Opcode.END))
        await cpu.write("NPU", "CONTROL", 1)
        n = len(active)
        for _ in range(3):
            await cpu.wait(5)
            assert all(active[n:])  # no access, but it runs
        await cpu.wait(400)
        assert active[-1] == 0

    run(testbench, watch)
