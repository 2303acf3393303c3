"""Builds the NPU macro with Verilator and talks to it: a thousand times as fast as Amaranth."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from norcim_overlay.npu.counters import NAMES
from norcim_overlay.npu.macro import HOST_LATENCY, NpuMacro, Sizes
from norcim_overlay.sim.toolchain import Program, build

HARNESS = Path(__file__).with_name("bench.cpp")
NO_END = 0xFFFFFFFF


def build_bench(sizes: Sizes) -> Path:
    """The simulation program of an NPU, from the cache if its gateware has not changed."""
    source = rtlil.convert(NpuMacro(sizes), name="bench", emit_src=False)
    harness = {HARNESS.name: HARNESS.read_bytes()}
    options = ("-O2", f"-DHOST_LATENCY={HOST_LATENCY}")
    return build(Program("npu-bench", "bench", source, harness, options=options))


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
