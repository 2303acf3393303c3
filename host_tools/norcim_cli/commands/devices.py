"""`norcim devices`."""

from __future__ import annotations

import click

from norcim_cli import console, options


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
        *_find_boards(),
    ]


def _find_boards() -> list[dict[str, str]]:
    """Every serial port, with what answers on it."""
    from norcim.errors import NorcimError
    from norcim.transport import list_serial_ports

    found = []
    for port, description, answer in list_serial_ports():
        if isinstance(answer, NorcimError):
            what = f"{description}: {answer.what}" if description else answer.what
            found.append({"url": port, "kind": "port", "what": what})
            continue
        slot = "none" if answer.active_slot is None else str(answer.active_slot)
        what = (
            f"firmware {answer.firmware_version}, ABI level {answer.abi_level}, "
            f"chip {answer.chip or 'any'}, active slot {slot}, id {answer.unique_id}"
        )
        found.append({"url": port, "kind": "board", "what": what})
    return found
