"""The host's end against the firmware over a pseudo-terminal: bad links, cuts, wrong devices."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from norcim.chips import load_chip
from norcim.emulator.device import FLASH_SECTORS
from norcim.emulator.flash import FileFlash, NorFlash
from norcim.emulator.slots import SlotTable
from norcim.errors import NorcimError
from norcim.image import build_image
from norcim.spec.protocol import DEFAULT_BAUD
from norcim.transport import LinkError, open_device, probe_port
from norcim.transport.base import DeviceInfo
from norcim.transport.board import Board
from norcim.transport.noise import Noise
from norcim.transport.serial import SerialStream
from norcim.transport.wire import Patience
from norcim_cli.main import main
from tests.firmware.native import Library, MemoryNpu, make_config
from tests.unit.image.sample import sample_content, second_content, two_networks

pytest.importorskip("termios", reason="needs pseudo-terminals")
from tests.firmware.pty_link import InProcess, Process, PtyLink

QUICK = Patience(answer_s=0.15, erase_s=1.0, image_s=3.0, tries=6)
IMAGE = build_image(sample_content())
NEWER = build_image(sample_content(meta={"version": 2}))
LARGE = build_image(sample_content(weights=random.Random(1).randbytes(200_000)))
WINDOW_BYTES = 8 * 1024


def _error(call: Any, *arguments: Any) -> NorcimError:
    with pytest.raises(NorcimError) as caught:
        call(*arguments)
    return caught.value


def _board(link: PtyLink) -> Board:
    return Board(SerialStream(link.port), QUICK)


@pytest.fixture
def flash_file(tmp_path: Path) -> Path:
    """A flash in which IMAGE is active in slot 0."""
    path = tmp_path / "flash.bin"
    flash = FileFlash(path, FLASH_SECTORS)
    table = SlotTable(flash)
    (keep,) = table.recover()
    for at in range(0, len(IMAGE), 256):
        flash.program(3 * 4096 + at, IMAGE[at : at + 256])
    table.commit(0, len(IMAGE), IMAGE[96:128], keep=keep)
    flash.close()
    return path


@pytest.fixture
def host_process(fw_host: Path, flash_file: Path) -> Iterator[Process]:
    process = Process(fw_host, "--flash", flash_file)
    yield process
    process.stop()


def _cells(path: Path, slot: int, n: int) -> bytes:
    """A slot's bytes as the flash file has them."""
    raw = path.read_bytes()
    start = len(raw) - FLASH_SECTORS * 4096 + (3 + slot * 1024) * 4096
    return bytes(255 - value for value in raw[start : start + n])


def test_hello_over_a_serial_port(host_process: Process) -> None:
    with PtyLink(host_process) as link, open_device(link.port) as device:
        info = device.info()
        assert (info.abi_level, info.active_slot, info.loaded_slot) == (1, 0, None)
        assert (info.firmware_version, info.slot_bytes) == ("0.1.0", 4 * 2**20)
        assert device.log() == ["slot 0 sound, no NPU, counter 2"]
        assert device.verify(0) == IMAGE[96:128].hex()
        found = probe_port(link.port)
        assert isinstance(found, NorcimError)  # it is open here already
        assert found.id == "NC-E0603"


def test_probe_says_who_answers(host_process: Process) -> None:
    with PtyLink(host_process) as link:
        found = probe_port(link.port)
        assert isinstance(found, DeviceInfo)
        assert found.active_slot == 0


@pytest.mark.slow
def test_200_kb_over_a_good_and_over_a_bad_link(host_process: Process, flash_file: Path) -> None:
    for faults in ({}, {"drop": 0.01, "corrupt": 0.01, "seed": 3}):
        with PtyLink(host_process, **faults) as link, _board(link) as board:
            begin = time.monotonic()
            board.write(1, LARGE, resume=False)
            elapsed_s = time.monotonic() - begin
            print(f"\n{len(LARGE) / elapsed_s / 1000:.0f} kB/s, {link.n_faults} faults")
            assert board.wire.n_repeated > 0 or not faults
            assert link.n_faults > 3 or not faults
            assert board.verify(1) == LARGE[96:128].hex()
        assert _cells(flash_file, 1, len(LARGE)) == LARGE


