"""Devices behind one interface: emulated now, boards over a serial port next."""

from __future__ import annotations

from norcim.chips import Chip
from norcim.errors import EXIT_DEVICE, NorcimError
from norcim.transport.base import Device, DeviceInfo
from norcim.transport.emulated import SCHEME, EmulatedDevice

__all__ = ["Device", "DeviceInfo", "EmulatedDevice", "open_device"]


def open_device(url: str, chip: Chip | None = None) -> Device:
    """Open a device by its url.

    url   "emulator:" for one in memory, "emulator:PATH" for one whose flash is kept in a file
    chip  the chip that an emulated device has, None: takes images for any chip
    Raises NC-E0601 for another url, NC-E0602 or NC-E0603 if the file cannot be used.
    """
    if not url.startswith(SCHEME):
        raise NorcimError(
            "NC-E0601", "no transport for this device", where=url,
            expected="emulator: or emulator:PATH", got=url or "nothing",
            why="this version drives emulated devices only, no serial ports yet",
            fix="use -p emulator: (in memory) or -p emulator:FILE (its flash is kept in FILE)",
            exit_code=EXIT_DEVICE,
        )  # fmt: skip
    return EmulatedDevice(url.removeprefix(SCHEME) or None, chip)
