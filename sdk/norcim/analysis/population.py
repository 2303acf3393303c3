"""A population of sampled chips: what its columns do, and how well a network runs on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim.analysis.evaluation import Bytes, label_numbers, predicted_classes
from norcim.emulator import Emulator
from norcim.emulator.cells import CellModel, SampledChip, sample_chip
from norcim.emulator.cells.sample import analog_tiles
from norcim.emulator.compensate import (
    Calibration,
    calibration_of,
    compensate,
    measure_column_codes,
)
from norcim.image.model import ImageContent

Reals = npt.NDArray[np.float64]
Score = Callable[[list[Bytes]], float]
Progress = Callable[[str, int, int], None]

N_CALIBRATION = 32
"""Inputs that compensation takes from the data if it is given none of its own."""


@dataclass(frozen=True)
class ColumnErrors:
    """Real codes of a tile's columns on one chip against an exact one's, in LSB, not clipped.

    Against `expected`, fitted column by column: measured = slope x expected + offset.
    offset_lsb  sigma over columns of a column's mean error
    sigma_lsb   median over columns of the standard deviation of the error, offset taken out
    slope       median over columns of the slope
    """

    tile: int
    offset_lsb: float
    sigma_lsb: float
    slope: float


@dataclass(frozen=True)
class ChipResult:
    """One sampled chip: its score, and the errors of its columns tile by tile."""

    number: int
    score: float
    columns: tuple[ColumnErrors, ...]


@dataclass(frozen=True)
class Population:
    """All sampled chips of one condition."""

    seed: int
    chips: tuple[ChipResult, ...]

    @property
    def scores(self) -> Reals:
        """Scores in the order of the chips' numbers."""
        return np.array([chip.score for chip in self.chips])

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(self.scores.mean())

    def percentile(self, share: float) -> float:
        """Percentile of the scores, 0..100, linear between chips."""
        return float(np.percentile(self.scores, share))

    def columns(self) -> ColumnErrors:
        """Medians over chips and tiles; tile is -1."""
        rows = [(e.offset_lsb, e.sigma_lsb, e.slope) for c in self.chips for e in c.columns]
        middle = np.median(np.array(rows or [(0.0, 0.0, 1.0)]), axis=0)
        return ColumnErrors(-1, *(float(v) for v in middle))


def accuracy_score(content: ImageContent, labels: npt.NDArray[np.generic], n: int) -> Score:
    """Score: share of samples whose largest output is the label. Raises NC-E0905."""
    classes = label_numbers(content, labels, n)

    def score(outputs: list[Bytes]) -> float:
        return float((predicted_classes(content, outputs[0]) == classes).mean())

    return score


def column_errors(
    chip: SampledChip, calibration: Calibration, seed: int = 0
) -> tuple[ColumnErrors, ...]:
    """Errors of every analog tile's columns on the calibration's inputs."""
    found = []
    for index, encoding in analog_tiles(chip.content).items():
        rng = np.random.default_rng([seed, chip.number, index])
        expected, codes = measure_column_codes(
            chip, index, encoding, calibration.drives[index], rng
        )
        error = codes - expected
        spread = expected - expected.mean(axis=0)
        power = np.square(spread).sum(axis=0)
        alive = power > 0
        slope = (spread * codes).sum(axis=0)[alive] / power[alive]
        found.append(
            ColumnErrors(
                index,
                float(error.mean(axis=0).std()),
                float(np.median(error.std(axis=0))),
                float(np.median(slope)) if alive.any() else 1.0,
            )
        )
    return tuple(found)


def run_population(
    content: ImageContent,
    model: CellModel,
    inputs: Sequence[Bytes],
    score: Score,
    *,
    seed: int,
    n_chips: int,
    calibration: Calibration | None = None,
    n_threads: int = 1,
    measure_columns: bool = True,
    progress: Progress = lambda _step, _done, _total: None,
) -> Population:
    """Run a network on chips 0 .. n_chips - 1 of population `seed`.

    inputs       code bytes (n, h, w, c) an input port
    calibration  for compensation and column errors; None: of the first inputs
    measure_columns  measure the errors of every tile's columns too
    Deterministic whatever n_threads.
    """
    if calibration is None:
        calibration = calibration_of(content, [x[:N_CALIBRATION] for x in inputs], seed)
    results = []
    for number in range(n_chips):
        progress("chips", number, n_chips)
        chip = compensate(sample_chip(content, model, seed, number), calibration)
        outputs = Emulator(content, n_threads, chip).run(inputs)
        columns = column_errors(chip, calibration, seed) if measure_columns else ()
        results.append(ChipResult(number, score(outputs), columns))
    progress("chips", n_chips, n_chips)
    return Population(seed, tuple(results))
