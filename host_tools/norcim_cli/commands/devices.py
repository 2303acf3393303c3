"""`norcim devices`."""

from __future__ import annotations

import click

from norcim_cli import console, options


@click.command()
@options.common
def devices() -> None:
    """List the devices that can be opened.

    The emulated device is always there. Give a URL of the list to --port.
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
    ]
