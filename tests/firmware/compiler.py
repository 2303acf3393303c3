"""Compiles firmware/ for the host and for the core, with the compiler of the ziglang package.

NORCIM_FW_CC chooses another compiler for the host, such as "gcc -fsanitize=address,undefined".
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "firmware" / "lib"
HOST = ROOT / "firmware" / "host"
TESTS = ROOT / "tests" / "firmware" / "host"
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror")
CHECKED = (*STRICT, "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=undefined")
POSIX = ("-D_POSIX_C_SOURCE=200809L", f"-I{LIB}")
RV32 = (
    "-target", "riscv32-freestanding", "-mcpu=generic_rv32+m+c+zicsr", "-mabi=ilp32", "-Os",
    "-ffreestanding", "-nostdlib",
)  # fmt: skip


def zig() -> list[str]:
    """The compiler's command. Skips the test where there is none, fails it in CI."""
    if importlib.util.find_spec("ziglang") is None:
        message = "no C compiler: pip install ziglang"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return [sys.executable, "-m", "ziglang", "cc"]


def compile_host(target: Path, sources: list[Path], *options: str) -> Path:
    """Compile for this machine with the undefined-behaviour sanitizer; returns `target`."""
    chosen = os.environ.get("NORCIM_FW_CC")
    compiler = [*shlex.split(chosen), *STRICT] if chosen else [*zig(), *CHECKED]
    run([*compiler, *POSIX, *options, *map(str, sources), "-o", str(target)])
    return target


def run(command: list[str]) -> None:
    """Run a compiler; its complaints become the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def sources(*folders: Path) -> list[Path]:
    """The C files of folders."""
    return [path for folder in folders for path in sorted(folder.glob("*.c"))]
