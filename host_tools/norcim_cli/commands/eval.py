"""`norcim eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.analysis.evaluation import Evaluation, LayerResult


@click.command("eval")
@click.argument("image", metavar="IMAGE")
@click.option("--data", metavar="FILE", required=True, help="Inputs, and labels as y; .npz.")
@click.option("--model", metavar="MODEL", help="The ONNX model: errors of layers on these inputs.")
@options.common
def eval_(image: str, data: str, model: str | None) -> None:
    """Measure accuracy, layer errors and converter saturation.

    Runs on the emulator. The error of a layer includes those before it; without --model it is
    what the compiler measured on its calibration set, with --model every layer is compared with
    the real values of the model on the same inputs.
    """
    from norcim.analysis.evaluation import measure
    from norcim.frontend import import_onnx
    from norcim_cli.vectors import load_samples

    _, content = files.load_image(image)
    inputs, labels = load_samples(data, content)
    if model is not None:
        files.refuse_image(model)
    found = measure(content, inputs, labels, None if model is None else import_onnx(model))
    if console.STATE.json_mode:
        console.emit("eval.v1", {**asdict(found), "accuracy": found.accuracy})
        return
    _print(found)
    if model is None:
        console.say("layer errors are those of the calibration set; --model measures them here")


def _print(found: Evaluation) -> None:
    print_layers(found.layers)
    if found.accuracy is None:
        console.say(f"{found.n_samples} samples; no labels (y) in the data, so no accuracy")
    else:
        console.say(
            f"accuracy {100 * found.accuracy:.2f} %: {found.n_right:,} of {found.n_samples:,} right"
        )


def print_layers(layers: Sequence[LayerResult]) -> None:
    """A table of layers with their conversions and errors."""
    console.table(
        ("layer", "does", "conversions", "saturated", "error (LSB rms)", "SQNR"),
        [_row(layer) for layer in layers],
        right="  rrrr",
    )


def _row(layer: LayerResult) -> tuple[str, ...]:
    clipped = ""
    if layer.n_conversions:
        clipped = f"{layer.n_saturated:,} ({100 * layer.n_saturated / layer.n_conversions:.3f} %)"
    return (
        layer.name,
        layer.opcode,
        f"{layer.n_conversions:,}" if layer.n_conversions else "",
        clipped,
        "" if layer.rms_error_lsb is None else f"{layer.rms_error_lsb:.2f}",
        "" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f} dB",
    )
