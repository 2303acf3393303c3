"""Plants every bug of bugs.py in a copy of the sources and runs the test that has to notice it.

    python -m tests.planted [words of a bug's name]

Exit status 1 if a test passes with its bug in place, or fails without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.planted.bugs import BUGS, ROOT, Bug

PASSED, FAILED = 0, 1  # pytest's exit status; others mean that no test was run


def copy_sources(folder: Path) -> Path:
    """What git knows or would add, as it stands in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    target = folder / "checkout"
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def run_tests(checkout: Path, tests: list[str]) -> tuple[int, str]:
    """Pytest's exit status for quick tests, run on the copy, and the end of what it printed."""
    paths = os.pathsep.join(str(checkout / name) for name in ("sdk", "host_tools", "bitstreams"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow and not board",
         "-p", "no:cacheprovider", *tests],
        cwd=checkout, env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout[-2000:]


def plant(bug: Bug, checkout: Path) -> bool:
    """Whether the test notices the bug; the copy is as before afterwards."""
    path = checkout / bug.file
    sound = path.read_text("utf-8")
    path.write_text(sound.replace(bug.old, bug.new), "utf-8")
    try:
        return run_tests(checkout, [bug.test])[0] == FAILED
    finally:
        path.write_text(sound, "utf-8")


def main(words: list[str]) -> int:
    """Returns the exit status."""
    chosen = [bug for bug in BUGS if all(word in bug.name for word in words)]
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy_sources(Path(folder))
        tests = sorted({bug.test for bug in chosen})
        status, log = run_tests(checkout, tests)
        if status != PASSED:
            print(f"the tests fail without any bug:\n{log}", file=sys.stderr)
            return 1
        for bug in chosen:
            begin = time.monotonic()
            noticed = plant(bug, checkout)
            missed += [] if noticed else [bug.name]
            word = "noticed" if noticed else "MISSED"
            print(f"{word:8} {time.monotonic() - begin:5.1f} s  {bug.name}", flush=True)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} planted bugs noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
