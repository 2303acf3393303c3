"""`norcim devices`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from norcim_cli import console, options

if TYPE_CHECKING:
    from norcim.errors import NorcimError
    from norcim.transport import DeviceInfo


@click.command()
@options.common
def devices() -> None:
    """List the devices that can be opened.

    The emulated device is always there. Each serial port is asked who answers. Give a URL or a
    port of the list to --port.
    """
    found = find_devices()
    for device in found:
        if console.STATE.json_mode:
            console.emit("device.v1", dict(device))
    rows = [(device["url"], device["kind"], device["what"]) for device in found]
    console.table(("url", "kind", "what"), rows)


def find_devices() -> list[dict[str, str]]:
    """URL, kind and description of every device that this version can open."""
    return [
        {"url": "emulator:", "kind": "emulator", "what": "emulated device, its flash in memory"},
        {"url": "emulator:FILE", "kind": "emulator", "what": "the same, its flash kept in FILE"},
        *_find_virtual_boards(),
        *_find_boards(),
    ]


def _find_virtual_boards() -> list[dict[str, str]]:
    """Every virtual board that runs, with what answers on it."""
    from norcim.transport import probe_port
    from norcim.transport.virtual import list_virtual_boards

    found = []
    for files in list_virtual_boards():
        what = _describe(probe_port(str(files.port)), f"virtual board {files.name}")[1]
        found.append({"url": str(files.port), "kind": "virtual", "what": what})
    return found


def _find_boards() -> list[dict[str, str]]:
    """Every serial port, with what answers on it."""
    from norcim.transport import list_serial_ports

    found = []
    for port, description, answer in list_serial_ports():
        kind, what = _describe(answer, description)
        found.append({"url": port, "kind": kind, "what": what})
    return found


def _describe(answer: DeviceInfo | NorcimError, description: str) -> tuple[str, str]:
    """Kind of a port, and what answers on it."""
    from norcim.errors import NorcimError

    if isinstance(answer, NorcimError):
        return "port", f"{description}: {answer.what}" if description else answer.what
    slot = "none" if answer.active_slot is None else str(answer.active_slot)
    return "board", (
        f"firmware {answer.firmware_version}, ABI level {answer.abi_level}, "
        f"chip {answer.chip or 'any'}, active slot {slot}, id {answer.unique_id}"
    )
