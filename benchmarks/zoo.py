"""`python -m benchmarks.zoo`: compile every model of a folder for every chip and print a table.

Calibrates on the golden inputs (there is nothing else for all of them), runs the image on the
emulator, and compares with onnxruntime's golden outputs: worst layer, signal-to-noise ratio of
the outputs, share of samples with the same largest output.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.subjects import shared_data
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.frontend import NOTHING_FIXED, Fixed, import_onnx
from norcim.runtime import compile_model, decode_outputs, encode_inputs

CHIPS = ("digital", "nor1", "wtm2101", "overlay")


FIXED = {
    "oww_melspectrogram": Fixed({"input": (1, 24000)}),
    "silero_vad_16k": Fixed({"input": (1, 576), "state": (2, 1, 128)}, {"sr": (16000.0,)}),
}
"""Models that leave something of their inputs open: `--input-shape` and `--set` of the command."""


@dataclass(frozen=True)
class Row:
    """One model on one chip; the numbers are None if it was refused.

    worst_db   lowest signal-to-noise ratio of a layer on the calibration set
    output_db  of all outputs against onnxruntime
    same_top   share of samples whose largest output is the same, first output
    """

    model: str
    chip: str
    compiled: bool
    reason: str
    seconds: float
    worst_layer: str = ""
    worst_db: float | None = None
    output_db: float | None = None
    same_top: float | None = None


def measure(path: Path, golden: Path, chip: str, name: str) -> Row:
    """Compile, run and compare one model."""
    start = time.process_time()
    arrays = dict(np.load(golden)) if golden.is_file() else {}
    try:
        fixed = FIXED.get(name, NOTHING_FIXED)
        given = _inputs(path, arrays, fixed)
        content = compile_model(path, load_chip(chip), given or None, fixed=fixed)
    except NorcimError as error:
        spent = time.process_time() - start
        return Row(name, chip, False, _reason(error), round(spent, 2))
    except Exception:
        traceback.print_exc()
        return Row(name, chip, False, "TRACEBACK", round(time.process_time() - start, 2))
    spent = time.process_time() - start
    outputs = Emulator(content).run(encode_inputs(content, given))
    found = list(decode_outputs(content, outputs, given).values())
    due = [arrays[f"out_{index}"] for index in range(len(found))]
    worst = min(
        (layer for layer in content.meta["layers"] if layer["sqnr_db"] is not None),
        key=lambda layer: layer["sqnr_db"], default={"name": "", "sqnr_db": None},
    )  # fmt: skip
    same = _top(found[0]) == _top(due[0].reshape(found[0].shape))
    return Row(
        name, chip, True, "", round(spent, 2), worst["name"], worst["sqnr_db"],
        _ratio(content.meta["outputs"], found, due), round(float(same.mean()), 3),
    )  # fmt: skip


def _inputs(path: Path, arrays: Mapping[str, Any], fixed: Fixed) -> dict[str, Any]:
    """Golden inputs by the names of the model's inputs, the batch axis merged with the samples."""
    ports = import_onnx(path, fixed).inputs
    return {
        port.name or port.tensor: arrays[f"in_{index}"].reshape(-1, *port.shape)
        for index, port in enumerate(ports)
        if f"in_{index}" in arrays
    }


def _reason(error: NorcimError) -> str:
    return f"{error.id} {error.what}: {error.where or error.got}"


def _top(values: Any) -> Any:
    return values.reshape(len(values), -1).argmax(axis=1)


def _ratio(ports: Iterable[Mapping[str, Any]], found: list[Any], due: list[Any]) -> float | None:
    """Signal over error of the first output in dB, zero mean not assumed."""
    want = np.asarray(due[0], np.float64).reshape(found[0].shape)
    error = np.square(np.asarray(found[0], np.float64) - want).sum()
    signal = np.square(want).sum()
    return round(10 * np.log10(signal / error), 1) if error > 0 and signal > 0 else None


def print_row(row: Row) -> None:
    """One line of the table."""
    if not row.compiled:
        click.echo(f"{row.model:34} {row.chip:8} refused {row.seconds:6.2f} s  {row.reason}")
        return
    worst = "  -  " if row.worst_db is None else f"{row.worst_db:5.1f}"
    output = " same" if row.output_db is None else f"{row.output_db:5.1f}"
    click.echo(
        f"{row.model:34} {row.chip:8} yes     {row.seconds:6.2f} s  worst layer {worst} dB"
        f"  output {output} dB  same class {row.same_top}  {row.worst_layer}"
    )


@click.command()
@click.option("--chip", "chips", multiple=True, default=CHIPS, help="Chips to compile for.")
@click.option("--only", default="", help="Models whose name holds this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
def main(chips: tuple[str, ...], only: str, as_json: bool) -> None:
    """Print the table of the models in the shared folder."""
    folder = shared_data()
    if folder is None:
        raise click.ClickException("the folder of models is not there")
    models = folder / "models"
    for path in sorted(models.rglob("*.onnx")):
        name = str(path.relative_to(models).with_suffix(""))
        if only not in name:
            continue
        for chip in chips:
            row = measure(path, folder / "data" / "golden" / f"{path.stem}.npz", chip, name)
            if as_json:
                click.echo(json.dumps(asdict(row)))
            else:
                print_row(row)


if __name__ == "__main__":
    main()
