"""`norcim demo`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from norcim_cli import console, files, models, options

if TYPE_CHECKING:
    from norcim.chips import Chip
    from norcim.image import ImageContent
    from norcim.transport import Device


@click.command()
@options.chip
@click.option("--board", is_flag=True, help="On a virtual board, with chip overlay.")
@options.output(doc="Keep the image here.")
@options.overwrite
@options.common
def demo(chip: str, board: bool, output: str | None, overwrite: bool) -> None:
    """Recognise spoken words on an emulated device.

    Compiles the keyword-spotting model that ships with norcim, writes it to an emulated device
    and lets it hear every clip that ships: raw 16 kHz audio in, words and scores out, with the
    latency and energy that the chip file estimates.

    With --board the device is a virtual board, which is built first if it has not been: the
    overlay's gateware, simulated cycle by cycle, with the firmware that an FPGA runs.
    """
    from norcim.chips import load_chip
    from norcim.image import build_image, write_file

    files.refuse_existing(output, overwrite)
    started = time.perf_counter()
    folder, loaded = models.find_model("kws"), load_chip("overlay" if board else chip)
    content = _compile(folder, loaded)
    image = build_image(content)
    if output:
        write_file(output, image, overwrite=overwrite)
    clips = sorted((folder / "clips").glob("*.wav"))
    with _open(loaded, board) as device:
        rows = _recognise(image, content, device, clips)
    _report(rows, content, loaded, time.perf_counter() - started)


def _compile(folder: Path, chip: Chip) -> ImageContent:
    from norcim.runtime import compile_model

    console.log(f"1. compiling {folder.name}.onnx for chip {chip.name} ({chip.title})")
    meta = json.loads((folder / "model.json").read_text("utf-8"))
    calibration = files.load_arrays(folder / "calib.npz")
    with console.progress() as progress:
        return compile_model(
            folder / f"{folder.name}.onnx",
            chip,
            calibration,
            name=folder.name,
            meta_extra={key: value for key, value in meta.items() if key != "name"},
            progress=progress,
        )


@contextmanager
def _open(chip: Chip, board: bool) -> Iterator[Device]:
    """An emulated device, or a virtual board that ends with the demo."""
    from norcim.transport import open_device

    if not board:
        with open_device("emulator:", chip) as device:
            yield device
        return
    from norcim_cli.virtual import running_board

    console.log("   starting a virtual board; building it takes some minutes the first time")
    with running_board(f"demo-{os.getpid()}") as port, open_device(port) as device:
        yield device


def _recognise(
    image: bytes, content: ImageContent, device: Device, clips: list[Path]
) -> list[dict[str, Any]]:
    from norcim.runtime import decode_outputs, encode_inputs
    from norcim_cli.device import install
    from norcim_cli.recognise import best, labels_of, scores
    from norcim_cli.vectors import features_of, run_on_device

    console.log(f"2. flashing {len(image):,} bytes to the device, which verifies them")
    with console.progress() as progress:
        install(device, image, slot=None, activate=True, progress=progress)
    console.log(f"3. listening to {len(clips)} clips: audio, log-mel features, device, words")
    name = content.meta["inputs"][0]["name"]
    codes = encode_inputs(content, {name: features_of(clips, content)})
    outputs = decode_outputs(content, run_on_device(device, content, codes))
    rows = []
    table = scores(next(iter(outputs.values())))
    for clip, row in zip(clips, table, strict=True):
        said = clip.stem.rsplit("_", 1)[0]
        ranked = best(row, labels_of(content), 2)
        heard = ranked[0][0]
        rows.append(
            {
                "clip": clip.name,
                "said": said,
                "heard": heard.strip("_"),
                "score": round(ranked[0][1], 4),
                "second": ranked[1][0].strip("_"),
                "second_score": round(ranked[1][1], 4),
            }
        )
    return rows


def _report(
    rows: list[dict[str, Any]], content: ImageContent, chip: Chip, elapsed_s: float
) -> None:
    from norcim.analysis.estimate import estimate
    from norcim_cli.commands.estimate import summary

    found = estimate(content, chip)
    n_right = sum(row["said"] == row["heard"] for row in rows)
    if console.STATE.json_mode:
        for row in rows:
            console.emit("demo-clip.v1", row)
        total = {"n_clips": len(rows), "n_right": n_right, "elapsed_s": round(elapsed_s, 3)}
        cost = {"latency_s": found.latency_s, "energy_j": found.energy.total_j}
        console.emit("demo.v1", {"chip": chip.name, **total, **cost})
        return
    console.table(
        ("clip", "said", "heard", "score", "else", "score"),
        [
            (
                row["clip"],
                row["said"],
                row["heard"],
                f"{100 * row['score']:.1f} %",
                row["second"],
                f"{100 * row['second_score']:.1f} %",
            )
            for row in rows
        ],
        right="   r r",
    )
    console.say(f"{n_right} of {len(rows)} clips recognised, {elapsed_s:.1f} s for everything")
    console.say(summary(found))
