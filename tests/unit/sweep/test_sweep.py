"""Sweeps: what can be varied, the same file whatever the workers and interruptions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norcim.chips import load_chip, read_chip_file
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.image.ports import dequantise_port
from norcim.runtime import compile_model
from norcim.sweep import DaskPool, Job, LocalPool, parse_axis, points_of, run_sweep
from norcim.sweep.job import MAX_SNR_DB, snr_score
from norcim.sweep.run import Point, Row
from norcim_cli.main import main
from tests.system.conftest import make_model

X = np.random.default_rng(0).exponential(1.0, (60, 16)).astype(np.float32)
POINTS = points_of([parse_axis("adc_bits=6,8"), parse_axis("sigma_w=0..8:2")])


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    path = make_model(tmp_path_factory.mktemp("sweep") / "m.onnx", n_in=16, n_out=5)
    labels = np.arange(60) % 5
    return Job(
        path.read_bytes(), read_chip_file("wtm2101"), "wtm2101", {"x": X[:30]}, {"x": X}, labels,
        seed=3, n_chips=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(job: Job, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of an uninterrupted sweep in one process."""
    output = tmp_path_factory.mktemp("whole") / "s.json"
    rows = run_sweep(job, POINTS, output, LocalPool(1))
    assert [{k: row[k] for k in ("adc_bits", "sigma_w")} for row in rows] == POINTS
    assert not output.with_name("s.json.partial").exists()
    return output.read_bytes()


def test_axes() -> None:
    assert parse_axis("adc_bits=4..7").values == (4, 5, 6, 7)
    assert parse_axis("sigma_w=0..1:0.1").values[-1] == pytest.approx(1)
    assert parse_axis("timing.clock_hz=1e6,2e6").values == (1e6, 2e6)
    assert parse_axis("temperature=25,85").values == (25.0, 85.0)
    points = points_of([parse_axis("age=1,2"), parse_axis("adc_bits=4,5")])
    assert points[1] == {"age": 1.0, "adc_bits": 5}


@pytest.mark.parametrize(
    "text",
    ["adc_bits", "bits=4", "adc_bits=4.5", "adc_bits=", "adc_bits=x", "adc_bits=4..5:0",
     "converter.rule=1", "sigma_w=0..1e9"],
)  # fmt: skip
def test_what_cannot_be_varied(text: str) -> None:
    with pytest.raises(NorcimError) as caught:
        parse_axis(text)
    assert caught.value.id == "NC-E0910"


def test_a_name_twice_or_too_many_points() -> None:
    for axes in (["adc_bits=4", "converter.bits=5"], ["age=0..999", "temperature=0..999"]):
        with pytest.raises(NorcimError) as caught:
            points_of([parse_axis(text) for text in axes])
        assert caught.value.id == "NC-E0910"


def test_values_are_checked_as_those_of_a_chip_file(job: Job) -> None:
    with pytest.raises(NorcimError) as caught:
        job.chip_at({"adc_bits": 40})
    assert caught.value.id == "NC-E0706"
    assert job.chip_at({"sigma_w": 3.0}).cells.program_slope == 0
    assert job.chip_at({"adc_bits": 6}).converter.rule.name == "LINEAR"


class Interrupted:
    """A pool that is stopped after a few batches."""

    def run(
        self, job: Job, batches: Sequence[list[tuple[int, Point]]]
    ) -> Iterator[list[tuple[int, Row]]]:
        for count, result in enumerate(LocalPool(1).run(job, batches)):
            if count == 2:
                raise KeyboardInterrupt
            yield result


def test_interrupted_and_resumed_gives_the_same_file(
    job: Job, whole: bytes, tmp_path: Path
) -> None:
    output = tmp_path / "s.json"
    with pytest.raises(KeyboardInterrupt):
        run_sweep(job, POINTS, output, Interrupted())
    assert not output.exists()
    partial = tmp_path / "s.json.partial"
    kept = partial.read_text().splitlines()
    assert 1 < len(kept) < 1 + len(POINTS)
    partial.write_text("\n".join(kept) + '\n{"index": 9, "ro')  # torn by a power cut
    seen: list[int] = []
    run_sweep(job, POINTS, output, LocalPool(1), lambda _step, done, _total: seen.append(done))
    assert seen[0] == len(kept) - 1
    assert output.read_bytes() == whole


