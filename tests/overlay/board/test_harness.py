"""The virtual board's harness around a stand-in for the SoC: line, flash, switch, files."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import serial
from amaranth.back import rtlil

from norcim.errors import NorcimError
from norcim.transport.virtual import board_files, list_virtual_boards, stop_board
from norcim_overlay.sim.toolchain import build
from norcim_overlay.sim.virtual_board import (
    BuiltBoard,
    Options,
    VirtualBoard,
    board_program,
    start,
)
from tests.overlay.board.bridge import DIVISOR, Bridge

pytestmark = pytest.mark.slow
OPTIONS = Options("bridge", uart_hz=115200 * DIVISOR)
LETTERS = bytes(range(65, 91))
WAIT_S = 60  # for what has to come: the machine may be busy


@pytest.fixture(scope="module")
def program(tools: None) -> BuiltBoard:
    return BuiltBoard(
        build(board_program(rtlil.convert(Bridge(), name="soc_core", emit_src=False)))
    )


@pytest.fixture
def board(program: BuiltBoard, boards: Path) -> Iterator[VirtualBoard]:
    with start(program, OPTIONS) as running:
        yield running


class Host:
    """Talks to the bridge."""

    def __init__(self, port: str) -> None:
        self.serial = serial.Serial(port, 115200, timeout=WAIT_S, exclusive=True)

    def transfer(self, data: bytes, n: int = 0) -> bytes:
        self.serial.write(struct.pack("<HH", len(data), n) + data)
        return self.serial.read(max(n, 1))

    def program(self, offset: int, data: bytes) -> None:
        self.transfer(b"\x06")
        self.transfer(b"\x02" + offset.to_bytes(3, "big") + data)
        while self.transfer(b"\x05", 1) != b"\0":
            pass

    def read(self, offset: int, n: int) -> bytes:
        return self.transfer(b"\x03" + offset.to_bytes(3, "big"), n)


@contextlib.contextmanager
def host(board: VirtualBoard) -> Iterator[Host]:
    connected = Host(board.port)
    yield connected
    connected.serial.close()


def until(condition: object) -> None:
    """Wait until something is so; fails after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bytes_reach_the_flash_and_come_back(board: VirtualBoard) -> None:
    with host(board) as bridge:
        assert bridge.transfer(b"\x9f", 3).hex() == "ef4016"
        bridge.program(0x1000, LETTERS)
        assert bridge.read(0x1000, 5000) == LETTERS + b"\xff" * (5000 - 26)
    status, flash = board.command("status"), board.command("flash")
    assert status["bytes_to_host"] > 5000
    assert status["npu_cycles"] == status["bytes_to_host"]  # a cycle of that clock for each byte
    assert (status["framing_errors"], status["bytes_dropped"]) == (0, 0)
    assert (flash["programs"], flash["bytes"], flash["fault"]) == (1, 4 << 20, False)


def test_a_host_at_another_rate_hears_nothing_that_makes_sense(board: VirtualBoard) -> None:
    with host(board) as bridge:
        bridge.serial.baudrate = 57600
        bridge.serial.timeout = 0.5
        assert bridge.transfer(b"\x9f", 3).hex() != "ef4016"
        until(lambda: board.command("status")["baud"] == 57600)
        until(lambda: board.command("status")["idle"])  # all that was sent has been misheard
        board.command("reset")
        bridge.serial.timeout = WAIT_S
        bridge.serial.baudrate = 118000  # 7.8 cycles a bit instead of 8 is near enough
        bridge.serial.reset_input_buffer()
        assert bridge.transfer(b"\x9f", 3).hex() == "ef4016"
        assert board.command("status")["baud"] == 118000


def test_reset_by_button_and_by_the_board_itself(board: VirtualBoard) -> None:
    with host(board) as bridge:
        bridge.serial.write(b"\x05\x00")  # half a request
        until(lambda: board.command("status")["bytes_from_host"] == 2)
        until(lambda: board.command("status")["idle"])
        assert board.command("reset")["resets"] == 1
        assert bridge.transfer(b"\x9f", 3).hex() == "ef4016"
        bridge.serial.write(bytes(4))  # asks for a reset
        until(lambda: board.command("status")["resets"] == 2)
        assert bridge.transfer(b"\x9f", 3).hex() == "ef4016"


def test_power_switch(board: VirtualBoard) -> None:
    with host(board) as bridge:
        bridge.program(0, LETTERS)
        assert board.command("power off")["power"] is False
        cycles = board.command("status")["cycles"]
        bridge.serial.write(b"\x01\x00")  # nobody hears it
        time.sleep(0.2)
        assert board.command("status")["cycles"] == cycles
        assert board.command("power on")["power_ons"] == 2
        assert board.command("power on")["power_ons"] == 2
        assert bridge.read(0, 26) == LETTERS


