"""`python -m benchmarks`: measure and print one JSON object.

Every speed is the median of interleaved rounds, so that a busy machine slows both sides of a
ratio alike. Outputs are checked against the golden executor before anything is timed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.subjects import Subject, kws, resnet8, shared_data
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.cells import CellModel, sample_chip
from norcim.emulator.cells.noise import NoiseSource
from norcim.emulator.engine import count_work
from norcim.emulator.reference import execute
from norcim.emulator.regions import output_region, port_region
from norcim.spec.program import Opcode

BATCH = 64
ROUNDS = 9


Clock = Callable[[], float]


def seconds(
    work: Callable[[], object], at_least: float = 0.05, clock: Clock = time.perf_counter
) -> float:
    """Mean seconds of one call over at least `at_least` seconds of calls."""
    calls, start = 0, clock()
    while True:
        work()
        calls += 1
        spent = clock() - start
        if spent >= at_least:
            return spent / calls


def medians(
    *work: Callable[[], object], rounds: int = ROUNDS, clock: Clock = time.perf_counter
) -> list[list[float]]:
    """Seconds of every piece of work, in interleaved rounds after one warm-up."""
    for item in work:
        item()
    table = [[seconds(item, clock=clock) for item in work] for _ in range(rounds)]
    return [list(column) for column in zip(*table, strict=True)]


def ratio(baseline: Sequence[float], mine: Sequence[float]) -> float:
    """Median over the rounds of baseline time / own time: how fast we are in units of it."""
    return round(statistics.median(b / m for b, m in zip(baseline, mine, strict=True)), 3)


def check_bits(subject: Subject, n: int = 8) -> None:
    """The emulator's outputs equal the golden executor's; raises AssertionError if not."""
    content, codes = subject.content, subject.codes[:n]
    memory = np.zeros((n, content.activation_bytes), np.uint8)
    port_region(content.ports[0]).view(memory)[...] = codes
    layers = Emulator(content).run_layers([codes])
    for index, d in enumerate(content.program[:-1]):
        execute(d, content, memory)
        expected = output_region(d).view(memory)
        assert np.array_equal(layers[index], expected), f"{subject.name}: descriptor {index}"


def peer_session(subject: Subject) -> Callable[[int], Callable[[], object]]:
    """onnxruntime on the integer model, one thread: batch size -> work."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(subject.peer, options, providers=["CPUExecutionProvider"])
    [source] = session.get_inputs()
    return lambda n: lambda: session.run(None, {source.name: subject.peer_inputs[:n]})


def agreement(subject: Subject) -> float:
    """Share of inputs on which emulator and onnxruntime name the same class."""
    peer = peer_session(subject)(len(subject.codes))()
    [mine] = Emulator(subject.content).run([subject.codes])
    signed = next(p for p in subject.content.ports if p.is_output).signed
    codes = mine.view(np.int8) if signed else mine
    classes = codes.reshape(len(codes), -1).argmax(axis=1)
    return float((np.asarray(peer[0]).reshape(len(codes), -1).argmax(axis=1) == classes).mean())  # type: ignore[index]


def measure_kws(chip: str) -> dict[str, Any]:
    """KWS against onnxruntime int8 at batch 64 and 1, and two workers against one."""
    subject = kws(chip)
    check_bits(subject)
    peer, one = peer_session(subject), Emulator(subject.content)
    two = Emulator(subject.content, n_threads=2)
    batch, single = subject.codes[:BATCH], subject.codes[:1]
    large = np.concatenate([batch] * 4)
    b_peer, b_mine = medians(peer(BATCH), lambda: one.run([batch]))
    s_peer, s_mine = medians(peer(1), lambda: one.run([single]))
    t_one, t_two = medians(lambda: one.run([large]), lambda: two.run([large]))
    return {
        "model": subject.name,
        "agreement_with_onnxruntime": round(agreement(subject), 4),
        "batch_64": {
            "emulator_per_s": round(BATCH / statistics.median(b_mine)),
            "onnxruntime_int8_per_s": round(BATCH / statistics.median(b_peer)),
            "ratio": ratio(b_peer, b_mine),
        },
        "batch_1": {
            "emulator_per_s": round(1 / statistics.median(s_mine)),
            "onnxruntime_int8_per_s": round(1 / statistics.median(s_peer)),
            "ratio": ratio(s_peer, s_mine),
        },
        "two_workers_over_one": ratio(t_one, t_two),
    }


