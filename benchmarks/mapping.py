"""`python -m benchmarks.mapping`: how tightly models are packed, and what compiling costs.

Packing: the smallest rectangle of an array, of any width and height, into which the mapper packs
a model's tiles, against the cells that the tiles have (the lower bound of any packing); with tiles
whole, and with wide ones cut by columns, as the mapper does where nothing else fits, until the area
is within GOAL of the bound.

--compile: CPU time and largest memory of compiling MODELS with 100 samples of noise, each in a
process of its own.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks.subjects import shared_data
from norcim.chips import Chip, load_chip
from norcim.errors import NorcimError
from norcim.frontend import import_onnx
from norcim.mapper import Block, choose_group_limit, graph_blocks, place_blocks
from norcim.mapper.arrange import WIDTHS, cut_blocks
from norcim.runtime import compile_model

CHIPS = ("nor1", "wtm2101")
N_SAMPLES = 100
GOAL = 1.1
_STEPS = 16  #: widths of the rectangle, and of the highest tiles side by side, that are tried


@dataclass(frozen=True)
class Packing:
    """One model on one chip.

    n_cells       of its tiles: the lower bound
    n_tiles       whole
    whole, cut    area of the smallest rectangle found over n_cells; None: none found
    n_cut         tiles if they are cut as for `cut`
    seconds       CPU time of a placement on the chip
    """

    model: str
    chip: str
    n_cells: int
    n_tiles: int
    whole: float | None
    cut: float | None
    n_cut: int
    seconds: float


def measure_packing(path: Path, chip: Chip) -> Packing:
    """Pack one model. Raises NorcimError if it cannot be imported or does not fit."""
    graph = import_onnx(path)
    start = time.process_time()
    blocks = graph_blocks(graph, chip, choose_group_limit(graph, chip))
    seconds = time.process_time() - start
    n_cells = sum(block.n_lines * block.n_cols for block in blocks)
    whole, n_cut = _smallest_area(blocks, chip), len(blocks)
    best = whole
    for width in WIDTHS:
        if best is not None and best <= GOAL * n_cells:
            break
        parts = cut_blocks(blocks, width)
        area = _smallest_area(parts, chip)
        if area is not None and (best is None or area < best):
            best, n_cut = area, len(parts)
    ratios = [None if area is None else round(area / n_cells, 3) for area in (whole, best)]
    return Packing(path.stem, chip.name, n_cells, len(blocks), *ratios, n_cut, round(seconds, 3))


def _smallest_area(blocks: Sequence[Block], chip: Chip) -> int | None:
    """Cells of the smallest rectangle that takes all blocks; it is no higher than an array."""
    n_cells = sum(block.n_lines * block.n_cols for block in blocks)
    widest, highest = max(b.n_cols for b in blocks), max(b.n_lines for b in blocks)
    most = chip.arrays.n_columns - chip.arrays.reserved_columns
    side_by_side = itertools.accumulate(b.n_cols for b in sorted(blocks, key=lambda b: -b.n_lines))
    widths = {min(most, round(widest * (most / widest) ** (i / _STEPS))) for i in range(_STEPS + 1)}
    widths |= {w for w in itertools.islice(side_by_side, _STEPS) if widest <= w <= most}
    best: int | None = None
    for width in sorted(widths):
        limit = chip.arrays.n_rows if best is None else (best - 1) // width
        height = _first(
            range(max(highest, -(-n_cells // width)), limit + 1),
            lambda n_rows, width=width: _takes(blocks, chip, width, n_rows),  # type: ignore[misc]
        )
        if height is not None:
            best = width * height
    return best


def _first(values: range, holds: Callable[[int], bool]) -> int | None:
    """The first of rising values for which something holds, as if it held for all after it."""
    if not values or not holds(values[-1]):
        return None
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(values[middle]) else (middle + 1, high)
    return values[low]


def _takes(blocks: Sequence[Block], chip: Chip, width: int, n_rows: int) -> bool:
    region = replace(chip.arrays.regions[0], first=0, n_rows=n_rows)
    arrays = replace(
        chip.arrays, count=1, regions=(region,), n_rows=n_rows, reserved_columns=0, n_columns=width
    )
    try:
        place_blocks(blocks, replace(chip, arrays=arrays))
    except NorcimError:
        return False
    return True


@dataclass(frozen=True)
class Compilation:
    """CPU time in seconds and largest resident memory in bytes of one compilation."""

    model: str
    chip: str
    seconds: float
    n_bytes: int
    error: str


def measure_compilation(task: tuple[Path, str]) -> Compilation:
    """Compile one model with samples of noise."""
    path, chip = task
    rng, error = np.random.default_rng(0), ""
    start = time.process_time()
    try:
        ports = import_onnx(path).inputs
        noise = {
            port.tensor: rng.normal(size=(N_SAMPLES, *port.shape)).astype(np.float32)
            if port.codes == "float32"
            else rng.integers(0, 100, (N_SAMPLES, *port.shape)).astype(port.codes)
            for port in ports
        }
        compile_model(path, load_chip(chip), noise)
    except NorcimError as found:
        error = found.id
    seconds = time.process_time() - start
    n_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Compilation(path.stem, chip, round(seconds, 2), n_bytes, error)


def _packings(paths: Iterable[Path], chips: Sequence[str]) -> Iterable[Packing]:
    for path in paths:
        for chip in chips:
            try:
                yield measure_packing(path, load_chip(chip))
            except NorcimError as error:
                click.echo(f"{path.stem} {chip}: {error.id} {error.what}", err=True)


@click.command()
@click.argument("models", nargs=-1)
@click.option("--chip", "chips", multiple=True, default=CHIPS, help="Chips to map onto.")
@click.option("--compile", "compiles", is_flag=True, help="Measure compiling instead of packing.")
def main(models: tuple[str, ...], chips: tuple[str, ...], compiles: bool) -> None:
    """One JSON object for each of MODELS, or of the models of the shared folder, and each chip."""
    folder = shared_data()
    if not models and folder is None:
        raise click.ClickException("the folder of models is not there")
    paths = [Path(model) for model in models]
    if not paths and folder is not None:
        paths = sorted((folder / "models").glob("*.onnx"))
    if not compiles:
        for packing in _packings(paths, chips):
            click.echo(json.dumps(asdict(packing)))
        return
    context = multiprocessing.get_context("spawn")
    for task in [(path, chip) for path in paths for chip in chips]:
        with context.Pool(1) as pool:
            click.echo(json.dumps(asdict(pool.apply(measure_compilation, (task,)))))


if __name__ == "__main__":
    main()