def test_a_cut_in_the_middle_of_an_operation_tears_it(program: BuiltBoard, boards: Path) -> None:
    with start(program, replace(OPTIONS, flash_scale=100.0)) as board, host(board) as bridge:
        board.command("cut 0 500")
        bridge.transfer(b"\x06")
        bridge.transfer(b"\x02\0\0\0" + bytes(256))
        until(lambda: not board.command("status")["power"])
        flash = board.command("flash")
        assert (flash["torn"], flash["programs"], flash["fault"]) == (1, 0, False)
        assert flash["marginal_bytes"] > 100
        board.command("power on")
        found = [bridge.read(0, 256)]
        for _ in range(5):
            board.command("power off")
            board.command("power on")
            found.append(bridge.read(0, 256))
        assert len(set(found)) > 1


def test_two_boards_and_their_files(program: BuiltBoard, boards: Path, tmp_path: Path) -> None:
    first = replace(OPTIONS, flash=tmp_path / "deep" / "a.flash")
    with start(program, first) as a, start(program, replace(OPTIONS, name="other")) as b:
        assert [found.name for found in list_virtual_boards()] == ["bridge", "other"]
        with host(a) as bridge, host(b) as other:
            bridge.program(0, LETTERS)
            assert other.read(0, 26) == b"\xff" * 26
            ids = {bridge.transfer(b"\x4b" + bytes(4), 8), other.transfer(b"\x4b" + bytes(4), 8)}
            assert len(ids) == 2
        refusals = {
            "NC-E0642": replace(OPTIONS),
            "NC-E0603": replace(first, name="third"),
            "NC-E0602": replace(first, name="third", flash=tmp_path),
        }
        for code, options in refusals.items():
            with pytest.raises(NorcimError) as refused:
                start(program, options)
            assert (refused.value.id, refused.value.exit_code) == (code, 5)
    assert sorted(path.suffix for path in boards.iterdir()) == [".lock"] * 3 + [".log"] * 3
    with start(program, replace(first, name="third")) as c, host(c) as bridge:
        assert bridge.read(0, 26) == LETTERS  # it survived in the file


def test_files_of_a_killed_board_are_in_nobodys_way(program: BuiltBoard, boards: Path) -> None:
    board = start(program, OPTIONS)
    board.process.kill()
    board.process.wait()
    assert board.files.socket.exists()
    assert list_virtual_boards() == []
    with pytest.raises(NorcimError) as refused:
        board.command("status")
    assert refused.value.id == "NC-E0643"
    with start(program, OPTIONS) as again, host(again) as bridge:
        assert bridge.transfer(b"\x9f", 3).hex() == "ef4016"


def test_a_board_ends_with_its_parent_unless_detached(program: BuiltBoard, boards: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from norcim_overlay.sim.virtual_board import BuiltBoard, Options, start\n"
        "built = BuiltBoard(Path(sys.argv[1]))\n"
        "start(built, Options('one'))\n"
        "start(built, Options('two', detach=True))\n"
    )
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-W", "ignore", "-c", code, str(program.program)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    until(lambda: [found.name for found in list_virtual_boards()] == ["two"])
    stop_board("two")
    assert not board_files("two").port.is_symlink()
    with pytest.raises(NorcimError) as refused:
        stop_board("two")
    assert refused.value.id == "NC-E0643"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_cleanly(program: BuiltBoard, boards: Path, number: signal.Signals) -> None:
    board = start(program, OPTIONS)
    board.process.send_signal(number)
    assert board.process.wait(WAIT_S) == 0
    assert sorted(path.suffix for path in boards.iterdir()) == [".lock", ".log"]


def test_an_idle_board_rests(board: VirtualBoard) -> None:
    until(lambda: board.command("status")["idle"])
    time.sleep(0.5)
    before = board.command("status")
    time.sleep(2)
    after = board.command("status")
    assert after["cycles"] > before["cycles"]
    assert after["cpu_s"] - before["cpu_s"] < 0.2
    with host(board) as bridge:
        assert bridge.transfer(b"\x9f", 3).hex() == "ef4016"


def test_what_it_refuses(board: VirtualBoard) -> None:
    for line in ("fly", "power", "power up", "cut", "cut 1 1001", "x" * 200):
        with pytest.raises(NorcimError) as refused:
            board.command(line)
        assert refused.value.id == "NC-E0644"
    for name in ("", "a/b", "-x", "n" * 33):
        with pytest.raises(NorcimError) as bad:
            board_files(name)
        assert bad.value.id == "NC-E0645"
