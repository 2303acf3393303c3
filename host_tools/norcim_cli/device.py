"""Putting an image on a device, for the commands that need it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from norcim.errors import NorcimError
from norcim.spec.image_format import SHA256
from norcim_cli import console

if TYPE_CHECKING:
    from norcim.transport import Device
    from norcim_cli.console import Progress


def open_port(url: str, baud: int | None) -> Device:
    """Open a device; a rate that does not work is said and given up."""
    from norcim.transport import open_device

    device = open_device(url, baud=baud)
    if baud is not None and device.baud is None:
        console.log(f"{url} is no serial port: --baud is not used")
    elif baud is not None and device.baud != baud:
        console.log(f"{url} does not work at {baud:,} baud: it goes on at {device.baud:,}")
    return device


@dataclass(frozen=True)
class Installed:
    """Where an image is: its slot, whether the slot is active, sectors that were programmed."""

    slot: int
    active: bool
    n_sectors: int = 0

    @property
    def written(self) -> bool:
        """Whether the image was not there already."""
        return self.n_sectors > 0


def install(
    device: Device, data: bytes, *, slot: int | None, activate: bool, progress: Progress
) -> Installed:
    """Have an image in a slot, verified by the device from its cells.

    slot  None: the active slot if it holds the image already, else the first that is not active
    """
    info = device.info()
    active = info.active_slot
    if active is not None and slot in (None, active) and holds(device, active, data):
        return Installed(active, active=True)
    target = info.free_slot if slot is None else slot
    n_sectors = device.write(target, data, progress)
    if activate:
        device.activate(target)
    return Installed(target, activate, n_sectors)


def holds(device: Device, slot: int, data: bytes) -> bool:
    """Whether a slot holds this very image, as the device hashes it."""
    try:
        return device.verify(slot) == data[SHA256.offset : SHA256.end].hex()
    except NorcimError:  # blank or damaged: it does not
        return False
