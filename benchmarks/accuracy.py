"""`python -m benchmarks.accuracy`: accuracy of networks on real recordings, chip by chip.

Every model is compiled with automatic settings and run on the emulator; the same inputs run in
onnxruntime. What was measured is kept in a file, one JSON object a line: rows that are in it are
printed, not measured again, unless --only names them or --fresh asks for all.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks import denoiser
from benchmarks.accuracy_sets import Subject, subjects
from benchmarks.recordings import snr_db
from benchmarks.subjects import CHECKOUT, shared_data
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.runtime import compile_model, decode_outputs, encode_inputs

CHIPS = ("digital", "nor1", "wtm2101")
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Row:
    """One figure of one model on one chip, beside the same figure of onnxruntime.

    refused    the error that refuses the model; all figures are None then
    same_top   share of inputs with onnxruntime's largest output, in percent
    output_db  signal over error of the outputs against onnxruntime's
    worst_db   of the worst layer on the calibration set, and its name
    cells      cells in use
    compile_s  CPU seconds of one compilation
    """

    model: str
    chip: str
    metric: str
    n: int
    reference: float | None = None
    found: float | None = None
    same_top: float | None = None
    output_db: float | None = None
    worst_db: float | None = None
    worst_layer: str = ""
    cells: int = 0
    compile_s: float = 0.0
    refused: str = ""


def run_peer(path: Path, inputs: Array, batch: int = 64) -> Array:
    """First output of onnxruntime on (n, *shape), batch by batch."""
    import onnxruntime as ort

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    [source] = session.get_inputs()
    step = source.shape[0] if isinstance(source.shape[0], int) else batch
    parts = [inputs[i : i + step] for i in range(0, len(inputs), step)]
    return np.concatenate([session.run(None, {source.name: part})[0] for part in parts])


def run_image(content: ImageContent, inputs: Array, batch: int = 64) -> Array:
    """First output of the emulator, in the model's layout."""
    emulator, found = Emulator(content), []
    for start in range(0, len(inputs), batch):
        given = {"x": inputs[start : start + batch]}
        outputs = emulator.run(encode_inputs(content, given))
        found.append(next(iter(decode_outputs(content, outputs, given).values())))
    return np.concatenate(found)


def measure(subject: Subject, path: Path, chip: str, due: Array) -> list[Row]:
    """All figures of one model on one chip; `due` are onnxruntime's outputs."""
    metrics = list(subject.scores) or ["same class %"]
    contents, found = [], []
    started = time.process_time()
    try:
        for fold in subject.folds:
            contents.append(compile_model(path, load_chip(chip), {"x": fold.calibration}))
    except NorcimError as error:
        refused = f"{error.id} {error.what}"
        return [Row(subject.model, chip, metric, subject.n, refused=refused) for metric in metrics]
    spent = (time.process_time() - started) / len(contents)
    for content, fold in zip(contents, subject.folds, strict=True):
        found.append(run_image(content, fold.inputs))
    outputs = np.concatenate(found).reshape(due.shape)
    same = 100 * float((_top(outputs) == _top(due)).mean())
    worst = min((_worst(content) for content in contents), key=lambda pair: pair[0])
    rows = []
    for metric in metrics:
        score = subject.scores.get(metric)
        rows.append(
            Row(
                subject.model, chip, metric, subject.n,
                100.0 if score is None else round(score(due), 4),
                round(same if score is None else score(outputs), 4), round(same, 2),
                snr_db(subject.real(outputs), subject.real(due)), *worst,
                len(contents[0].weights), round(spent, 2),
            )
        )  # fmt: skip
    return rows


def _top(outputs: Array) -> Array:
    return outputs.reshape(len(outputs), -1).argmax(axis=1)


def _worst(content: ImageContent) -> tuple[float, str]:
    layers = [layer for layer in content.meta["layers"] if layer["sqnr_db"] is not None]
    return min(((layer["sqnr_db"], layer["name"]) for layer in layers), default=(999.0, ""))


