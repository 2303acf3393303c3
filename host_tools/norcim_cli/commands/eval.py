"""`norcim eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.analysis.evaluation import Evaluation, LayerResult
    from norcim.image.model import ImageContent


@click.command("eval")
@click.argument("image", metavar="IMAGE")
@click.option("--data", metavar="FILE", required=True, help="Inputs, and labels as y; .npz.")
@click.option("--model", metavar="MODEL", help="The ONNX model: errors of layers on these inputs.")
@options.network
@options.cells
@click.option(
    "--chips-sampled",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="With --cells: chips of the population.",
)
@options.seed
@options.common
def eval_(
    image: str, data: str, model: str | None, network: str | None,
    cells: options.CellOptions | None, chips_sampled: int, seed: int,
) -> None:  # fmt: skip
    """Measure accuracy, layer errors and converter saturation.

    Runs on the emulator. The error of a layer includes those before it; without --model it is
    what the compiler measured on its calibration set, with --model every layer is compared with
    the real values of the model on the same inputs.

    --cells samples chips with programming errors, drift, and noise, and gives the mean and the
    percentiles of the accuracy over them; docs/cells.md.
    """
    from norcim.analysis.evaluation import measure
    from norcim.frontend import Fixed, import_onnx
    from norcim_cli.vectors import load_samples

    _, content, _ = files.load_network(image, network)
    inputs, labels = load_samples(data, content)
    if cells is not None:
        _on_chips(content, inputs, labels, cells, chips_sampled, seed)
        return
    if model is not None:
        files.refuse_image(model)
    found = measure(
        content,
        inputs,
        labels,
        None if model is None else import_onnx(model, Fixed.from_meta(content.meta)),
    )
    if console.STATE.json_mode:
        console.emit("eval.v1", {**asdict(found), "accuracy": found.accuracy})
        return
    _print(found)
    if model is None:
        console.say("layer errors are those of the calibration set; --model measures them here")


def _on_chips(
    content: ImageContent, inputs: list[Any], labels: Any, cells: options.CellOptions,
    n_chips: int, seed: int,
) -> None:  # fmt: skip
    """Accuracy over sampled chips."""
    from norcim.analysis.population import accuracy_score, run_population
    from norcim.emulator import Emulator

    if labels is None:
        raise NorcimError(
            "NC-E0905", "accuracy on sampled chips needs labels", expected="labels as y",
            got="no labels in the data", fix="store them as `y` beside the inputs",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    score = accuracy_score(content, labels, len(inputs[0]))
    exact = score(Emulator(content).run(inputs))
    calibration = cells.calibration(content, seed)
    model = cells.model(content)
    with console.progress() as progress:
        found = run_population(
            content,
            model,
            inputs,
            score,
            seed=seed,
            n_chips=n_chips,
            calibration=calibration,
            progress=progress,
        )
    columns = found.columns()
    summary = {
        "exact": exact,
        "mean": found.mean,
        **{f"p{share:02d}": found.percentile(share) for share in (5, 50, 95)},
        "worst": float(found.scores.min()),
    }
    if console.STATE.json_mode:
        row = {"seed": seed, "n_chips": n_chips, **cells.described(), **summary}
        row["columns"] = {k: v for k, v in asdict(columns).items() if k != "tile"}
        row["accuracies"] = [float(v) for v in found.scores]
        console.emit("eval-cells.v1", row)
        return
    headings = ("accuracy", "exact", "mean", "5 %", "50 %", "95 %", "worst")
    values = [f"{100 * value:.2f} %" for value in summary.values()]
    console.table(headings, [(f"{n_chips} chips, seed {seed}", *values)], right=" rrrrrr")
    console.say(
        f"columns (median): sigma {columns.sigma_lsb:.2f} LSB, "
        f"offset {columns.offset_lsb:.2f} LSB, slope {columns.slope:.3f}"
    )


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
