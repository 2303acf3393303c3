"""`python -m benchmarks.sweep`: one sweep of 1,000 points, four ways, and whether the files agree.

In one process; in two, which a third of the way are killed (SIGKILL) and start again; on a local
Dask cluster of two. Prints one JSON object: seconds of wall clock and SHA-256 of each file.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

AXES = ("sigma_w=0..9.9:0.1", "temperature=25..70:5")
N_POINTS = 1000


def make_network(folder: Path) -> list[str]:
    """A classifier of 16 numbers into 5 classes; the arguments of the sweep that need files."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(16, 5)).astype(np.float32)
    x = rng.exponential(1.0, (64, 16)).astype(np.float32)
    node = helper.make_node("Gemm", ["x", "w"], ["y"], name="classify")
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", m])
             for n, m in (("x", 16), ("y", 5))]  # fmt: skip
    graph = helper.make_graph(
        [node], "small", sides[:1], sides[1:], [numpy_helper.from_array(weight, "w")]
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(folder / "m.onnx"))
    np.savez(folder / "t.npz", x=x, y=(x @ weight).argmax(axis=1))
    np.savez(folder / "c.npz", x=x)
    return [str(folder / "m.onnx"), "--data", str(folder / "t.npz"),
            "--calibration", str(folder / "c.npz")]  # fmt: skip


def command(files: list[str], output: Path, *more: str) -> list[str]:
    """`norcim sweep` over AXES."""
    vary = [word for axis in AXES for word in ("--vary", axis)]
    fixed = ["-c", "wtm2101", "--chips-sampled", "2", "--seed", "1", "-q", "--overwrite"]
    return [
        sys.executable, "-m", "norcim_cli", "sweep", *files, *fixed, *vary, "-o", str(output), *more
    ]  # fmt: skip


def killed_and_resumed(arguments: list[str], output: Path) -> int:
    """Kill the sweep and its workers when a third is done, run it again; rows that were kept."""
    running = subprocess.Popen(arguments, start_new_session=True, stdout=subprocess.DEVNULL)
    partial = output.with_name(output.name + ".partial")
    while _lines(partial) < N_POINTS // 3:
        if running.poll() is not None:
            raise RuntimeError("the sweep ended before it could be killed")
        time.sleep(0.2)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    kept = _lines(partial) - 1
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return kept


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> None:
    """Run the sweep each way and compare."""
    from distributed import LocalCluster

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_network(folder)

        def record(way: str, output: Path, start: float) -> None:
            digest = hashlib.sha256(output.read_bytes()).hexdigest()
            found[way] = {"seconds": round(time.perf_counter() - start, 1), "sha256": digest}

        start = time.perf_counter()
        one = folder / "one.json"
        subprocess.run(command(files, one), check=True, stdout=subprocess.DEVNULL)
        record("one process", one, start)
        start = time.perf_counter()
        two = folder / "two.json"
        kept = killed_and_resumed(command(files, two, "--workers", "2"), two)
        record("two processes, killed and resumed", two, start)
        found["rows kept at the kill"] = kept
        start = time.perf_counter()
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            dask = folder / "dask.json"
            address = ["--dask", cluster.scheduler_address]
            subprocess.run(command(files, dask, *address), check=True, stdout=subprocess.DEVNULL)
        record("Dask cluster of two", dask, start)
        found["points"] = len(json.loads(one.read_text())["rows"])
    digests = {entry["sha256"] for entry in found.values() if isinstance(entry, dict)}
    found["same"] = len(digests) == 1
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
