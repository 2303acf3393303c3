"""`norcim verify`."""

from __future__ import annotations

import click

from norcim.errors import EXIT_DIFFER, NorcimError
from norcim_cli import console, files, options


@click.command()
@click.argument("image", metavar="[IMAGE]", required=False)
@options.port
@options.baud
@click.option("--slot", type=int, help="Slot to check; default: the active one.")
@options.common
def verify(image: str | None, port: str, baud: int | None, slot: int | None) -> int:
    """Check a device's slot against its own checksum.

    The device reads the slot's cells and checks every checksum of the image there. With an
    image file, its hash is compared as well; the exit code is 4 if it is another image.
    """
    from norcim.spec.image_format import SHA256
    from norcim_cli.device import open_port

    data = files.load_image(image)[0] if image else None
    with open_port(port, baud) as device:
        chosen = device.info().active_slot if slot is None else slot
        if chosen is None:
            raise NorcimError(
                "NC-E0618",
                "the device has no active slot",
                where=port,
                expected="a slot that an image was activated in",
                got="none",
                fix="flash an image first: norcim flash MODEL.cim, or give --slot",
                exit_code=5,
            )
        digest = device.verify(chosen)
    expected = None if data is None else data[SHA256.offset : SHA256.end].hex()
    same = expected in (None, digest)
    if console.STATE.json_mode:
        found = {"port": port, "slot": chosen, "sha256": digest, "expected": expected}
        console.emit("verify.v1", {**found, "same": same})
    console.say(f"slot {chosen} of {port}: sound, SHA-256 {digest}")
    if not same:
        console.say(f"but it is another image than {image}, SHA-256 {expected}")
        return EXIT_DIFFER
    return 0
