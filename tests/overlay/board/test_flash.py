"""The virtual board's flash against the device model's, and the rules of NOR at the pins."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from norcim.emulator.flash import DeviceFault, FileFlash, NorFlash
from norcim.errors import NorcimError
from norcim.spec.protocol import PAGE_BYTES, SECTOR_BYTES
from tests.overlay.board.flash_bench import FRESH, PROGRAM, WORN, FlashBench, compile_shim

pytestmark = pytest.mark.slow
SECTORS = 16
READS = (0x03, 0x0B, 0x3B, 0x6B, 0xBB, 0xEB)


@pytest.fixture(scope="module")
def library(tools: None, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compile_shim(tmp_path_factory.mktemp("flash"))


@pytest.fixture
def flash(library: ctypes.CDLL) -> Iterator[FlashBench]:
    bench = FlashBench(library, SECTORS)
    yield bench
    bench.close()


def test_it_says_who_it_is(flash: FlashBench) -> None:
    assert flash.transfer(b"\x9f", 6).hex() == "ef4010" * 2
    assert flash.transfer(b"\x90\0\0\0", 2).hex() == "ef0f"
    assert flash.transfer(b"\xab\0\0\0", 1).hex() == "0f"
    assert flash.transfer(b"\x4b\0\0\0\0", 8).hex() == "0000000000001234"
    assert flash.transfer(b"\x35", 1) == b"\x02"


def random_operation(rng: random.Random, flash: FlashBench, model: NorFlash) -> None:
    """One operation on both."""
    kind = rng.choice(("erase", "program", "program", "program", "read", "read"))
    sector = rng.randrange(SECTORS)
    offset = sector * SECTOR_BYTES + rng.randrange(SECTOR_BYTES)
    if kind == "erase":
        flash.erase(offset)
        model.erase(sector)
    elif kind == "program":
        n_most = PAGE_BYTES - offset % PAGE_BYTES
        data = rng.randbytes(rng.choice((1, n_most, rng.randint(1, n_most))))
        flash.program(offset, data, quad=rng.random() < 0.3)
        with suppress(DeviceFault):
            model.program(offset, data)
    else:
        n = rng.randint(1, 600)
        found = flash.read(offset, n, rng.choice(READS))
        assert found == (bytes(model.data) * 2)[offset : offset + n]


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_leave_what_the_device_model_leaves(
    library: ctypes.CDLL, tmp_path: Path, seed: int
) -> None:
    rng, bench, model = random.Random(seed), FlashBench(library, SECTORS), NorFlash(SECTORS)
    assert bench.open(tmp_path / "flash.bin") == 0
    n_refused = 0
    for _ in range(400):
        before = bench.counts.trapped
        random_operation(rng, bench, model)
        n_refused += bench.counts.trapped - before
    counts = bench.counts
    assert bench.cells == bytes(model.data)
    assert n_refused > 10
    assert counts.fault
    assert (counts.not_enabled, counts.while_busy, counts.cut_short, counts.unknown) == (0, 0, 0, 0)
    assert [bench.erase_count(sector) for sector in range(SECTORS)] == model.erase_counts
    bench.close()
    kept = FileFlash(tmp_path / "flash.bin", SECTORS)  # the device model reads the same file
    assert (kept.data, kept.erase_counts) == (model.data, model.erase_counts)
    kept.close()
    again = FlashBench(library, SECTORS)
    assert again.open(tmp_path / "flash.bin") == 0
    assert again.cells == bytes(model.data)
    for page in range(0, len(model.data), PAGE_BYTES):  # it knows which pages are programmed
        is_blank = set(model.data[page : page + PAGE_BYTES]) == {0xFF}
        before = again.counts.trapped
        again.program(page, b"\xfe")
        assert again.counts.trapped - before == (not is_blank)
    again.close()


def test_a_page_wraps_round_within_itself(flash: FlashBench) -> None:
    flash.program(0x1F0, bytes(range(32)))
    assert flash.read(0x100, 16) == bytes(range(16, 32))
    assert flash.read(0x1F0, 16) == bytes(range(16))
    flash.program(0x200, bytes(256) + b"\x55" * 8)  # the last 256 bytes count
    assert flash.read(0x200, 256) == b"\x55" * 8 + bytes(248)
    assert not flash.counts.fault


def test_programming_a_programmed_page_is_trapped(flash: FlashBench) -> None:
    flash.program(0x300, b"\xf0")
    flash.program(0x300, b"\x0f")
    assert flash.read(0x300, 1) == b"\xf0"
    assert (flash.counts.trapped, flash.counts.fault) == (1, 1)
    assert "page at 0x000300 is not erased" in flash.log
    flash.erase(0x300)
    flash.program(0x300, b"\x0f")
    assert flash.read(0x300, 1) == b"\x0f"
    assert flash.counts.fault  # it stays


def test_nothing_is_changed_without_write_enable(flash: FlashBench) -> None:
    flash.transfer(b"\x02\0\0\0\x00")
    flash.transfer(b"\x20\0\0\0")
    flash.enable()
    assert flash.status() == 2
    flash.transfer(b"\x04")
    flash.transfer(b"\x02\0\0\0\x00")
    flash.wait(PROGRAM)
    assert (flash.counts.not_enabled, flash.counts.programs) == (3, 0)
    flash.program(0, b"\x00")
    flash.transfer(b"\x02\0\2\0\x00")  # one enable is good for one operation
    assert (flash.counts.not_enabled, flash.counts.programs) == (4, 1)


@pytest.mark.parametrize(
    "data", [b"\x02\0\0\0", b"\x02\0\0", b"\x20\0\0", b"\x20\0\0\0\0", b"\x06\0"]
)
def test_commands_of_another_length_do_nothing(flash: FlashBench, data: bytes) -> None:
    flash.enable()
    flash.transfer(data)
    flash.wait(20 * WORN)
    assert (flash.counts.cut_short, flash.counts.programs, flash.counts.sector_erases) == (1, 0, 0)
    assert flash.transfer(b"\x77", 1) == b"\xff"
    assert flash.counts.unknown == 1


def test_a_busy_flash_answers_nothing_but_its_status(flash: FlashBench) -> None:
    flash.program(0, b"\x00" * 4)
    flash.start_program(0x100, b"\x12")
    assert flash.status() == 3
    assert flash.read(0, 4) == b"\xff" * 4
    flash.transfer(b"\x06")
    flash.start_erase(0)
    assert flash.counts.while_busy == 4
    flash.wait(PROGRAM)
    assert flash.status() == 0
    assert flash.read(0, 4) == b"\x00" * 4
    assert flash.read(0x100, 1) == b"\x12"


def busy_time(flash: FlashBench, step: int) -> int:
    n = 0
    while flash.counts.busy:
        flash.wait(step)
        n += step
    return n


def test_busy_times_and_wear(flash: FlashBench) -> None:
    flash.start_program(0, b"\x00")
    assert abs(busy_time(flash, 1000) - PROGRAM) <= 1000
    flash.start_erase(0)
    assert abs(busy_time(flash, 10_000) - FRESH) <= 10_000
    for _ in range(1000):
        flash.erase(0)
    flash.start_erase(0)
    worn = FRESH + (WORN - FRESH) * 1001 // 100_000
    assert abs(busy_time(flash, 10_000) - worn) <= 10_000


@pytest.mark.parametrize(
    ("opcode", "sectors"),
    [(0x20, [10]), (0x52, range(8, 16)), (0xD8, range(16)), (0xC7, range(16)), (0x60, range(16))],
)
def test_erasures_of_blocks(flash: FlashBench, opcode: int, sectors: range) -> None:
    for sector in range(SECTORS):
        flash.program(sector * SECTOR_BYTES + 7, b"\x00")
    flash.enable()
    flash.transfer(bytes([opcode]) + (b"" if opcode in (0xC7, 0x60) else b"\x00\xa1\x23"))
    flash.wait(20 * WORN)
    left = [s for s in range(SECTORS) if flash.read(s * SECTOR_BYTES + 7, 1) == b"\x00"]
    assert left == [s for s in range(SECTORS) if s not in sectors]


def test_a_read_may_go_on_without_its_command_byte(flash: FlashBench) -> None:
    flash.program(0, bytes(range(64)))
    assert flash.read(8, 2, 0xEB, mode=0x20) == bytes([8, 9])
    flash.select()
    flash.send(b"\x00\x00\x10\xff", 4)
    flash.clocks(4)
    assert flash.receive(2, 4) == bytes([16, 17])
    flash.deselect()
    assert flash.read(3, 1) == b"\x03"  # mode bits ended it


def test_power_down(flash: FlashBench) -> None:
    flash.program(0, b"\x01")
    flash.transfer(b"\xb9")
    assert flash.read(0, 1) == b"\xff"
    flash.transfer(b"\xab")
    assert flash.read(0, 1) == b"\x01"
    flash.enable()
    flash.transfer(b"\x99")
    assert flash.status() == 2
    flash.transfer(b"\x66")
    flash.transfer(b"\x99")
    assert flash.status() == 0


def test_two_drivers_on_a_line_are_noticed(flash: FlashBench) -> None:
    flash.select()
    flash.send(b"\x9f")
    assert not flash.counts.contended
    flash.drive_all()
    assert (flash.counts.contended, flash.counts.fault) == (1, 1)


def test_a_torn_program_clears_some_of_its_bits(flash: FlashBench) -> None:
    n_unsteady = 0
    for page in range(24):
        data = bytes([0x0F]) * 256
        flash.arm(0, 500)
        flash.start_program(page * 256, data)
        assert not flash.cut_due()
        flash.wait(PROGRAM // 2)
        assert flash.cut_due()
        flash.wait(PROGRAM)  # no operation outlives its cut
        assert flash.counts.busy
        flash.power(False)
        reads = set()
        for _ in range(6):
            flash.power(True)
            found = flash.read(page * 256, 256)
            assert all(byte & 0x0F == 0x0F for byte in found)
            reads.add(found)
            flash.power(False)
        flash.power(True)
        n_unsteady += len(reads) > 1
        flash.program(page * 256, data)
        assert flash.counts.trapped == page + 1
    assert n_unsteady >= 20  # marginal bits read either way
    assert flash.counts.torn == 24
    for sector in range(2):
        flash.erase(sector * SECTOR_BYTES)
    assert flash.counts.marginal_bytes == 0
    assert flash.read(0, 24 * 256) == b"\xff" * 24 * 256


def test_a_torn_erasure_sets_some_of_its_bits(flash: FlashBench) -> None:
    for page in range(16):
        flash.program(page * 256, b"\x33" * 256)
    flash.program(0x1000, b"\x00")
    flash.start_erase(0)
    flash.wait(FRESH // 2)
    flash.power(False)
    flash.power(True)
    found = flash.read(0, SECTOR_BYTES)
    assert all(byte & 0x33 == 0x33 for byte in found)
    assert found not in (b"\x33" * SECTOR_BYTES, b"\xff" * SECTOR_BYTES)
    assert flash.read(0x1000, 1) == b"\x00"
    flash.program(0, b"\x00")
    assert flash.counts.trapped == 1
    assert flash.erase_count(0) == 1


def test_a_cut_waits_for_its_operation(flash: FlashBench) -> None:
    flash.arm(1, 0)
    flash.program(0, b"\x00")
    assert not flash.cut_due()
    flash.start_program(0x100, b"\x00")
    assert flash.cut_due()
    flash.power(False)
    assert flash.read(0, 1) == b"\x00"
    flash.program(0x200, b"\x00")
    assert not flash.cut_due()


def test_files_that_cannot_be_used(library: ctypes.CDLL, tmp_path: Path) -> None:
    first, second = FlashBench(library, SECTORS), FlashBench(library, SECTORS)
    path = tmp_path / "flash.bin"
    assert first.open(path) == 0
    assert second.open(path) == 2
    with pytest.raises(NorcimError) as refused:
        FileFlash(path, SECTORS)
    assert refused.value.id == "NC-E0603"
    first.close()
    other = FlashBench(library, SECTORS + 1)
    assert other.open(path) == 1
    (tmp_path / "text").write_text("no flash")
    for name in ("text", ".", "missing/flash.bin"):
        assert FlashBench(library, SECTORS).open(tmp_path / name) == 1