def test_unfinished_results_of_another_sweep_are_refused(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "s.json"
    with pytest.raises(KeyboardInterrupt):
        run_sweep(job, POINTS, output, Interrupted())
    with pytest.raises(NorcimError) as caught:
        run_sweep(replace(job, seed=4), POINTS, output, LocalPool(1))
    assert caught.value.id == "NC-E0911"


def test_results_have_a_known_suffix(job: Job, tmp_path: Path) -> None:
    with pytest.raises(NorcimError) as caught:
        run_sweep(job, POINTS, tmp_path / "s.csv", LocalPool(1))
    assert caught.value.id == "NC-E0914"


@pytest.mark.slow
def test_two_workers_give_the_same_file(job: Job, whole: bytes, tmp_path: Path) -> None:
    run_sweep(job, POINTS, tmp_path / "s.json", LocalPool(2))
    assert (tmp_path / "s.json").read_bytes() == whole


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_file(job: Job, whole: bytes, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        run_sweep(job, POINTS, tmp_path / "s.json", DaskPool(cluster.scheduler_address))
    assert (tmp_path / "s.json").read_bytes() == whole


def test_no_dask_scheduler() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(NorcimError) as caught:
        DaskPool("not an address")
    assert caught.value.id == "NC-E0913"


def test_parquet_holds_the_same_rows(job: Job, whole: bytes, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run_sweep(job, POINTS, tmp_path / "s.parquet", LocalPool(1))
    rows: list[dict[str, Any]] = parquet.read_table(tmp_path / "s.parquet").to_pylist()
    assert rows == json.loads(whole)["rows"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model(tmp_path / "m.onnx", n_in=16, n_out=5)
    np.savez(tmp_path / "data.npz", x=X, y=np.arange(60) % 5)
    np.savez(tmp_path / "calib.npz", x=X[:30])
    files = ["--data", str(tmp_path / "data.npz"), "--calibration", str(tmp_path / "calib.npz")]

    def rows(chip: str) -> list[dict[str, Any]]:
        arguments = [
            "sweep", str(model), "-c", chip, "--vary", "sigma_w=0,8", *files, "-o",
            str(tmp_path / f"{chip}.json"), "--chips-sampled", "2", "--seed", "1", "--json",
        ]  # fmt: skip
        assert main(arguments) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    found = rows("wtm2101")
    assert [row["sigma_w"] for row in found] == [0, 8]
    assert all(row["p05"] <= row["mean"] <= row["p95"] for row in found)
    assert "mean" not in rows("digital")[0]


def test_without_labels_the_outputs_are_compared_with_the_model(job: Job, tmp_path: Path) -> None:
    points = points_of([parse_axis("adc_bits=5,8"), parse_axis("sigma_w=0,8")])
    blind = replace(job, labels=None)
    assert blind.digest() != job.digest()
    rows = run_sweep(blind, points, tmp_path / "s.json", LocalPool(1))
    assert json.loads((tmp_path / "s.json").read_text())["measure"] == "snr_db"
    coarse, _, fine, noisy = rows
    assert 0 < coarse["exact"] < fine["exact"] < 60
    assert noisy["mean"] < fine["mean"] < fine["exact"] == noisy["exact"]


def test_the_snr_of_known_outputs(job: Job) -> None:
    content = compile_model_of(job)
    port = next(port for port in content.ports if port.is_output)
    codes = np.arange(2 * port.c, dtype=np.uint8).reshape(2, 1, 1, port.c)
    real = dequantise_port(port, codes).astype(np.float32)
    assert snr_score(content, [real])([codes]) > 120
    # Every value a tenth off: the error has a hundredth of the power.
    assert snr_score(content, [real / np.float32(1.1)])([codes]) == pytest.approx(20, abs=1e-3)
    assert snr_score(content, [np.zeros_like(real)])([codes]) == -MAX_SNR_DB


def compile_model_of(job: Job) -> ImageContent:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(job.model)
        return compile_model(path, load_chip("wtm2101"), job.calibration)


def test_a_sweep_of_a_model_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "m.onnx", n_in=16, n_out=5)
    monkeypatch.chdir(tmp_path)
    command = ["sweep", "m.onnx", "-c", "wtm2101", "--vary", "sigma_w=0,8", "--chips-sampled", "2"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "SNR" in said.err
    assert "made-up inputs" in said.err
    assert " dB" in said.out
    assert "%" not in said.out
    assert len(json.loads((tmp_path / "m.sweep.json").read_text())["rows"]) == 2


def test_data_is_not_calibrated_on_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(tmp_path / "m.onnx", n_in=16, n_out=5)
    np.savez(tmp_path / "data.npz", x=X)
    command = ["sweep", str(model), "-c", "nor1", "--vary", "sigma_w=0", "--data"]
    assert main([*command, str(tmp_path / "data.npz")]) == 2
    assert "NC-E0402" in capsys.readouterr().err