def measure_cells(chip: str) -> dict[str, Any]:
    """KWS with programming error and fresh read noise at every conversion, against exact runs.

    In the same rounds: the draws alone, by norcim's generator and by numpy's. Processor time of
    one thread, which other jobs on the machine disturb less than wall time.
    """
    subject = kws(chip)
    sampled = sample_chip(subject.content, CellModel.of(load_chip(chip)), 1, 0)
    exact, noisy = Emulator(subject.content), Emulator(subject.content, cells=sampled)
    batch = subject.codes[:BATCH]
    n = sum(c for _, c in count_work(subject.content))
    draws = np.empty((32, n), np.float32)
    source, rng = NoiseSource(sampled.noise_key, 32), np.random.default_rng(1)
    e, m, ours, numpys = medians(
        lambda: exact.run([batch]),
        lambda: noisy.run([batch]),
        lambda: source.fill(draws),
        lambda: rng.standard_normal(dtype=np.float32, out=draws),
        rounds=25,
        clock=time.process_time,
    )
    return {
        "model": subject.name,
        "conversions": n,
        "exact_per_s": round(BATCH / statistics.median(e)),
        "noisy_per_s": round(BATCH / statistics.median(m)),
        "noisy_per_s_best": round(BATCH / min(m)),
        "noisy_over_exact_time": ratio(m, e),
        "draw_ns": round(statistics.median(ours) / draws.size * 1e9, 2),
        "numpy_draw_ns": round(statistics.median(numpys) / draws.size * 1e9, 2),
    }


def products_alone(subject: Subject, n: int) -> Callable[[], None]:
    """The float32 matrix products of a program and nothing else, at batch n."""
    rng = np.random.default_rng(0)
    content = subject.content
    operands = []
    for d in content.program:
        if d.opcode == Opcode.MVM:
            for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
                rows = rng.random((n * d.out_h * d.out_w, tile.n_rows), dtype=np.float32)
                cells = rng.random((tile.n_rows, tile.n_cols), dtype=np.float32)
                operands.append((rows, cells, rows @ cells))

    def work() -> None:
        for rows, cells, out in operands:
            np.matmul(rows, cells, out=out)

    return work


def measure_resnet8(chip: str) -> dict[str, Any] | None:
    """ResNet-8 at batch 16 against the time of its own matrix products."""
    subject = resnet8(chip)
    if subject is None:
        return None
    check_bits(subject, 2)
    emulator, codes = Emulator(subject.content), subject.codes[:16]
    products, mine = medians(products_alone(subject, 16), lambda: emulator.run([codes]))
    return {
        "model": subject.name,
        "agreement_with_onnxruntime": round(agreement(subject), 4),
        "emulator_per_s": round(16 / statistics.median(mine)),
        "share_of_sgemm_speed": ratio(products, mine),
    }


_MEMORY_SCRIPT = """
import sys
import numpy as np
from norcim.emulator import Emulator
from norcim.image import read_image
content = read_image(open(sys.argv[1], "rb").read())
codes = np.load(sys.argv[2])
Emulator(content).run([codes])
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
"""


def measure_memory() -> dict[str, Any]:
    """Peak resident memory of a fresh process that reads an image and runs a batch of 64."""
    from norcim.image import build_image

    subject = kws("digital")
    with tempfile.TemporaryDirectory() as folder:
        image, codes = Path(folder) / "kws.cim", Path(folder) / "codes.npy"
        image.write_bytes(build_image(subject.content))
        np.save(codes, subject.codes[:BATCH])
        command = [sys.executable, "-c", _MEMORY_SCRIPT, str(image), str(codes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"peak_mib": round(float(done.stdout), 1)}


def measure_compile() -> dict[str, Any]:
    """Seconds to compile KWS with 100 calibration inputs, by chip; and to import norcim."""
    found = {}
    for chip in ("digital", "nor1", "wtm2101"):
        kws(chip)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            kws(chip)
            times.append(time.perf_counter() - start)
        found[chip] = round(statistics.median(times), 2)
    command = [sys.executable, "-c", "import norcim"]
    imports = [seconds(lambda: subprocess.run(command, check=True), 0) for _ in range(5)]
    bare = [seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True), 0)
            for _ in range(5)]  # fmt: skip
    return {
        "compile_s": found,
        "import_s": round(statistics.median(imports) - statistics.median(bare), 3),
    }


MEASUREMENTS: dict[str, Callable[[], dict[str, Any] | None]] = {
    "kws_digital": lambda: measure_kws("digital"),
    "kws_nor1": lambda: measure_kws("nor1"),
    "kws_wtm2101": lambda: measure_kws("wtm2101"),
    "resnet8_digital": lambda: measure_resnet8("digital"),
    "cells_nor1": lambda: measure_cells("nor1"),
    "cells_wtm2101": lambda: measure_cells("wtm2101"),
    "memory": measure_memory,
    "compile": measure_compile,
}


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(list(MEASUREMENTS)), help="Run these only."
)
def main(only: tuple[str, ...]) -> None:
    """Measure and print one JSON object; what it is doing goes to stderr."""
    result: dict[str, Any] = {
        "schema": "norcim.bench/1",
        "machine": {"cpus": os.cpu_count(), "arch": platform.machine(), "numpy": np.__version__},
        "shared_data": shared_data() is not None,
    }
    for name in only or MEASUREMENTS:
        click.echo(f"measuring {name} ...", err=True)
        result[name] = MEASUREMENTS[name]()
    click.echo(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
