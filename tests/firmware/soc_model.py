"""The SoC's registers as the drivers see them, with a NOR chip behind the flash controller."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.spec.protocol import PAGE_BYTES, SECTOR_BYTES
from norcim.spec.registers import PERIPHERALS, WINDOWS

REGISTERS = {p.base + r.offset: (p.name, r.name) for p in PERIPHERALS for r in p.registers}
WINDOW_BASES = {w.base: w.name for w in WINDOWS if w.name != "RAM"}
FIELDS = {(p.name, r.name, f.name): f for p in PERIPHERALS for r in p.registers for f in r.fields}
BUSY, WRITE_ENABLED = 1, 2
READ = c.CFUNCTYPE(c.c_uint32, c.c_uint32)
WRITE = c.CFUNCTYPE(None, c.c_uint32, c.c_uint32, c.c_uint32)


def put(peripheral: str, register: str, name: str, value: int) -> int:
    return value << FIELDS[peripheral, register, name].lsb


def get(peripheral: str, register: str, name: str, word: int) -> int:
    found = FIELDS[peripheral, register, name]
    return word >> found.lsb & (1 << found.width) - 1


@dataclass
class Chip:
    """A W25Q at the level of bytes within one selection.

    base         bytes of the chip before those of `cells`
    busy_ms      that the next erase or program takes
    deaf         ignores WRITE ENABLE, as a protected chip does
    """

    cells: NorFlash
    base: int = 0
    now_ms: Callable[[], int] = lambda: 0
    busy_ms: int = 0
    deaf: bool = False
    enabled: bool = False
    busy_until: int = 0
    n_ignored: int = 0
    sent: bytearray = field(default_factory=bytearray)

    @property
    def is_busy(self) -> bool:
        return self.now_ms() < self.busy_until

    def deselect(self) -> None:
        data, self.sent = bytes(self.sent), bytearray()
        if not data:
            return
        if self.is_busy:
            self.n_ignored += data[0] != 0x05
            return
        if data[0] == 0x06:
            self.enabled = not self.deaf
        if data[0] in (0x20, 0x02):
            self._change(data)

    def _change(self, data: bytes) -> None:
        if not self.enabled:
            self.n_ignored += 1
            return
        offset = int.from_bytes(data[1:4], "big") - self.base
        if data[0] == 0x20:
            assert len(data) == 4
            self.cells.erase(offset // SECTOR_BYTES)
        else:
            assert offset % PAGE_BYTES + len(data) - 4 <= PAGE_BYTES
            try:
                self.cells.program(offset, data[4:])
            except DeviceFault:
                self.n_ignored += 1
        self.enabled = False
        self.busy_until = self.now_ms() + self.busy_ms

    def exchange(self, byte: int, n_lines: int, drives: int) -> int:
        """One byte each way; two lines are for what READ DUAL answers only."""
        at = len(self.sent)
        if self.sent[:1] == b"\x3b" and at >= 4:
            assert not drives, "the chip is about to drive line 0"
        self.sent.append(byte)
        opcode = self.sent[0]
        if opcode == 0x05 and at:
            return BUSY * self.is_busy | WRITE_ENABLED * self.enabled
        if opcode == 0x3B and at >= 5:
            assert n_lines == 2
            first = int.from_bytes(self.sent[1:4], "big") - self.base
            return 0xFF if self.is_busy else self.cells.read(first + at - 5, 1)[0]
        if opcode == 0x4B and at >= 5:
            return at - 4
        assert n_lines == 1
        return 0xFF


class SocModel:
    """Registers and windows. Each read of MILLISECONDS takes `ms_a_look` milliseconds."""

    def __init__(self, chip: Chip) -> None:
        self.chip, self.ms, self.ms_a_look = chip, 0, 1
        chip.now_ms = lambda: self.ms
        self.values: dict[tuple[str, str], int] = {("SYSTEM", "UART_HZ"): 50_000_000}
        self.windows = {name: bytearray(1 << 17) for name in WINDOW_BASES.values()}
        self.received: list[int] = []
        self.mode = 0
        self.uart_in, self.uart_out = bytearray(), bytearray()
        self.on_start: Callable[[], None] = lambda: None
        self._keep = (READ(self.read), WRITE(self.write))

    def attach(self, library: c.CDLL) -> None:
        library.mmio_model(*self._keep)

    def read(self, address: int) -> int:
        window = WINDOW_BASES.get(address & 0xFF000000)
        if window and address not in REGISTERS:
            at = address & 0xFFFFFF
            assert address % 4 == 0
            return int.from_bytes(self.windows[window][at : at + 4], "little")
        name = REGISTERS[address]
        special: dict[Any, Callable[[], int]] = {
            ("TIMER", "MILLISECONDS"): self._tick,
            ("FLASH", "STATUS"): lambda: bool(self.received) | 2,
            ("FLASH", "DATA"): lambda: self.received.pop(0),
            ("UART", "STATUS"): lambda: put("UART", "STATUS", "space", 3) | 1 << 31,
            ("UART", "DATA"): lambda: self.uart_in.pop(0) | 1 << 8 if self.uart_in else 0,
        }
        return special[name]() if name in special else self.values.get(name, 0)

    def _tick(self) -> int:
        self.ms += self.ms_a_look
        return self.ms & 0xFFFFFFFF

    def write(self, address: int, value: int, n_bytes: int) -> None:
        window = WINDOW_BASES.get(address & 0xFF000000)
        if window and address not in REGISTERS:
            at = address & 0xFFFFFF
            assert at % n_bytes == 0
            assert n_bytes == 4 or window != "RECORDS"
            self.windows[window][at : at + n_bytes] = value.to_bytes(n_bytes, "little")
            return
        name = REGISTERS[address]
        assert n_bytes == 4
        if name == ("FLASH", "CONTROL"):
            if self.mode and not get("FLASH", "CONTROL", "select", value):
                self.chip.deselect()
            self.mode = value
        elif name == ("FLASH", "DATA"):
            self._transfer(value)
        elif name == ("UART", "DATA"):
            self.uart_out.append(value)
        elif name == ("NPU", "CONTROL") and value & 1:
            self.on_start()
        else:
            self.values[name] = value

    def _transfer(self, word: int) -> None:
        names = ("length", "width", "drive", "swap")
        length, width, drives, swap = (get("FLASH", "CONTROL", name, self.mode) for name in names)
        assert get("FLASH", "CONTROL", "select", self.mode)
        assert len(self.received) < 8
        order: Any = "little" if swap else "big"
        data = word.to_bytes(4, order)[-length // 8 :] if length == 32 else bytes([word & 0xFF])
        found = bytes(self.chip.exchange(byte, width, drives) for byte in data)
        self.received.append(int.from_bytes(found, order))
