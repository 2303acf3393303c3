"""Virtual boards that run on this machine: where they are, and their power switches.

A running board has three files in `boards_folder()`: NAME.port, a link to the terminal that is its
serial port; NAME.sock, its control socket; NAME.log. What runs there is built by norcim_overlay,
which this module does not need.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from norcim.errors import EXIT_DEVICE, EXIT_USAGE, NorcimError

DEFAULT_NAME = "board"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_ANSWER_S = 5.0


@dataclass(frozen=True)
class BoardFiles:
    """The files of a virtual board, whether it runs or not."""

    name: str
    folder: Path

    @property
    def port(self) -> Path:
        """What `open_device` opens."""
        return self.folder / f"{self.name}.port"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.folder / f"{self.name}.sock"

    @property
    def lock(self) -> Path:
        """Held while the board runs."""
        return self.folder / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """The board's notes."""
        return self.folder / f"{self.name}.log"

    def command(self, line: str) -> dict[str, Any]:
        """Send a line to the control socket; its answer.

        status               cycles, processor seconds, bytes, power
        flash                what the flash has done, and what it was asked that it refused
        reset                as the reset button
        power on, power off  as the switch; off loses the RAM and tears what the flash is doing
        cut N PERMILLE       the power goes at the N-th flash operation from now (0: the next), when
                             so much of its time is over
        quit                 ends the board
        Raises NC-E0643 if no board of this name runs, NC-E0644 if it does not know the line.
        """
        try:
            answer = _ask(self.socket, line)
        except OSError as error:
            raise _not_running(self.name) from error
        if "error" in answer:
            raise NorcimError(
                "NC-E0644", "the virtual board refuses", where=self.name, got=str(answer["error"]),
                exit_code=EXIT_DEVICE,
            )  # fmt: skip
        return answer

    def is_running(self) -> bool:
        """Whether something answers on the control socket."""
        try:
            self.command("status")
        except NorcimError:
            return False
        return True


def boards_folder() -> Path:
    """Where running boards are found: NORCIM_BOARDS, or a folder of this user's session."""
    if "NORCIM_BOARDS" in os.environ:
        return Path(os.environ["NORCIM_BOARDS"])
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and Path(session).is_dir():
        return Path(session) / "norcim"
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"norcim-{user}"


def board_files(name: str) -> BoardFiles:
    """The files of a board. Raises NC-E0645 if the name cannot be one."""
    if not _NAME.fullmatch(name):
        raise NorcimError(
            "NC-E0645", "no name for a virtual board", where=repr(name),
            expected="letters, digits, - and _, at most 32", exit_code=EXIT_USAGE,
        )  # fmt: skip
    return BoardFiles(name, boards_folder())


def list_virtual_boards() -> list[BoardFiles]:
    """The boards that run, by name."""
    found = (board_files(path.stem) for path in sorted(boards_folder().glob("*.sock")))
    return [board for board in found if board.is_running()]


def is_virtual(port: str) -> bool:
    """Whether a port is that of a virtual board that runs."""
    return any(port == str(files.port) for files in list_virtual_boards())


def stop_board(name: str) -> None:
    """End a board by its name, whoever started it. Raises NC-E0643 if none runs."""
    files = board_files(name)
    files.command("quit")
    deadline = time.monotonic() + _ANSWER_S
    while files.socket.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _ask(path: Path, line: str) -> dict[str, Any]:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(_ANSWER_S)
        connection.connect(str(path))
        connection.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = connection.recv(4096)
            if not part:
                raise ConnectionError("the board is gone")
            answer += part
    found: dict[str, Any] = json.loads(answer)
    return found


def _not_running(name: str) -> NorcimError:
    return NorcimError(
        "NC-E0643", "no virtual board of this name runs", where=name, exit_code=EXIT_DEVICE,
        fix=f"start it: norcim board run --name {name}; `norcim devices` lists those that run",
    )  # fmt: skip
