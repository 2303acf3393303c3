"""`norcim compile`."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.frontend import Fixed
    from norcim.image import ImageContent
    from norcim.ir.stream_plan import Stream
    from norcim.joint import Source


@click.command("compile")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@options.chip
@click.option(
    "--calibration",
    "calibrations",
    metavar="FILE",
    multiple=True,
    help="Typical inputs, .npz or .npy, one array an input (by its name, or x). 100 are enough. "
    "Of several models: one each, - for none.",
)
@click.option(
    "--accuracy-budget",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="Percentage points that a calibration set may lose; the cheapest way that keeps it.",
)
@click.option(
    "--cell-budget",
    type=click.IntRange(1),
    metavar="CELLS",
    help="Cells that a network may use beyond what its layers need anyway; default: all.",
)
@click.option(
    "--config",
    "configs",
    metavar="FILE",
    multiple=True,
    help="Ranges, gains, tiles of single layers, as TOML. Of several models: one each, - for none.",
)
@click.option(
    "--stream",
    "streams",
    metavar="FRAMES[:AXIS]",
    multiple=True,
    help="Compute only the new frames: so many a call, along this axis of the input (the batch is "
    "0). Of several models: one each, - for none.",
)
@options.fixed_inputs
@options.output(doc="Image to write; default: the model's name with .cim, in this folder.")
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Name of the network in the image; default: the model's file name.",
)
@click.option(
    "--meta",
    "meta_files",
    metavar="FILE",
    multiple=True,
    help="JSON object to keep: labels, front end, notes. Of several models: one each, - for none.",
)
@click.option(
    "--keep-placement",
    "old_image",
    metavar="IMAGE",
    help="Leave layers on the cells where this older image has them.",
)
@click.option("--sign-key", metavar="FILE", help="Sign with this raw 32-byte Ed25519 private key.")
@options.overwrite
@options.dry_run
@options.common
def compile_(
    models: tuple[str, ...], chip: str, calibrations: tuple[str, ...],
    accuracy_budget: float | None, cell_budget: int | None, configs: tuple[str, ...],
    streams: tuple[str, ...], input_shape: tuple[str, ...], fixed_values: tuple[str, ...],
    output: str | None, names: tuple[str, ...], meta_files: tuple[str, ...], old_image: str | None,
    sign_key: str | None, overwrite: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Turn an ONNX model into a weight image.

    A float model needs --calibration; a QDQ model brings its own scales. Unsupported operators
    and models that do not fit are reported before calibration starts.

    Several models become one image whose networks share the chip; choose one with --network where
    it is run.
    """
    from norcim.chips import load_chip
    from norcim.image import build_image, networks, write_file
    from norcim.joint import compile_networks

    stems = [Path(model).stem for model in models]
    target = Path(output or "+".join(stems) + ".cim")
    if not dry_run:
        files.refuse_existing(target, overwrite)
    for model in models:
        files.refuse_image(model)
    started = time.perf_counter()
    loaded = load_chip(chip)
    sources = _sources(
        models,
        _one_each("--calibration", calibrations, models),
        _one_each("--name", names, models),
        _one_each("--meta", meta_files, models),
    )
    sources = _with_fixed(sources, options.parse_fixed(input_shape, fixed_values))
    sources = _with_wishes(
        sources, accuracy_budget, cell_budget, _one_each("--config", configs, models),
        _one_each("--stream", streams, models),
    )  # fmt: skip
    old = files.load_image(old_image) if old_image else None
    key = files.read_bytes(sign_key) if sign_key else None
    with console.progress() as progress:
        content = compile_networks(sources, loaded, progress, old=old[1] if old else None)
    image = build_image(content, sign_key=key)
    for network in networks(content):
        for note in network.meta["notes"]:
            console.log(f"note: {note}")
    if not dry_run:
        write_file(target, image, overwrite=overwrite)
    _report(target, dry_run, image, loaded.name, time.perf_counter() - started, old)


def _one_each(flag: str, given: tuple[str, ...], models: tuple[str, ...]) -> list[str | None]:
    """What a repeated flag says for each model: nothing at all, or one value each."""
    if len(given) not in (0, len(models)):
        raise click.UsageError(f"{flag} is given {len(given)} times for {len(models)} model(s).")
    return [None if value == "-" else value for value in given] or [None] * len(models)


def _sources(
    models: tuple[str, ...], calibrations: list[str | None], names: list[str | None],
    meta_files: list[str | None],
) -> list[Source]:  # fmt: skip
    from norcim.joint import Source

    return [
        Source(
            Path(model),
            files.load_arrays(calibration) if calibration else None,
            name or Path(model).stem,
            read_meta(meta) if meta else {},
        )
        for model, calibration, name, meta in zip(
            models, calibrations, names, meta_files, strict=True
        )
    ]


def _with_fixed(sources: list[Source], fixed: Fixed) -> list[Source]:
    from norcim.frontend import share_fixed

    shares = share_fixed([source.path for source in sources], fixed)
    return [replace(source, fixed=share) for source, share in zip(sources, shares, strict=True)]


def _with_wishes(
    sources: list[Source], accuracy_budget: float | None, cell_budget: int | None,
    configs: list[str | None], streams: list[str | None],
) -> list[Source]:  # fmt: skip
    from norcim.fitting import Wishes
    from norcim.quantise import read_choices

    return [
        replace(
            source,
            wishes=Wishes(
                accuracy_budget, cell_budget, read_choices(config) if config else {},
                _parse_stream(stream) if stream else None,
            ),
        )
        for source, config, stream in zip(sources, configs, streams, strict=True)
    ]  # fmt: skip


def _parse_stream(text: str) -> Stream:
    from norcim.ir.stream_plan import Stream

    found = re.fullmatch(r"(\d{1,9})(?::(\d{1,3}))?", text, re.ASCII)
    if found is None:
        raise click.UsageError(f"--stream takes FRAMES or FRAMES:AXIS, not {text!r}.")
    return Stream(int(found[1]), int(found[2]) if found[2] else None)


def _report(
    target: Path, dry_run: bool, image: bytes, chip: str, elapsed_s: float,
    old: tuple[bytes, ImageContent] | None,
) -> None:  # fmt: skip
    from norcim.image import count_sectors

    n_other, n_sectors = count_sectors(image, old[0] if old else b"")
    if console.STATE.json_mode:
        found = {
            "output": None if dry_run else str(target),
            "chip": chip,
            "n_bytes": len(image),
            "elapsed_s": round(elapsed_s, 3),
        }
        sectors = {"n_sectors": n_sectors, "n_sectors_differ": n_other} if old else {}
        console.emit("compile.v1", {**found, **sectors})
    done = "would write" if dry_run else "wrote"
    console.say(f"{done} {target}: {len(image):,} bytes for {chip}, compiled in {elapsed_s:.1f} s")
    if old:
        console.say(f"{n_other} of {n_sectors} flash sectors differ from the older image")


def read_meta(path: str) -> dict[str, Any]:
    """A JSON object from a file. Raises NC-E0106."""
    try:
        meta = json.loads(files.read_bytes(path))
    except ValueError as cause:
        raise _bad_meta(path, str(cause)) from cause
    if not isinstance(meta, dict):
        raise _bad_meta(path, type(meta).__name__)
    return meta


def _bad_meta(path: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0106",
        "the metadata file is not a JSON object",
        where=path,
        expected='an object such as {"labels": ["yes", "no"]}',
        got=got,
        fix="correct the file",
        exit_code=EXIT_USAGE,
    )
