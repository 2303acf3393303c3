"""`norcim validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from norcim.errors import EXIT_DIFFER
from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.image import ImageContent
    from norcim_cli.vectors import Bytes


@click.command()
@click.argument("image", metavar="IMAGE")
@options.port
@click.option("--input", "source", metavar="FILE", help="Inputs; default: random codes.")
@click.option("-n", "n_samples", type=click.IntRange(1, 100_000), default=64, show_default=True,
              help="Number of random samples.")  # fmt: skip
@options.seed
@options.common
def validate(image: str, port: str, source: str | None, n_samples: int, seed: int) -> int:
    """Compare a device with the emulator, bit by bit.

    Writes the image to a slot that is not active, runs the same inputs on both and counts the
    bytes that differ; the exit code is then 4.
    """
    from norcim.emulator import Emulator
    from norcim.transport import open_device
    from norcim_cli.device import install
    from norcim_cli.vectors import load_samples, random_samples, run_on_device

    data, content = files.load_image(image)
    inputs = (
        load_samples(source, content)[0] if source else random_samples(content, n_samples, seed)
    )
    expected = Emulator(content).run(inputs)
    with open_device(port) as device:
        with console.progress() as progress:
            placed = install(device, data, slot=None, activate=False, progress=progress)
        device.load(placed.slot)
        found = run_on_device(device, content, inputs)
    origin = source or f"random codes, seed {seed}"
    return _report(content, expected, found, port, origin)


def _report(
    content: ImageContent, expected: list[Bytes], found: list[Bytes], port: str, origin: str
) -> int:
    import numpy as np

    names = [meta["name"] for meta in content.meta["outputs"]]
    n_bytes = sum(array.size for array in expected)
    wrong = {
        name: int(np.count_nonzero(a != b))
        for name, a, b in zip(names, expected, found, strict=True)
    }
    n_wrong, n = sum(wrong.values()), len(expected[0])
    if console.STATE.json_mode:
        result = {"port": port, "inputs": origin, "n_samples": n, "n_bytes": n_bytes}
        console.emit("validate.v1", {**result, "n_different": n_wrong, "by_output": wrong})
    if not n_wrong:
        console.say(
            f"{port} equals the emulator in all {n_bytes:,} bytes of {n} sample(s) ({origin})"
        )
        return 0
    for name, a, b in zip(names, expected, found, strict=True):
        places = np.argwhere(a != b)
        if len(places):
            sample, y, x, c = (int(i) for i in places[0])
            console.say(
                f"{name}: {len(places):,} of {a.size:,} bytes differ, first in sample {sample} at "
                f"({y}, {x}, {c}): emulator {a[sample, y, x, c]}, {port} {b[sample, y, x, c]}"
            )
    return EXIT_DIFFER
