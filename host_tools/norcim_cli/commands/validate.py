"""`norcim validate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from norcim.errors import EXIT_DIFFER
from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.analysis.divergence import Comparison, Divergence, Evidence
    from norcim.analysis.reproduction import Reproduction
    from norcim.image import ImageContent
    from norcim_cli.vectors import Bytes

BOARD, GOLDEN = "board", "golden"


@click.command()
@click.argument("image", metavar="IMAGE", required=False)
@options.network
@options.port
@options.baud
@click.option(
    "--against",
    type=click.Choice((BOARD, GOLDEN)),
    default=BOARD,
    show_default=True,
    help="Compare the emulator with the device at --port, or with the golden executor.",
)
@click.option("--input", "source", metavar="FILE", help="Inputs; default: random codes.")
@click.option(
    "-n",
    "--n-inputs",
    "n_samples",
    type=click.IntRange(1, 100_000),
    help="Number of inputs; default: all of --input, else 64 random ones.",
)
@click.option("--model", metavar="MODEL", help="The ONNX model: also show every layer's error.")
@click.option("--replay", "replayed", metavar="FILE", help="Run a saved difference again.")
@options.output(doc="Save a difference here; default: named after IMAGE, in this folder.")
@options.overwrite
@options.seed
@options.common
def validate(
    image: str | None, network: str | None, port: str, baud: int | None, against: str,
    source: str | None, n_samples: int | None, model: str | None, replayed: str | None,
    output: str | None, overwrite: bool, seed: int,
) -> int:  # fmt: skip
    """Compare a device with the emulator, bit by bit.

    Writes the image to a slot that is not active. Every input runs there in one go, whose outputs
    are compared, and once more descriptor by descriptor: the device answers the checksum of each
    one's output. At the first that differs it is said where, and which of the two is wrong by the
    golden arithmetic; the descriptor, its weights and its inputs are saved for --replay. The exit
    code is then 4.
    """
    if replayed is not None:
        return _replay(replayed, port, baud, against)
    if image is None:
        raise click.UsageError("Missing argument 'IMAGE'.")
    files.refuse_existing(output, overwrite)
    data, content, index = files.load_network(image, network)
    inputs, origin = _inputs(content, source, n_samples, seed)
    if model is not None:
        _show_errors(content, inputs, model)
    if against == GOLDEN:
        from norcim.analysis.divergence import compare_emulator

        with console.progress() as progress:
            found = compare_emulator(content, inputs, progress)
        machine = "the emulator"
    else:
        found = _compare_board(data, content, index, inputs, port, baud)
        machine = port
    saved = _save(content, found.evidence, image, output, overwrite)
    return _report(content, found, machine, against, origin, saved)


def _inputs(
    content: ImageContent, source: str | None, n_samples: int | None, seed: int
) -> tuple[list[Bytes], str]:
    from norcim_cli.vectors import load_samples, random_samples

    if source is None:
        return random_samples(content, n_samples or 64, seed), f"random codes, seed {seed}"
    return [array[:n_samples] for array in load_samples(source, content)[0]], source


def _show_errors(content: ImageContent, inputs: list[Bytes], model: str) -> None:
    from norcim.analysis.evaluation import measure
    from norcim.frontend import Fixed, import_onnx
    from norcim_cli.commands.eval import print_layers

    files.refuse_image(model)
    layers = measure(
        content, inputs, None, import_onnx(model, Fixed.from_meta(content.meta))
    ).layers
    if console.STATE.json_mode:
        for layer in layers:
            console.emit("layer_error.v1", asdict(layer))
    print_layers(layers)


def _compare_board(
    data: bytes, content: ImageContent, network: int, inputs: list[Bytes], port: str,
    baud: int | None,
) -> Comparison:  # fmt: skip
    from norcim.analysis.divergence import compare_device
    from norcim_cli.device import install, open_port

    with open_port(port, baud) as device, console.progress() as progress:
        placed = install(device, data, slot=None, activate=False, progress=progress)
        device.load(placed.slot)
        device.select(network)
        return compare_device(content, device, inputs, progress)


def _save(
    content: ImageContent, evidence: Evidence | None, image: str, output: str | None,
    overwrite: bool,
) -> str | None:  # fmt: skip
    """Write the reproduction; returns the file's name."""
    from norcim.analysis.reproduction import reproduce, to_arrays

    if evidence is None:
        return None
    target = output or _free_name(Path(image).stem)
    files.write_arrays(target, to_arrays(reproduce(content, evidence), evidence), overwrite)
    return target


