"""`norcim compile`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import console, files, options


@click.command("compile")
@click.argument("model", metavar="MODEL")
@options.chip
@click.option(
    "--calibration",
    metavar="FILE",
    help="Typical inputs, .npz or .npy, one array an input (by its name, or x). 100 are enough.",
)
@options.output(doc="Image to write; default: the model's name with .cim, in this folder.")
@click.option("--name", help="Name of the network in the image; default: the model's file name.")
@click.option(
    "--meta", "meta_file", metavar="FILE", help="JSON object to keep: labels, front end, notes."
)
@click.option("--sign-key", metavar="FILE", help="Sign with this raw 32-byte Ed25519 private key.")
@options.overwrite
@options.dry_run
@options.common
def compile_(
    model: str,
    chip: str,
    calibration: str | None,
    output: str | None,
    name: str | None,
    meta_file: str | None,
    sign_key: str | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Turn an ONNX model into a weight image.

    A float model needs --calibration; a QDQ model brings its own scales. Unsupported operators
    and models that do not fit are reported before calibration starts.
    """
    from norcim.chips import load_chip
    from norcim.image import build_image, write_file
    from norcim.runtime import compile_model

    target = Path(output) if output else Path(Path(model).stem + ".cim")
    if not dry_run:
        files.refuse_existing(target, overwrite)
    files.refuse_image(model)
    started = time.perf_counter()
    loaded = load_chip(chip)
    vectors = files.load_arrays(calibration) if calibration else None
    meta = read_meta(meta_file) if meta_file else {}
    key = files.read_bytes(sign_key) if sign_key else None
    with console.progress() as progress:
        content = compile_model(
            model,
            loaded,
            vectors,
            name=name or Path(model).stem,
            meta_extra=meta,
            progress=progress,
        )
    image = build_image(content, sign_key=key)
    for note in content.meta["notes"]:
        console.log(f"note: {note}")
    if not dry_run:
        write_file(target, image, overwrite=overwrite)
    _report(target, dry_run, len(image), loaded.name, time.perf_counter() - started)


def _report(target: Path, dry_run: bool, n_bytes: int, chip: str, elapsed_s: float) -> None:
    if console.STATE.json_mode:
        console.emit(
            "compile.v1",
            {
                "output": None if dry_run else str(target),
                "chip": chip,
                "n_bytes": n_bytes,
                "elapsed_s": round(elapsed_s, 3),
            },
        )
    done = "would write" if dry_run else "wrote"
    console.say(f"{done} {target}: {n_bytes:,} bytes for {chip}, compiled in {elapsed_s:.1f} s")


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
