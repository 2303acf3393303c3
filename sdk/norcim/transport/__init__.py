"""Devices behind one interface: emulated ones, and boards on a serial port."""

from __future__ import annotations

import re
import time

from norcim.chips import Chip
from norcim.errors import EXIT_DEVICE, NorcimError
from norcim.transport.base import Device, DeviceInfo
from norcim.transport.emulated import SCHEME, EmulatedDevice
from norcim.transport.link import LinkError

__all__ = [
    "Device",
    "DeviceInfo",
    "EmulatedDevice",
    "LinkError",
    "list_serial_ports",
    "open_device",
    "wait_for_device",
]

_PORT = re.compile(r"/.+|COM[0-9]+|\\\\\.\\.+")
_PROBE_S = 0.3


def open_device(url: str, chip: Chip | None = None, *, baud: int | None = None) -> Device:
    """Open a device by its url.

    url   "emulator:" for one in memory, "emulator:PATH" for one whose flash is kept in a file, or
          a serial port: "/dev/ttyUSB0", "COM3"
    chip  the chip that an emulated device has, None: takes images for any chip
    baud  rate to try on a serial port; where it does not work the device stays at DEFAULT_BAUD,
          `Device.baud` tells. None: DEFAULT_BAUD
    Raises NC-E0601 for another url, NC-E0602 or NC-E0603 if the file cannot be used, NC-E0603 or
    NC-E0635 if the port cannot be opened, NC-E0631 if no norcim device answers on it.
    """
    if url.startswith(SCHEME):
        return EmulatedDevice(url.removeprefix(SCHEME) or None, chip)
    if not _PORT.fullmatch(url):
        raise NorcimError(
            "NC-E0601", "no transport for this device", where=url,
            expected="emulator:, emulator:PATH or a serial port", got=url or "nothing",
            fix="use -p emulator: (in memory), -p emulator:FILE (its flash is kept in FILE) or a "
            "port that `norcim devices` lists, such as /dev/ttyUSB0 or COM3",
            exit_code=EXIT_DEVICE,
        )  # fmt: skip
    from norcim.transport.board import Board
    from norcim.transport.serial import SerialStream
    from norcim.transport.virtual import is_virtual
    from norcim.transport.wire import SIMULATED, Patience

    return Board(SerialStream(url), SIMULATED if is_virtual(url) else Patience(), baud=baud)


def list_serial_ports() -> list[tuple[str, str, DeviceInfo | NorcimError]]:
    """Name and description of every serial port, and who answers there or why nobody does."""
    from norcim.transport import serial

    return [(name, what, probe_port(name)) for name, what in serial.list_serial_ports()]


def probe_port(port: str) -> DeviceInfo | NorcimError:
    """Who answers on a port, or why nobody does; waits for about a second, for a virtual board's
    answer for some more."""
    from norcim.transport.board import Board
    from norcim.transport.serial import SerialStream
    from norcim.transport.virtual import is_virtual
    from norcim.transport.wire import SIMULATED, Patience

    answer_s = SIMULATED.answer_s if is_virtual(port) else _PROBE_S
    try:
        with Board(SerialStream(port), Patience(answer_s=answer_s, tries=3)) as board:
            return board.info()
    except NorcimError as error:
        return error


def wait_for_device(port: str, limit_s: float = 60.0) -> DeviceInfo:
    """Who answers on a port, once it does: a board checks and loads its image before.

    Raises what `probe_port` found last if nobody answers within `limit_s` seconds.
    """
    deadline = time.monotonic() + limit_s
    while True:
        found = probe_port(port)
        if isinstance(found, DeviceInfo):
            return found
        if found.id != "NC-E0631" or time.monotonic() > deadline:
            raise found
