"""How fast the virtual board is: `python -m benchmarks.board`, one JSON object.

build_s, build_cpu_s          a build with an empty cache (left out with --no-build)
start_s                       from the program's start until the device answers
idle_cycles_per_cpu_s         the CPU waits for the host, the NPU's clock stands
busy_cycles_per_cpu_s         while images run
write_s, verify_s, activate_s, run_s    the shipped keyword model, wall time; run_s a sample
until_answer_s                from the first byte written to the first sample's answer, wall time
write_bytes_per_s             of the image, erasing and checking included
uart_bytes_per_s              read back from the flash, frames included
resting_cpu_share             of a board that nobody talks to
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from norcim.chips import load_chip
from norcim.image import build_image, read_image
from norcim.runtime import compile_model
from norcim.transport import open_device, wait_for_device
from norcim_cli.files import load_arrays
from norcim_cli.models import find_model
from norcim_cli.vectors import random_samples, run_on_device
from norcim_overlay.sim.virtual_board import VirtualBoard, build_board, overlay_options, start

READ_BYTES = 32 << 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--no-build", action="store_true", help="take the board from the cache")
    chosen, rows = parser.parse_args(), {}
    with tempfile.TemporaryDirectory(prefix="nc-") as folder:
        os.environ["NORCIM_BOARDS"] = folder
        if not chosen.no_build:
            os.environ["NORCIM_CACHE"] = folder
            rows = measure_build()
        built, began = build_board(), time.perf_counter()
        with start(built, overlay_options("bench", None)) as board:
            wait_for_device(board.port)
            rows["start_s"] = round(time.perf_counter() - began, 3)
            rows |= measure(board)
    json.dump(rows, sys.stdout, indent=2)
    print()


def measure_build() -> dict[str, float]:
    """A build in an empty cache; zig's own cache is left as it is."""
    elapsed_s = seconds(build_board)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(item.ru_utime + item.ru_stime for item in used)
    return {"build_s": round(elapsed_s, 1), "build_cpu_s": round(cpu_s, 1)}


def measure(board: VirtualBoard) -> dict[str, Any]:
    """All that is measured on a running board."""
    folder, rows = find_model("kws"), {}
    calibration = load_arrays(folder / "calib.npz")
    image = build_image(compile_model(folder / "kws.onnx", load_chip("overlay"), calibration))
    content = read_image(image)
    with open_device(board.port) as device:
        rows["idle_cycles_per_cpu_s"] = cycles_per_cpu_s(board, lambda: spin(device))
        inputs, first = (random_samples(content, n, 0) for n in (8, 1))
        began = time.perf_counter()
        for name, step in (
            ("write", lambda: device.write(0, image)),
            ("verify", lambda: device.verify(0)),
            ("activate", lambda: device.activate(0)),
        ):
            rows[f"{name}_s"] = seconds(step)
        run_on_device(device, content, first)
        rows["until_answer_s"] = round(time.perf_counter() - began, 1)
        rows["write_bytes_per_s"] = round(len(image) / rows["write_s"])
        began = time.perf_counter()
        rows["busy_cycles_per_cpu_s"] = cycles_per_cpu_s(
            board, lambda: run_on_device(device, content, inputs)
        )
        rows["run_s"] = round((time.perf_counter() - began) / len(inputs[0]), 3)
        before = board.command("status")["bytes_to_host"]
        took_s = seconds(lambda: device._read(0, 0, READ_BYTES))  # type: ignore[attr-defined]
        rows["uart_bytes_per_s"] = round(
            (board.command("status")["bytes_to_host"] - before) / took_s
        )
    rows["resting_cpu_share"] = resting_share(board)
    return {**rows, "image_bytes": len(image), "program": Path(board.process.args[0]).name}  # type: ignore[index]


def spin(device: Any) -> None:
    """Short questions: nearly all of the time the CPU waits for a byte."""
    for _ in range(200):
        device.info()


def seconds(step: Any) -> float:
    began = time.perf_counter()
    step()
    return round(time.perf_counter() - began, 3)


def cycles_per_cpu_s(board: VirtualBoard, step: Any) -> int:
    before = board.command("status")
    step()
    after = board.command("status")
    return round((after["cycles"] - before["cycles"]) / (after["cpu_s"] - before["cpu_s"]))


def resting_share(board: VirtualBoard) -> float:
    while not board.command("status")["idle"]:
        time.sleep(0.1)
    time.sleep(2)
    before = board.command("status")["cpu_s"]
    time.sleep(5)
    return round((board.command("status")["cpu_s"] - before) / 5, 4)


if __name__ == "__main__":
    main()
