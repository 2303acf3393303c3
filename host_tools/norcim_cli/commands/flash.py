"""`norcim flash`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from norcim.spec.protocol import SECTOR_BYTES
from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim_cli.device import Installed


@click.command()
@click.argument("image", metavar="IMAGE")
@options.port
@options.baud
@click.option("--slot", type=int, help="Slot to write; default: one that is not active.")
@click.option("--no-activate", is_flag=True, help="Write and verify, but leave the active slot.")
@options.dry_run
@options.common
def flash(
    image: str, port: str, baud: int | None, slot: int | None, no_activate: bool, dry_run: bool
) -> None:
    """Write an image to a device, verify and activate it.

    The image goes to a slot that is not active, so that an interrupted update leaves the old
    one in place. The device hashes its cells and passes the image's known-answer test before the
    slot counts. An image that is active already is not written again, and of a whole image in the
    slot only the sectors that differ.
    """
    from norcim_cli import device as devices

    data, _ = files.load_image(image)
    with devices.open_port(port, baud) as device:
        if dry_run:
            target = device.info().free_slot if slot is None else slot
            console.say(f"would write {len(data):,} bytes to slot {target} of {port}")
            done = devices.Installed(target, active=False)
        else:
            with console.progress() as progress:
                done = devices.install(
                    device, data, slot=slot, activate=not no_activate, progress=progress
                )
            _say_done(port, len(data), done)
    if console.STATE.json_mode:
        found = {
            "slot": done.slot, "written": done.written, "active": done.active,
            "n_sectors": done.n_sectors,
        }  # fmt: skip
        console.emit("flash.v1", {"port": port, "n_bytes": len(data), "dry_run": dry_run, **found})


def _say_done(port: str, n_bytes: int, done: Installed) -> None:
    n_all = -(-n_bytes // SECTOR_BYTES)
    verb = "there already, verified"
    if done.written:
        verb = f"{done.n_sectors} of {n_all} sectors written and verified"
    state = "active" if done.active else "not active"
    console.say(f"slot {done.slot} of {port}: {n_bytes:,} bytes {verb}, {state}")