@pytest.mark.slow
def test_a_line_with_bit_errors(host_process: Process, flash_file: Path) -> None:
    """1e-3 a bit: frames of 1,024 bytes never arrive, small ones carry 0.33 of the line and more.

    With 60 KB the search for the size counts; benchmarks/link.py has the figure for 2 MB.
    """
    image = LARGE[:61_440]
    with PtyLink(host_process, bit_errors=1e-3, seed=4) as link, _board(link) as board:
        before = link.to_device
        for offset in range(0, len(image), 4096):
            board._erase_sector(1, offset)
            board._program(1, offset, image[offset : offset + 4096])
        board.log()  # ends the last transfer
        share = len(image) / (link.to_device - before)
        print(f"\n{share:.3f} of the bytes are data, {board.wire.noise.data_bytes} a frame")
        assert share > 0.33
        assert board.wire.noise.data_bytes in (32, 48)
        assert 5e-4 < board.wire.noise.errors_per_bit < 2e-3
    assert _cells(flash_file, 1, len(image)) == image


def test_a_line_that_gets_better_goes_back_to_long_frames(
    host_process: Process, flash_file: Path
) -> None:
    image = LARGE[: 60 * 4096]
    with PtyLink(host_process) as link, _board(link) as board:
        board._is_noisy = True
        board.wire.noise = Noise(n_lost=2)
        for offset in range(0, len(image), 4096):
            board._erase_sector(1, offset)
            board._program(1, offset, image[offset : offset + 4096])
        board.log()
        assert not board._is_noisy
    assert _cells(flash_file, 1, len(image)) == image


@pytest.mark.slow
@pytest.mark.parametrize("restart", [False, True], ids=["unplugged", "power lost"])
def test_cut_at_random_offsets_resumes(fw_host: Path, tmp_path: Path, restart: bool) -> None:
    """Between both cases 20 offsets, each in a transfer that begins anew."""
    rng = random.Random(7 + restart)
    path = tmp_path / "flash.bin"
    images = [build_image(sample_content(weights=rng.randbytes(60_000))) for _ in range(10)]
    process = Process(fw_host, "--flash", path)
    for image in images:
        cut = rng.randrange(3000, len(image))
        with PtyLink(process, cut_after=cut) as link:
            error = _error(lambda link=link, image=image: _write(link, image))
            assert (error.id, error.exit_code) == ("NC-E0630", 5)
            assert isinstance(error, LinkError)
            sent_before = link.to_device
        if restart:
            process.stop()
            process = Process(fw_host, "--flash", path)
        with PtyLink(process) as link:
            _write(link, image)
            sent = sent_before + link.to_device
        assert _cells(path, 0, len(image)) == image
        # What is no data: the headers of all frames, and requests, at most 2 a sector and 2 x 50.
        n_sectors = len(image) // 4096 + 1
        overhead = 40 * (5 * n_sectors + 2 * n_sectors + 100)
        assert sent - len(image) <= WINDOW_BYTES + overhead
    process.stop()


def _write(link: PtyLink, image: bytes) -> None:
    with _board(link) as board:
        board.write(0, image)


def test_resumed_transfer_sends_at_most_a_window_again(fw_host: Path, tmp_path: Path) -> None:
    """Counted in data bytes that the device is given twice."""
    process = Process(fw_host, "--flash", tmp_path / "flash.bin")
    given: list[tuple[int, int]] = []

    class Counting(Board):
        def _program(self, slot: int, offset: int, data: bytes) -> None:
            given.append((offset, len(data)))
            super()._program(slot, offset, data)

    for cut in (9_000, 20_000, 33_333):
        with PtyLink(process, cut_after=cut) as link:
            board = Counting(SerialStream(link.port), QUICK)
            assert _error(board.write, 0, LARGE).id == "NC-E0630"
            board.close()
            reached = given[-1][0] + 4096
        given.clear()
        with PtyLink(process) as link, Counting(SerialStream(link.port), QUICK) as board:
            board.write(0, LARGE)
            assert 0 <= reached - given[0][0] <= WINDOW_BYTES
        given.clear()
        with PtyLink(process) as link, _board(link) as board:
            board._erase_sector(0, 0)
    process.stop()


