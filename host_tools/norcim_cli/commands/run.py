"""`norcim run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.image import ImageContent
    from norcim_cli.vectors import Array, Bytes

SHOWN = 20
"""Samples that are printed unless --all is given."""


@click.command()
@click.argument("image", metavar="IMAGE")
@click.option("--input", "source", metavar="FILE", required=True, help=".npz, .npy or WAV inputs.")
@options.network
@options.optional_port
@options.baud
@options.output(doc="Write the outputs as .npz, one array an output.")
@click.option("--all", "show_all", is_flag=True, help="Print every sample, not the first 20.")
@options.overwrite
@options.common
def run(
    image: str, source: str, network: str | None, port: str | None, baud: int | None,
    output: str | None, show_all: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Run an image on inputs from a file.

    On the emulator, or through the device interface with --port: the image is then written to a
    slot of the device that is not active, unless the active one holds it. The bits are the same.

    Where a network has a state that FILE does not hold, the samples are the steps of one stream;
    docs/models.md.
    """
    from norcim.runtime import decode_outputs
    from norcim_cli.vectors import encode_given, load_given

    files.refuse_existing(output, overwrite)
    data, content, index = files.load_network(image, network)
    given, labels = load_given(source, content)
    inputs = encode_given(content, given)
    started = time.perf_counter()
    results = _execute(data, content, index, inputs, port, baud)
    elapsed_s = time.perf_counter() - started
    named = decode_outputs(content, results, given)
    if output:
        files.write_arrays(output, named, overwrite)
    _print(content, named, labels, show_all)
    n = len(inputs[0])
    where = port or "the emulator"
    console.log(f"{n} sample(s) on {where} in {elapsed_s:.3f} s, {n / elapsed_s:,.0f} a second")


def _execute(
    data: bytes, content: ImageContent, network: int, inputs: list[Bytes], port: str | None,
    baud: int | None,
) -> list[Bytes]:  # fmt: skip
    from norcim.emulator import Emulator
    from norcim_cli.device import install, open_port
    from norcim_cli.vectors import run_on_device

    if port is None:
        return Emulator(content).run(inputs)
    with open_port(port, baud) as device:
        with console.progress() as progress:
            placed = install(device, data, slot=None, activate=False, progress=progress)
        device.load(placed.slot)
        return run_on_device(device, content, inputs, network)


def _print(
    content: ImageContent, named: dict[str, Array], labels: Array | None, show_all: bool
) -> None:
    from norcim_cli.recognise import labels_of

    n = len(next(iter(named.values())))
    n_shown = n if show_all or console.STATE.json_mode else min(n, SHOWN)
    rows: list[tuple[Any, ...]] = []
    for index in range(n_shown):
        row = {name: array[index] for name, array in named.items()}
        if console.STATE.json_mode:
            values = {name: array.tolist() for name, array in row.items()}
            console.emit("run.v1", {"sample": index, "outputs": values})
        top = _top(next(iter(row.values())), labels_of(content))
        rows.append((index, *top, "" if labels is None else labels[index]))
    console.table(("sample", "class", "output", "label"), rows, right="r r")
    if n_shown < n:
        console.say(f"the first {n_shown} of {n} samples; --all prints every one, -o keeps them")


def _top(output: Any, names: list[str]) -> tuple[str, str]:
    """The largest output: its label or number, and its value."""
    flat = output.reshape(-1)
    index = int(flat.argmax())
    return (names[index] if index < len(names) else str(index)), f"{flat[index]:.4g}"
