"""`norcim sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import console, files, options
from norcim_cli.ages import parse_age

if TYPE_CHECKING:
    from norcim.sweep import Job

N_MADE_UP = 64
"""Inputs that are made up where none are given, or that are measured of a calibration set."""


@click.command()
@click.argument("model", metavar="MODEL")
@options.chip
@click.option(
    "--vary",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help="adc_bits=4..10, sigma_w=0..8:0.5, temperature=25,85, arrays.n_rows=256,512.",
)
@click.option(
    "--data",
    metavar="FILE",
    help="Test inputs, and labels as y; .npz. Without labels the SNR of the outputs against the "
    "model itself is measured; without it on the calibration inputs.",
)
@click.option(
    "--calibration",
    metavar="FILE",
    help="Typical inputs; .npz. Without it and --data: 64 made-up ones, normal noise.",
)
@click.option(
    "--chips-sampled",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Chips of the population at each point.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."
)
@click.option("--dask", metavar="ADDRESS", help="Run on this Dask cluster, tcp://HOST:8786.")
@click.option(
    "--cells",
    type=click.Choice(["best", "typical", "worst"]),
    default="typical",
    show_default=True,
    help="Corner of the chip file's cells.",
)
@click.option(
    "--age", callback=parse_age, default="fresh", show_default=True, help="Time since programming."
)
@click.option("--temperature", type=float, default=25.0, show_default=True, help="Celsius.")
@click.option(
    "--compensate",
    default="reserve,remap,refine,calibrate",
    show_default=True,
    help="all, none, or names.",
)
@options.seed
@options.output(doc="Results: .json or .parquet [MODEL.sweep.json]. Run again to go on.")
@click.option(
    "--plot", metavar="FILE", help="Draw accuracy over the longest axis: .png, .svg, .pdf."
)
@options.overwrite
@options.common
def sweep(
    model: str, chip: str, vary: tuple[str, ...], data: str | None, calibration: str | None,
    output: str | None, plot: str | None, workers: int, dask: str | None, overwrite: bool,
    **condition: Any,
) -> None:  # fmt: skip
    """Measure accuracy, or SNR, over values of a chip file.

    Every combination of --vary is compiled and run, exactly and on sampled chips. What is done is
    kept in OUTPUT.partial: the same command goes on after an interruption. The file is the same
    whatever the number of workers.
    """
    from norcim.sweep import (
        DaskPool,
        LocalPool,
        check_plot,
        parse_axis,
        plot_sweep,
        points_of,
        run_sweep,
    )

    target = Path(output or Path(model).stem + ".sweep.json")
    files.refuse_existing(target, overwrite)
    files.refuse_image(model)
    axes = [parse_axis(text) for text in vary]
    points = points_of(axes)
    if plot:
        files.refuse_existing(Path(plot), overwrite)
        check_plot(Path(plot), axes)
    job = _job(model, chip, data, calibration, condition)
    for point in points:
        job.chip_at(point)  # a value out of range is refused before anything runs
    pool = DaskPool(dask) if dask else LocalPool(workers)
    with console.progress() as progress:
        rows = run_sweep(job, points, target, pool, progress)
    if plot:
        plot_sweep(rows, axes, Path(plot), job.measure)
    if console.STATE.json_mode:
        for row in rows:
            console.emit("sweep-point.v1", {"measure": job.measure, **row})
        return
    headings = list(rows[0])
    shown = [[_spell(name, row.get(name), job.measure) for name in headings] for row in rows]
    console.table(headings, shown, right="r" * len(headings))
    console.say(f"wrote {target}: {len(rows):,} points, {job.n_chips} chips each, seed {job.seed}")


def _job(
    model: str, chip: str, data: str | None, calibration: str | None, condition: dict[str, Any]
) -> Job:
    from norcim.chips import read_chip_file
    from norcim.sweep import Job
    from norcim_cli.vectors import LABEL_KEYS

    arrays = {} if data is None else files.load_arrays(data)
    labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
    inputs = {k: v for k, v in arrays.items() if k not in LABEL_KEYS}
    typical = _typical(model, data, calibration)
    if labels is None:
        where = data or calibration or f"{N_MADE_UP} made-up inputs (normal noise)"
        console.log(
            f"no labels: measuring the SNR of the outputs against the model itself, on {where}"
        )
    return Job(
        model=files.read_bytes(model), chip_file=read_chip_file(chip), chip=chip,
        calibration=typical,
        inputs=inputs or {k: v[:N_MADE_UP] for k, v in typical.items()}, labels=labels,
        seed=condition["seed"], n_chips=condition["chips_sampled"], corner=condition["cells"],
        age_s=condition["age"], temperature_c=condition["temperature"],
        compensation=options.parse_compensation(condition["compensate"]),
    )  # fmt: skip


def _typical(model: str, data: str | None, calibration: str | None) -> dict[str, Any]:
    """Calibration inputs: those given, or made-up ones where no real inputs are there at all."""
    from norcim.frontend import import_onnx
    from norcim.runtime import noise_inputs

    if calibration is not None:
        return files.load_arrays(calibration)
    if data is None:
        return noise_inputs(import_onnx(model), N_MADE_UP)
    raise NorcimError(
        "NC-E0402", "calibration inputs are needed", where="--calibration",
        why="ranges that were chosen on the test data, or on noise, would say nothing of it",
        fix="pass --calibration FILE.npz with about 100 representative inputs",
        exit_code=EXIT_USAGE,
    )  # fmt: skip


def _spell(name: str, value: Any, measure: str) -> str:
    if name in ("exact", "mean", "p05", "p95"):
        if value is None:
            return ""
        return f"{value:.1f} dB" if measure == "snr_db" else f"{100 * value:.2f} %"
    return f"{value:g}" if isinstance(value, float) else str(value)
