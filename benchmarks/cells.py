"""`python -m benchmarks.cells`: accuracy over sampled chips by age and temperature.

One JSON line a row is appended to --output; rows that it holds already are not measured again.
`--table` prints the rows as a Markdown table. `--switches` measures instead what each part of the
compensation gives a fresh chip, alone and left out of all, for the shipped keyword network. Needs
the models and data beside the checkout.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.recordings import auc, machine_windows
from benchmarks.subjects import CHECKOUT, shared_data
from norcim.analysis.population import Population, Score, accuracy_score, run_population
from norcim.audio import LogMelConfig, log_mel
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.cells import ALL, NOTHING, CellModel, Compensation
from norcim.emulator.compensate import Calibration, calibration_of
from norcim.image.model import ImageContent
from norcim.runtime import compile_model, decode_outputs, encode_inputs

DAY, YEAR = 86400.0, 31557600.0
AGES = {"fresh": 0.0, "1 day": DAY, "1 year": YEAR, "10 years": 10 * YEAR}
TEMPERATURES = (25.0, 85.0)
TREATMENTS = {"none": NOTHING, "compensated": Compensation()}
CHIP = "wtm2101"


@dataclass(frozen=True)
class Task:
    """A network with inputs that it is scored on."""

    content: ImageContent
    inputs: list[npt.NDArray[np.uint8]]
    score: Score
    calibration: Calibration


def kws_task(data: Path, model: Path | None = None, every: int = 3) -> Task:
    """The shipped keyword network, or a `model` like it; every n-th clip of Speech Commands."""
    folder = CHECKOUT / "models" / "kws"
    described = json.loads((folder / "model.json").read_text())
    with np.load(data / "data/kws_gsc/gsc_v2_test.npz") as clips:
        names = [str(name) for name in clips["label_names"]]
        order = np.array([described["labels"].index(name) for name in names])
        pcm, labels = clips["x"][::every], order[clips["y"][::every]]
    features = log_mel(pcm, LogMelConfig.from_dict(described["front_end"]))
    typical = np.load(folder / "calib.npz")["x"]
    return _classifier(model or folder / "kws.onnx", typical, features, labels)


def resnet_task(data: Path) -> Task:
    """MLPerf Tiny ResNet-8, every third of 300 images of CIFAR-10."""
    with np.load(data / "data/cifar10/test.npz") as test:
        images, labels = test["x"][::3].astype(np.float32), test["y"][::3].astype(np.int64)
    typical = np.load(data / "data/cifar10/train_calib.npz")["x"][:100].astype(np.float32)
    return _classifier(data / "models/mlperf_ic_resnet8_fp32.onnx", typical, images, labels)


def _classifier(model: Path, typical: Any, inputs: Any, labels: Any) -> Task:
    content = compile_model(model, load_chip(CHIP), {"x": typical})
    codes = encode_inputs(content, {"x": inputs})
    calibration = calibration_of(content, encode_inputs(content, {"x": typical[:32]}))
    return Task(content, codes, accuracy_score(content, labels, len(labels)), calibration)


def autoencoder_task(data: Path) -> Task:
    """MLPerf Tiny anomaly autoencoder, area under the curve over 36 recordings of toy cars.

    Calibrated on all windows of every second normal recording, measured on the other recordings:
    the reconstruction error of 14 windows of five frames is averaged for each.
    """
    with np.load(data / "data/ad01/toycar_logmel.npz") as recordings:
        frames, anomalous = recordings["x"], recordings["y"].astype(bool)
    learnt = np.zeros(len(frames), bool)
    learnt[np.flatnonzero(~anomalous)[::2]] = True
    normal = np.concatenate([machine_windows(recording) for recording in frames[learnt]])
    flat = np.concatenate([machine_windows(recording)[::14] for recording in frames[~learnt]])
    model = data / "models/mlperf_ad_autoencoder_fp32_tfl.onnx"
    content = compile_model(model, load_chip(CHIP), {"x": normal})

    def score(outputs: list[npt.NDArray[np.uint8]]) -> float:
        [rebuilt] = decode_outputs(content, outputs).values()
        error = np.square(rebuilt.reshape(flat.shape) - flat).mean(axis=1)
        scores, wrong = error.reshape(-1, 14).mean(axis=1), anomalous[~learnt]
        return auc(scores[wrong], scores[~wrong])

    codes = encode_inputs(content, {"x": flat})
    return Task(
        content, codes, score, calibration_of(content, encode_inputs(content, {"x": normal[::9]}))
    )


TASKS: dict[str, Callable[[Path], Task]] = {
    "KWS": kws_task,
    "autoencoder": autoencoder_task,
    "ResNet-8": resnet_task,
}


def population(task: Task, model: CellModel, n: int, seed: int) -> Population:
    """A task on n sampled chips."""
    return run_population(
        task.content, model, task.inputs, task.score, seed=seed, n_chips=n,
        calibration=task.calibration, measure_columns=False,
    )  # fmt: skip


def _spread(mean: float, p05: float, p95: float) -> str:
    return f"{100 * mean:.1f} ({100 * p05:.0f}-{100 * p95:.0f})"


def measure(task: Task, name: str, age: str, temperature: float, treatment: str, n: int,
            seed: int) -> dict[str, Any]:  # fmt: skip
    """One row: score of n chips under one condition."""
    model = CellModel.of(
        load_chip(CHIP), age_s=AGES[age], temperature_c=temperature,
        compensation=TREATMENTS[treatment],
    )  # fmt: skip
    found = population(task, model, n, seed)
    return {
        "network": name, "age": age, "temperature_c": temperature, "treatment": treatment,
        "n_chips": n, "seed": seed, "mean": found.mean, "p05": found.percentile(5),
        "p95": found.percentile(95),
    }  # fmt: skip


def print_switches(task: Task, n: int, seed: int) -> None:
    """Markdown: mean score (5th to 95th percentile) with one part of the compensation, or without.

    A part alone is added to nothing, a part left out is taken from all.
    """

    def cell(treatment: Compensation) -> str:
        model = CellModel.of(load_chip(CHIP), compensation=treatment)
        found = population(task, model, n, seed)
        return _spread(found.mean, found.percentile(5), found.percentile(95))

    click.echo("| part | alone | all but it |\n|---|---|---|")
    for name in Compensation.names():
        alone, rest = (replace(base, **{name: on}) for base, on in ((NOTHING, True), (ALL, False)))
        click.echo(f"| {name} | {cell(alone)} | {cell(rest)} |")
    click.echo(f"| none; all | {cell(NOTHING)} | {cell(ALL)} |")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows that a file holds."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def print_table(rows: list[dict[str, Any]]) -> None:
    """Markdown: a row a condition, mean (5th to 95th percentile) in per cent."""
    click.echo("| network, treatment | " + " | ".join(
        f"{age}, {t:.0f} C" for age in AGES for t in TEMPERATURES) + " |")  # fmt: skip
    click.echo("|---" * (1 + len(AGES) * len(TEMPERATURES)) + "|")
    keyed = {(r["network"], r["treatment"], r["age"], r["temperature_c"]): r for r in rows}
    for name in TASKS:
        for treatment in TREATMENTS:
            cells = []
            for age in AGES:
                for t in TEMPERATURES:
                    r = keyed.get((name, treatment, age, t))
                    cells.append(_spread(r["mean"], r["p05"], r["p95"]) if r else "")
            click.echo(f"| {name}, {treatment} | " + " | ".join(cells) + " |")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("cells.jsonl"))
@click.option("--chips", "n_chips", type=int, default=50, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--network", type=click.Choice(list(TASKS)), multiple=True)
@click.option("--table", is_flag=True, help="Only print the table of what was measured.")
@click.option("--switches", is_flag=True, help="Parts of the compensation, one by one.")
def main(
    output: Path, n_chips: int, seed: int, network: tuple[str, ...], table: bool, switches: bool
) -> None:
    """Measure what is missing, then print the table."""
    data = shared_data()
    if data is None and not table:
        raise click.UsageError("the models and data beside the checkout are missing")
    if switches and data is not None:
        print_switches(kws_task(data, every=1), n_chips, seed)
        return
    known = rows_of(output)
    done = {(r["network"], r["treatment"], r["age"], r["temperature_c"]) for r in known}
    for name in () if table or data is None else network or TASKS:
        assert data is not None
        task = TASKS[name](data)
        click.echo(
            f"{name}: exact {task.score(Emulator(task.content).run(task.inputs)):.4f}", err=True
        )
        for age in AGES:
            for t in TEMPERATURES:
                for treatment in TREATMENTS:
                    if (name, treatment, age, t) in done:
                        continue
                    row = measure(task, name, age, t, treatment, n_chips, seed)
                    click.echo(json.dumps(row), err=True)
                    with output.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    print_table(rows_of(output))


if __name__ == "__main__":
    main()