def test_device_that_restarts_during_a_write_is_followed(
    fw_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(fw_host, "--flash", tmp_path / "flash.bin")
    with PtyLink(process) as link, _board(link) as board:
        program, n_calls = board._program, []

        def restart_once(slot: int, offset: int, data: bytes) -> None:
            n_calls.append(offset)
            if len(n_calls) == 5:
                board.reset()
            program(slot, offset, data)

        monkeypatch.setattr(board, "_program", restart_once)
        board.write(1, LARGE)
        assert board.verify(1) == LARGE[96:128].hex()
    process.stop()


def test_second_opener_is_refused(host_process: Process) -> None:
    with PtyLink(host_process) as link, _board(link):
        error = _error(open_device, link.port)
        assert (error.id, error.exit_code) == ("NC-E0603", 5)


def test_port_that_is_not_there() -> None:
    error = _error(open_device, "/dev/nothing-here")
    assert (error.id, error.exit_code) == ("NC-E0635", 5)


def test_port_that_is_no_board() -> None:
    with PtyLink(None) as link:
        error = _error(_board, link)
        assert (error.id, error.exit_code) == ("NC-E0631", 5)
        probed = probe_port(link.port)
        assert isinstance(probed, NorcimError)
        assert probed.id == "NC-E0631"


def test_board_that_stops_answering(host_process: Process, flash_file: Path) -> None:
    for limit in (30_000, 30_100):
        with PtyLink(host_process, mute_after=limit) as link, _board(link) as board:
            error = _error(board.write, 1, LARGE)
            assert (error.id, error.exit_code) == ("NC-E0632", 5)
    _assert_old_image(host_process)


def _assert_old_image(process: Process) -> None:
    with PtyLink(process) as link, _board(link) as board:
        assert board.info().active_slot == 0
        assert board.verify(0) == IMAGE[96:128].hex()
        board.reset()
        assert board.info().active_slot == 0


def _refused_by(
    fw_host: Path, flash_file: Path, image: bytes, *arguments: object
) -> tuple[str, int]:
    """What a write is refused with, once it is sure that nothing in the flash has changed."""
    before = flash_file.read_bytes()
    process = Process(fw_host, "--flash", flash_file, *arguments)
    try:
        with PtyLink(process) as link, _board(link) as board:
            error = _error(board.write, 1, image)
            active = board.info().active_slot
            assert active == 0 or arguments
    finally:
        process.stop()
    assert flash_file.read_bytes()[-8_000_000:] == before[-8_000_000:]
    process = Process(fw_host, "--flash", flash_file)
    _assert_old_image(process)
    process.stop()
    return error.id, error.exit_code


def test_wrong_abi_level_is_refused_before_anything_is_erased(
    fw_host: Path, flash_file: Path
) -> None:
    assert _refused_by(fw_host, flash_file, NEWER, "--abi", 2) == ("NC-E0627", 3)


def test_damaged_image_is_refused(fw_host: Path, flash_file: Path) -> None:
    damaged = bytearray(NEWER)
    damaged[2000] ^= 1
    assert _refused_by(fw_host, flash_file, bytes(damaged)) == ("NC-E0516", 3)


def test_image_for_another_chip_is_refused(fw_host: Path, flash_file: Path) -> None:
    chip = load_chip("overlay")
    arguments = ("--chip", chip.name, chip.fingerprint)
    assert _refused_by(fw_host, flash_file, NEWER, *arguments) == ("NC-E0615", 3)


def test_networks_of_an_image(lib: Library) -> None:
    device = InProcess(lib, NorFlash(7), config=make_config(2), npu=MemoryNpu())
    with PtyLink(device) as link, _board(link) as board:
        board.write(0, build_image(two_networks()))
        board.activate(0)
        for index, alone in ((1, second_content()), (0, sample_content()), (1, second_content())):
            board.select(index)
            assert board.run([alone.kat_input]) == [alone.kat_output]
            assert [c.descriptor for c in board.counters()] == list(range(len(alone.program)))
            board.put([alone.kat_input[:32]])
            assert len(board.step(0, 100)) == len(alone.program) - 1
            assert board.read_memory(alone.ports[1].addr, 4) == alone.kat_output[:4]
        assert _error(board.select, 2).id == "NC-E0612"
        board.load()
        assert board.run([sample_content().kat_input]) == [sample_content().kat_output]


def test_image_that_is_too_large_is_refused(fw_host: Path, flash_file: Path) -> None:
    image = build_image(sample_content(weights=bytes(4 * 2**20)))
    assert _refused_by(fw_host, flash_file, image) == ("NC-E0616", 3)


def test_device_without_an_npu_says_so(host_process: Process) -> None:
    with PtyLink(host_process) as link, _board(link) as board:
        board.write(1, NEWER)
        for call, argument in ((board.activate, 1), (board.load, 1)):
            error = _error(call, argument)
            assert (error.id, error.exit_code) == ("NC-E0629", 5)
        assert board.info().active_slot == 0


def test_flash_activate_run_with_an_npu(lib: Library) -> None:
    """The whole way over a bad link, the NPU played by the golden arithmetic."""
    npu = MemoryNpu()
    device = InProcess(lib, NorFlash(7), config=make_config(2), npu=npu)
    content = sample_content()
    with PtyLink(device, drop=0.02, corrupt=0.02, seed=5) as link, _board(link) as board:
        board.write(0, IMAGE)
        board.activate(0)
        assert board.run([content.kat_input]) == [content.kat_output]
        assert len(board.counters()) == len(content.program)
        assert any("committed" in line for line in board.log())
        board.reset()
        info = board.info()
        assert (info.active_slot, info.loaded_slot) == (0, 0)
        assert board.run([content.kat_input]) == [content.kat_output]
        error = _error(board.run, [bytes(33)])
        assert error.id == "NC-E0612"
        assert "n * 32" in error.expected
        npu.wrong = True
        board.write(1, NEWER)
        assert _error(board.activate, 1).id == "NC-E0628"
        assert board.info().active_slot == 0
    device.stop()


def test_flash_and_verify_as_a_user_types_it(
    lib: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = InProcess(lib, NorFlash(7), config=make_config(2), npu=MemoryNpu())
    image = tmp_path / "a.cim"
    image.write_bytes(IMAGE)
    with PtyLink(device) as link:
        assert main(["flash", str(image), "--port", link.port]) == 0
        assert "written and verified, active" in capsys.readouterr().out
        assert main(["flash", str(image), "--port", link.port]) == 0
        assert "there already" in capsys.readouterr().out
        assert main(["verify", str(image), "--port", link.port]) == 0
        image.write_bytes(NEWER)
        assert main(["verify", str(image), "--port", link.port]) == 4
    assert device.device.active_slot == 0
    device.stop()


def test_baud_rate_is_changed_and_proved(lib: Library) -> None:
    device = InProcess(lib, NorFlash(7), config=make_config(2))
    with PtyLink(device) as link, _board(link) as board:
        assert board.set_baud(1_000_000) == 1_000_000
        assert device.device.bauds == [1_000_000]
        assert _error(board.set_baud, 20_000_000).id == "NC-E0612"
        assert board.info().n_slots == 2
    device.stop()


class Deaf(InProcess):
    """A device that hears only what is sent at its own rate, and no rate but some works."""

    works = (DEFAULT_BAUD,)
    host_rate = DEFAULT_BAUD

    def send(self, data: bytes) -> None:
        self.device.poll()
        rate = (self.device.bauds or [DEFAULT_BAUD])[-1]
        if rate == self.host_rate and rate in self.works:
            super().send(data)


class Quick(Deaf):
    works = (DEFAULT_BAUD, 1_000_000)


@pytest.fixture
def follow_rate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pseudo-terminal has no rate: tell the device what the host's port is set to."""
    honest = SerialStream.set_baud

    def set_baud(self: SerialStream, baud: int) -> None:
        honest(self, baud)
        Deaf.host_rate = baud

    monkeypatch.setattr(SerialStream, "set_baud", set_baud)
    yield
    Deaf.host_rate = DEFAULT_BAUD


@pytest.mark.usefixtures("follow_rate")
@pytest.mark.parametrize(
    ("kind", "asked", "used"),
    [
        (Deaf, 1_000_000, DEFAULT_BAUD),
        (Quick, 1_000_000, 1_000_000),
        (Quick, 11_000_000, DEFAULT_BAUD),
    ],
)
def test_rate_that_does_not_work_is_given_up(
    lib: Library, kind: type[Deaf], asked: int, used: int, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """It is not heard there, it works, or the device refuses it; afterwards all is as before."""
    device = kind(lib, NorFlash(7), config=make_config(2), npu=MemoryNpu())
    image = tmp_path / "a.cim"
    image.write_bytes(IMAGE)
    with PtyLink(device) as link:
        assert main(["flash", str(image), "--port", link.port, "--baud", str(asked)]) == 0
        said = f"does not work at {asked:,} baud: it goes on at {DEFAULT_BAUD:,}"
        assert (said in capsys.readouterr().err) == (used == DEFAULT_BAUD)
        assert device.device.bauds[-1:] in ([], [DEFAULT_BAUD])
        Deaf.host_rate = DEFAULT_BAUD  # a port that is opened anew
        with open_device(link.port) as board:
            assert board.baud == DEFAULT_BAUD
    device.stop()


@pytest.mark.usefixtures("follow_rate")
def test_device_left_at_another_rate_is_found_there(lib: Library) -> None:
    """As after a session that was killed: the device stays at the rate that had proved itself."""
    device = Quick(lib, NorFlash(7), config=make_config(2))
    with PtyLink(device) as link:
        killed = Board(SerialStream(link.port), QUICK, baud=1_000_000)
        killed.wire.close()
        Deaf.host_rate = DEFAULT_BAUD
        assert device.device.bauds == [1_000_000]
        assert _error(Board, SerialStream(link.port), QUICK).id == "NC-E0631"
        with Board(SerialStream(link.port), QUICK, baud=1_000_000) as board:
            assert board.baud == 1_000_000
    device.stop()