def _free_name(stem: str) -> str:
    names = (f"{stem}.divergence{number}.npz" for number in ("", *range(2, 10_000)))
    return next(name for name in names if not Path(name).exists())


def _report(
    content: ImageContent, found: Comparison, machine: str, against: str, origin: str,
    saved: str | None,
) -> int:  # fmt: skip
    outputs = [meta["name"] for meta in content.meta["outputs"]]
    ports = [port for port in content.ports if port.is_output]
    n_bytes = found.n_samples * sum(port.h * port.w * port.c for port in ports)
    wrong = dict(zip(outputs, found.by_output, strict=False))
    place = None if found.evidence is None else found.evidence.divergence
    n_wrong = sum(wrong.values())
    if console.STATE.json_mode:
        result: dict[str, Any] = {"port": machine, "against": against, "inputs": origin}
        result |= {"n_samples": found.n_samples, "n_bytes": n_bytes, "n_different": n_wrong}
        result |= {"by_output": wrong, "n_layers": found.n_layers}
        result |= {"n_layer_bytes": found.n_bytes, "saved": saved}
        console.emit("validate.v1", {**result, "divergence": None if not place else asdict(place)})
    if place is None:
        other = "the golden executor" if against == GOLDEN else "the emulator"
        console.say(
            f"{machine} equals {other} in all {found.n_bytes:,} bytes of {found.n_layers} layer(s) "
            f"of {found.n_samples} sample(s) ({origin})"
        )
        return 0
    for name, count in wrong.items():
        if count:
            console.say(f"{name}: {count:,} output bytes differ")
    _say_place(place, machine)
    console.say(f"saved as {saved}; norcim validate --replay {saved} runs it again")
    return EXIT_DIFFER


def _say_place(place: Divergence, machine: str) -> None:
    who = "the emulator" if place.machine == "emulator" else machine
    where = f"descriptor {place.descriptor} ({place.opcode}, {place.layer}), sample {place.sample}"
    if place.position is None:
        console.say(f"{where}: {who} differed once and not again")
        return
    console.say(
        f"{where}: {place.n_different:,} of {place.n_bytes:,} bytes of {who} differ, first at "
        f"{place.position}: expected {place.expected}, got {place.got}"
    )
    for site in place.tiles:
        console.say(
            f"  tile {site.tile}: array {site.array}, rows from {site.row}, column {site.column}"
        )
    if len(place.tiles) > 1:
        console.say("  the column is the sum of these tiles")
    shown = ", ".join(map(str, place.channels[:8])) + (", ..." if len(place.channels) > 8 else "")
    console.say(f"  channels that differ: {shown}")
    if place.whole_run:
        console.say("  only a run in one go differs: run alone, every descriptor is right")
    elif not place.inputs_same:
        console.say("  its inputs were wrong already: something wrote beside its own output")


def _replay(path: str, port: str, baud: int | None, against: str) -> int:
    from norcim.analysis.reproduction import from_arrays, replay

    found = from_arrays(files.load_arrays(path))
    counts = replay(found) if against == GOLDEN else _replay_on_board(found, port, baud)
    if console.STATE.json_mode:
        console.emit("replay.v1", {"file": path, "about": found.about, "n_different": counts})
    about = found.about
    console.say(
        f"descriptor {about['descriptor']} ({about['opcode']}, {about['layer']}), "
        f"found with {about['machine']}"
    )
    for machine, count in counts.items():
        console.say(f"  {machine}: {count:,} bytes differ")
    return EXIT_DIFFER if any(counts.values()) else 0


def _replay_on_board(found: Reproduction, port: str, baud: int | None) -> dict[str, int]:
    from norcim.analysis.reproduction import replay
    from norcim_cli.device import install, open_port

    with open_port(port, baud) as device, console.progress() as progress:
        placed = install(device, found.image, slot=None, activate=False, progress=progress)
        device.load(placed.slot)
        return replay(found, device)
