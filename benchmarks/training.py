"""`python -m benchmarks.training NAME=MODEL.onnx ...`: what training gives on sampled chips.

Models like the shipped keyword network (by default that alone) run on 432 clips of Speech Commands
under every condition of the table, each on the same sampled chips. Prints Markdown: mean top-1 in
per cent with the 95 % interval over the chips, and the gain of each model over the one before it.
Needs the recordings beside the checkout.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy.typing as npt

from benchmarks.cells import CHIP, Task, kws_task, population
from benchmarks.subjects import CHECKOUT, shared_data
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.cells import CellModel, Compensation

CONDITIONS = {
    "typical cells, calibrated": ("typical", Compensation()),
    "typical cells, not calibrated": ("typical", Compensation(calibrate=False)),
    "worst cells, calibrated": ("worst", Compensation()),
}


def scores(task: Task, corner: str, treatment: Compensation, n: int, seed: int) -> npt.NDArray[Any]:
    """Top-1 in per cent of n chips, (n,)."""
    model = CellModel.of(load_chip(CHIP), corner, compensation=treatment)
    return 100 * population(task, model, n, seed).scores


def interval(values: npt.NDArray[Any]) -> str:
    """Mean and half of its 95 % interval."""
    return f"{values.mean():.1f} +- {1.96 * values.std(ddof=1) / len(values) ** 0.5:.1f}"


@click.command()
@click.argument("models", nargs=-1)
@click.option("--chips", "n_chips", type=int, default=20, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(models: tuple[str, ...], n_chips: int, seed: int) -> None:
    """Print the table."""
    data = shared_data()
    if data is None:
        raise click.UsageError("the recordings beside the checkout are missing")
    named = dict(model.split("=", 1) for model in models)
    named = named or {"shipped": str(CHECKOUT / "models/kws/kws.onnx")}
    tasks = {name: kws_task(data, Path(path), every=1) for name, path in named.items()}
    gains = [f"gain of {name}" for name in list(named)[1:]]
    click.echo("| on `wtm2101` | " + " | ".join([*named, *gains]) + " |")
    click.echo("|---" * (1 + len(named) + len(gains)) + "|")
    exact = [100 * t.score(Emulator(t.content).run(t.inputs)) for t in tasks.values()]
    steps = [f"{b - a:.1f}" for a, b in pairwise(exact)]
    click.echo("| exact | " + " | ".join([*(f"{score:.1f}" for score in exact), *steps]) + " |")
    for label, (corner, treatment) in CONDITIONS.items():
        rows = [scores(task, corner, treatment, n_chips, seed) for task in tasks.values()]
        cells = [interval(row) for row in rows]
        cells += [interval(b - a) for a, b in pairwise(rows)]
        click.echo(f"| {label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