def measure_denoiser(models: Path, data: Path, chip: str) -> Iterator[Row]:
    """Mean SI-SDR of both stages; each set of recordings is calibrated on the other."""
    sets = {name: data / f"denoise/{name}.npz" for name in ("voicebank_demand", "gsc_plus_noise")}
    float_stages = denoiser.peer_stages(models)
    for name, other in (tuple(sets), tuple(reversed(sets))):
        learnt, _ = denoiser.load(sets[other])
        noisy, clean = denoiser.load(sets[name])
        calibration = denoiser.calibration(learnt, float_stages, denoiser.CALIBRATION_STEPS)
        wanted = denoiser.denoise(noisy, float_stages)
        model, metric = "dtln_model_1+2", f"{name} SI-SDR dB"
        reference = round(denoiser.mean_si_sdr_db(wanted, clean), 2)
        started = time.process_time()
        try:
            contents = denoiser.compile_stages(models, load_chip(chip), calibration)
        except NorcimError as error:
            yield Row(
                model, chip, metric, len(clean), reference, refused=f"{error.id} {error.what}"
            )
            continue
        spent = time.process_time() - started
        found = denoiser.denoise(noisy, denoiser.chip_stages(contents))
        worst = min(_worst(content) for content in contents)
        yield Row(
            model, chip, metric, len(clean), reference,
            round(denoiser.mean_si_sdr_db(found, clean), 2), None,
            snr_db(np.concatenate(found), np.concatenate(wanted)), *worst,
            sum(len(content.weights) for content in contents), round(spent, 2),
        )  # fmt: skip


def print_row(row: Row) -> None:
    """One line of the table."""
    head = f"{row.model:27} {row.chip:8} {row.metric:28}"
    if row.refused:
        click.echo(f"{head} refused: {row.refused}")
        return
    loss = (row.reference or 0.0) - (row.found or 0.0)
    same = "     -" if row.same_top is None else f"{row.same_top:6.2f}"
    output = " same" if row.output_db is None else f"{row.output_db:5.1f}"
    click.echo(
        f"{head} {row.reference:8.3f} {row.found:8.3f} lost {loss:7.3f}  same {same} %"
        f"  output {output} dB  worst {row.worst_db:5.1f} dB  {row.cells:9,} cells"
        f" {row.compile_s:6.1f} s  {row.worst_layer}"
    )


class Book:
    """Rows in a file, one JSON object a line; a row replaces its elder of the same key."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self.path = path
        self.rows: dict[tuple[str, str, str], Row] = {}
        if path.is_file() and not fresh:
            for line in path.read_text().splitlines():
                self._add(Row(**json.loads(line)))

    def _add(self, row: Row) -> None:
        self.rows[row.model, row.chip, row.metric] = row

    def knows(self, model: str, chip: str, metric: str) -> bool:
        """Whether the row is there."""
        return (model, chip, metric) in self.rows

    def put(self, rows: list[Row]) -> None:
        """Keep rows, print them, write the file."""
        for row in rows:
            self._add(row)
            print_row(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(asdict(row)) + "\n" for row in self.rows.values()]
        self.path.write_text("".join(lines))


@click.command()
@click.option("--only", default="", help="Measure only models whose name holds this, again.")
@click.option("--chips", default=",".join(CHIPS), help="Chips, by commas.")
@click.option("--fresh", is_flag=True, help="Measure all again.")
@click.option(
    "--rows", "book_file", type=click.Path(path_type=Path),
    default=CHECKOUT / ".bench" / "accuracy.jsonl", help="File that keeps the rows.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON at the end.")
def main(only: str, chips: str, fresh: bool, book_file: Path, as_json: bool) -> None:
    """Print the table of accuracies."""
    folder = shared_data()
    if folder is None:
        click.echo("skipped: the folder of third-party models and recordings is not there")
        return
    models, data = folder / "models", folder / "data"
    book = Book(book_file, fresh=fresh)
    names = chips.split(",")
    for group in subjects(data):
        for subject in group():
            if only in subject.model:
                _measure_missing(book, subject, models, names, again=bool(only))
    if only in "dtln_model_1+2":
        for chip in names:
            if only or not book.knows("dtln_model_1+2", chip, "gsc_plus_noise SI-SDR dB"):
                book.put(list(measure_denoiser(models, data, chip)))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in book.rows.values()]))


def _measure_missing(
    book: Book, subject: Subject, models: Path, chips: list[str], *, again: bool
) -> None:
    metrics = list(subject.scores) or ["same class %"]
    todo = [c for c in chips if again or not book.knows(subject.model, c, metrics[0])]
    if not todo:
        return
    path = models / f"{subject.model}.onnx"
    due = np.concatenate([run_peer(path, fold.inputs) for fold in subject.folds])
    for chip in todo:
        book.put(measure(subject, path, chip, due))


if __name__ == "__main__":
    main()
