"""Runs the points of a sweep on a pool and keeps every result, so that it can be interrupted.

Results go to `OUTPUT.partial` as they come, one JSON line each, after a line that names the sweep.
Once all are there they are written to OUTPUT in the order of the points. A row depends on its
point and on the job alone, so neither workers nor interruptions change a byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from norcim.errors import EXIT_UNSUPPORTED, EXIT_USAGE, NorcimError
from norcim.sweep.axes import Value
from norcim.sweep.job import Job, compile_order, measure_point

Point = dict[str, Value]
Row = dict[str, Any]
Progress = Callable[[str, int, int], None]

BATCH = 4
"""Points that a worker takes at a time: few, so that little is lost; they share an image."""

_job: Job | None = None


class Pool(Protocol):
    """Something that measures batches of points in any order."""

    def run(
        self, job: Job, batches: Sequence[list[tuple[int, Point]]]
    ) -> Iterator[list[tuple[int, Row]]]:
        """Results of the batches as they come."""
        ...


class LocalPool:
    """Processes of this machine; one worker runs in this process."""

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers

    def run(
        self, job: Job, batches: Sequence[list[tuple[int, Point]]]
    ) -> Iterator[list[tuple[int, Row]]]:
        """Results of the batches as they come."""
        if self._n_workers == 1:
            for batch in batches:
                yield _measure(job, batch)
            return
        # spawn: a fork would copy BLAS threads that do not run in the child.
        pool = ProcessPoolExecutor(
            self._n_workers, get_context("spawn"), initializer=_start, initargs=(job,)
        )
        try:
            waiting = [pool.submit(_measure_here, batch) for batch in batches]
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class DaskPool:
    """An existing Dask cluster, by the address of its scheduler."""

    def __init__(self, address: str) -> None:
        """Raises NC-E0912 without the extra, NC-E0913 if nobody answers."""
        try:
            from distributed import Client
        except ImportError as cause:
            raise NorcimError(
                "NC-E0912", "a Dask cluster needs the extra `sweep`", got=str(cause),
                fix="pip install 'norcim[sweep]'", exit_code=EXIT_UNSUPPORTED,
            ) from cause  # fmt: skip
        try:
            self._client = Client(address, timeout=10)
        except (OSError, ValueError) as cause:
            raise NorcimError(
                "NC-E0913", "no Dask scheduler answers", where=address, got=str(cause),
                fix="give the address that the scheduler prints, tcp://HOST:8786",
                exit_code=EXIT_USAGE,
            ) from cause  # fmt: skip

    def run(
        self, job: Job, batches: Sequence[list[tuple[int, Point]]]
    ) -> Iterator[list[tuple[int, Row]]]:
        """Results of the batches as they come."""
        from distributed import as_completed as as_dask_completed

        [shared] = self._client.scatter([job], broadcast=True)
        waiting = [self._client.submit(_measure, shared, batch, pure=False) for batch in batches]
        try:
            for done in as_dask_completed(waiting):
                yield done.result()
        finally:
            self._client.cancel(waiting)
            self._client.close()


def _start(job: Job) -> None:
    global _job
    _job = job


def _measure_here(batch: list[tuple[int, Point]]) -> list[tuple[int, Row]]:
    assert _job is not None
    return _measure(_job, batch)


def _measure(job: Job, batch: list[tuple[int, Point]]) -> list[tuple[int, Row]]:
    return [(index, measure_point(job, point)) for index, point in batch]


def run_sweep(
    job: Job,
    points: Sequence[Point],
    output: Path,
    pool: Pool,
    progress: Progress = lambda _step, _done, _total: None,
) -> list[Row]:
    """Measure what is missing, write `output` (.json or .parquet), return the rows in order.

    Raises NC-E0911 if `output`.partial is of another sweep, NC-E0912 for Parquet without pyarrow,
    NC-E0914 for another suffix.
    """
    check_output(output)
    digest = hashlib.sha256((job.digest() + json.dumps(list(points))).encode()).hexdigest()
    partial = output.with_name(output.name + ".partial")
    rows = _resume(partial, digest)
    missing = [(i, p) for i, p in enumerate(points) if i not in rows]
    progress("points", len(rows), len(points))
    with partial.open("a", encoding="utf-8") as file:
        for batch in pool.run(job, _batches(missing)) if missing else ():
            for index, row in batch:
                rows[index] = row
                file.write(json.dumps({"index": index, "row": row}) + "\n")
            file.flush()
            progress("points", len(rows), len(points))
    ordered = [rows[i] for i in range(len(points))]
    _write(output, ordered, digest, job.measure)
    partial.unlink()
    return ordered


def _batches(missing: list[tuple[int, Point]]) -> list[list[tuple[int, Point]]]:
    """Points of one image follow each other; a batch holds points of one image only."""
    groups: dict[str, list[tuple[int, Point]]] = {}
    for index, point in missing:
        groups.setdefault(compile_order(point), []).append((index, point))
    return [g[i : i + BATCH] for g in groups.values() for i in range(0, len(g), BATCH)]


def _resume(partial: Path, digest: str) -> dict[int, Row]:
    """Rows of an interrupted sweep; a torn last line is dropped. Starts the file anew."""
    lines = partial.read_text("utf-8").splitlines() if partial.exists() else []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    if entries and entries[0].get("sweep") != digest:
        raise NorcimError(
            "NC-E0911", "the unfinished results are of another sweep", where=str(partial),
            expected=digest, got=str(entries[0].get("sweep")),
            fix="delete the file, or choose another output", exit_code=EXIT_USAGE,
        )  # fmt: skip
    kept = entries or [{"sweep": digest}]
    text = "".join(json.dumps(entry) + "\n" for entry in kept)
    fresh = partial.with_name(partial.name + ".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(partial)
    return {entry["index"]: entry["row"] for entry in kept[1:]}


def check_output(output: Path) -> None:
    """Raises NC-E0914 for an unknown suffix, NC-E0912 for Parquet without pyarrow."""
    if output.suffix not in (".json", ".parquet"):
        raise NorcimError(
            "NC-E0914", "results are written as JSON or Parquet", where=str(output),
            expected="a name that ends in .json or .parquet", got=output.suffix or "no suffix",
            fix="choose another name", exit_code=EXIT_USAGE,
        )  # fmt: skip
    if output.suffix == ".parquet":
        _pyarrow()


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as cause:
        raise NorcimError(
            "NC-E0912", "Parquet needs the extra `sweep`", got=str(cause),
            fix="pip install 'norcim[sweep]', or write .json", exit_code=EXIT_UNSUPPORTED,
        ) from cause  # fmt: skip
    return pyarrow


def _write(output: Path, rows: list[Row], digest: str, measure: str) -> None:
    if output.suffix == ".json":
        body = ",\n".join(json.dumps(row) for row in rows)
        output.write_text(
            f'{{"schema": "norcim.sweep.v1", "sweep": "{digest}", "measure": "{measure}", '
            f'"rows": [\n{body}\n]}}\n'
        )
        return
    pyarrow = _pyarrow()
    described = {"sweep": digest, "measure": measure}
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(described)
    pyarrow.parquet.write_table(table, output)
