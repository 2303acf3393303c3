"""The C++ flash model at its pins, from Python."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

from norcim_overlay.sim.toolchain import call
from norcim_overlay.sim.virtual_board import HARNESS

SHIM = Path(__file__).with_name("flash_shim.cpp")
COUNTS = (
    "programs", "sector_erases", "bytes_read", "trapped", "while_busy", "not_enabled", "cut_short",
    "unknown", "contended", "torn", "marginal_bytes", "fault", "busy", "file_is_sound",
)  # fmt: skip
PROGRAM, FRESH, WORN = 1_000_000, 60_000_000, 500_000_000
"""Busy times in cycles: longer than any transfer of a test."""


def compile_shim(folder: Path) -> ctypes.CDLL:
    """The model as a shared library."""
    sources = [HARNESS / "nor_cells.cpp", HARNESS / "spi_flash.cpp", SHIM]
    compiler = [sys.executable, "-m", "ziglang", "c++", "-std=c++20", "-O1", "-Wall", "-Wextra",
                "-Werror", f"-I{HARNESS}", "-shared", "-fPIC"]  # fmt: skip
    target = folder / "libflash.so"
    call([*compiler, *map(str, sources), "-o", str(target)], folder)
    library = ctypes.CDLL(str(target))
    library.bench_new.restype = ctypes.c_void_p
    library.bench_log.restype = ctypes.c_char_p
    return library


class FlashBench:
    """A flash and what drives its pins."""

    def __init__(self, library: ctypes.CDLL, n_sectors: int, seed: int = 0) -> None:
        self._library, self.n_bytes = library, n_sectors * 4096
        times = [ctypes.c_uint64(t) for t in (PROGRAM, FRESH, WORN)]
        new = library.bench_new(n_sectors, ctypes.c_uint64(seed), *times, ctypes.c_uint64(0x1234))
        self._bench = ctypes.c_void_p(new)

    def close(self) -> None:
        self._library.bench_delete(self._bench)

    def open(self, path: Path) -> int:
        return int(self._library.bench_open(self._bench, str(path).encode()))

    def select(self) -> None:
        self._library.bench_select(self._bench, 1)

    def deselect(self) -> None:
        self._library.bench_select(self._bench, 0)

    def send(self, data: bytes, width: int = 1) -> None:
        self._library.bench_send(self._bench, data, ctypes.c_size_t(len(data)), width)

    def clocks(self, n: int) -> None:
        self._library.bench_clocks(self._bench, n)

    def receive(self, n: int, width: int = 1) -> bytes:
        buffer = ctypes.create_string_buffer(n)
        self._library.bench_receive(self._bench, buffer, ctypes.c_size_t(n), width)
        return buffer.raw

    def drive_all(self) -> None:
        self._library.bench_drive_all(self._bench)

    def wait(self, cycles: int) -> None:
        self._library.bench_wait(self._bench, ctypes.c_uint64(cycles))

    def arm(self, operation: int, permille: int) -> None:
        self._library.bench_arm(self._bench, ctypes.c_uint64(operation), permille)

    def cut_due(self) -> bool:
        return bool(self._library.bench_cut_due(self._bench))

    def power(self, on: bool) -> None:
        self._library.bench_power(self._bench, int(on))

    @property
    def counts(self) -> SimpleNamespace:
        found = (ctypes.c_uint64 * len(COUNTS))()
        self._library.bench_counts(self._bench, found)
        return SimpleNamespace(**dict(zip(COUNTS, found, strict=True)))

    @property
    def cells(self) -> bytes:
        buffer = ctypes.create_string_buffer(self.n_bytes)
        self._library.bench_cells(self._bench, buffer)
        return buffer.raw

    @property
    def log(self) -> str:
        return bytes(self._library.bench_log(self._bench)).decode()

    def erase_count(self, sector: int) -> int:
        return int(self._library.bench_erase_count(self._bench, sector))

    def transfer(self, data: bytes, n: int = 0) -> bytes:
        """One selection: bytes out, then bytes in, on one line."""
        self.select()
        self.send(data)
        found = self.receive(n) if n else b""
        self.deselect()
        return found

    def status(self) -> int:
        return self.transfer(b"\x05", 1)[0]

    def enable(self) -> None:
        self.transfer(b"\x06")

    def start_program(self, offset: int, data: bytes, quad: bool = False) -> None:
        """Enable and begin; does not wait."""
        self.enable()
        self.select()
        self.send(bytes([0x32 if quad else 0x02]) + offset.to_bytes(3, "big"))
        self.send(data, 4 if quad else 1)
        self.deselect()

    def program(self, offset: int, data: bytes, quad: bool = False) -> None:
        self.start_program(offset, data, quad)
        self.wait(PROGRAM)

    def start_erase(self, offset: int, opcode: int = 0x20) -> None:
        """Enable and begin; does not wait."""
        self.enable()
        self.transfer(bytes([opcode]) + offset.to_bytes(3, "big"))

    def erase(self, offset: int, opcode: int = 0x20) -> None:
        self.start_erase(offset, opcode)
        self.wait(20 * WORN)

    def read(self, offset: int, n: int, opcode: int = 0x03, mode: int = 0) -> bytes:
        """Any of the reads; `mode` are the mode bits of BB and EB."""
        address = offset.to_bytes(3, "big")
        address_width, dummies, width = {
            0x03: (1, 0, 1), 0x0B: (1, 8, 1), 0x3B: (1, 8, 2), 0x6B: (1, 8, 4), 0xBB: (2, 0, 2),
            0xEB: (4, 4, 4),
        }[opcode]  # fmt: skip
        self.select()
        self.send(bytes([opcode]))
        self.send(address + bytes([mode] if address_width > 1 else []), address_width)
        self.clocks(dummies)
        found = self.receive(n, width)
        self.deselect()
        return found
