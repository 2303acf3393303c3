"""Line coverage of firmware/lib by its tests, with gcc and gcov.

    python -m tests.firmware.coverage [FOLDER]

Builds in FOLDER (build/coverage), prints a line for each file. Exit status 1 below 95 %.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.firmware.compiler import LIB, ROOT

LEAST = 95.0
COMPILER = "gcc -O0 -g --coverage -fprofile-update=atomic"
_FOUND = re.compile(r"File '([^']*)'\nLines executed:([\d.]+)% of (\d+)")


def measure(folder: Path) -> dict[str, tuple[float, int]]:
    """Covered per cent and number of lines of every C file of the library."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/firmware", f"--basetemp={folder}"],
        cwd=ROOT, env={**os.environ, "NORCIM_FW_CC": COMPILER}, check=True,
    )  # fmt: skip
    counts = sorted(str(path) for path in folder.rglob("libnc.so-*.gcda"))
    report = subprocess.run(
        ["gcov", "-n", *counts], cwd=folder, capture_output=True, text=True, check=True
    )
    return {
        Path(name).name: (float(percent), int(lines))
        for name, percent, lines in _FOUND.findall(report.stdout)
        if Path(name).parent == LIB
    }


def main(folder: Path) -> int:
    """Returns the exit status."""
    found = measure(folder)
    n_lines = sum(lines for _, lines in found.values())
    total = sum(percent * lines for percent, lines in found.values()) / max(n_lines, 1)
    for name, (percent, lines) in sorted(found.items()):
        print(f"{name:20} {percent:6.2f} % of {lines}")
    print(f"{'lib':20} {total:6.2f} % of {n_lines}")
    return 0 if total >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if sys.argv[1:] else ROOT / "build" / "coverage").resolve()))
