"""Banked block RAM that reads and writes several neighbouring elements at any address."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2, exact_log2

from norcim_overlay.npu.pipeline import delay, delay_valid, distributed_memory

ADDRESS_LATENCY = 2  # registers between an address and the banks, reading and writing
BANK_LATENCY = 2


class _Bank:
    """Rows of a bank: a power of two in block RAM, those behind them in distributed RAM."""

    def __init__(self, n_rows: int) -> None:
        self.n_block = 1 << (n_rows.bit_length() - 1)
        self.block = Memory(shape=8, depth=self.n_block, init=[], attrs={"ram_style": "block"})
        n_rest = n_rows - self.n_block
        self.rest = distributed_memory(8, n_rest) if n_rest else None

    def read(self, m: Module, row: Signal) -> Signal:
        """The row's byte, `BANK_LATENCY` cycles later: registers in the RAM and behind both."""
        port = self.block.read_port()
        m.d.comb += [port.addr.eq(row), port.en.eq(1)]
        if self.rest is None:
            return delay(m, port.data, 1)
        rest = self.rest.read_port(domain="comb")
        m.d.comb += rest.addr.eq(row)
        in_rest = delay(m, row >= self.n_block, 1)
        return delay(m, Mux(in_rest, delay(m, rest.data, 1), port.data), 1)

    def write(self, m: Module, row: Signal, enable: Signal, byte: Signal) -> None:
        """Store a byte."""
        in_rest = Signal()
        m.d.comb += in_rest.eq(row >= self.n_block)
        for memory, chosen in ((self.block, ~in_rest), (self.rest, in_rest)):
            if memory is not None:
                port = memory.write_port()
                m.d.comb += [port.addr.eq(row), port.data.eq(byte), port.en.eq(enable & chosen)]


class VectorMemory(Component):
    """`n_bytes` bytes in `n_banks` banks, byte a in bank a mod n_banks.

    read_addr    address of the first byte, not aligned
    read_data    n_banks bytes from there on, `LATENCY` cycles later; those behind the end: anything
    write        store `write_count` bytes of write_data from write_addr on
    What a read in the cycle of a write of the same byte gives is not defined. The address of either
    is turned into one a bank, which are registered, and so is the RAM's output; then the bytes are
    rotated into place in two steps. `n_banks` and `n_write` are powers of two,
    `n_write` is at most `n_banks`, `n_bytes` a multiple of `n_banks`.
    """

    LATENCY = ADDRESS_LATENCY + BANK_LATENCY + 2

    def __init__(self, n_bytes: int, n_banks: int, n_write: int) -> None:
        self.n_banks, self.n_write = n_banks, n_write
        self.addr_bits, self.low_bits = ceil_log2(n_bytes), exact_log2(n_banks)
        self.banks = [_Bank(n_bytes // n_banks) for _ in range(n_banks)]
        super().__init__(
            {
                "read_addr": In(self.addr_bits),
                "read_data": Out(data.ArrayLayout(8, n_banks)),
                "write": In(1),
                "write_addr": In(self.addr_bits),
                "write_count": In(range(n_write + 1)),
                "write_data": In(data.ArrayLayout(8, n_write)),
            }
        )

    def cell(self, addr: int) -> Any:
        """The memory element of a byte, for simulators."""
        row, index = divmod(addr, self.n_banks)
        bank = self.banks[index]
        memory = bank.block if row < bank.n_block else bank.rest
        return memory.data[row % bank.n_block]  # type: ignore[union-attr]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index, bank in enumerate(self.banks):
            m.submodules[f"bank_{index}"] = bank.block
            if bank.rest is not None:
                m.submodules[f"rest_{index}"] = bank.rest
        self._read(m)
        self._write(m)
        return m

    def _read(self, m: Module) -> None:
        low, rows = self._rows(m, "read", self.read_addr)
        outputs = [bank.read(m, row) for bank, row in zip(self.banks, rows, strict=True)]
        turn = delay(m, low, BANK_LATENCY + 1)
        half = self.low_bits // 2
        turned = delay(m, _rotate_right(m, Cat(*outputs), turn[:half], 8), 1)
        rest = delay(m, turn[half:], 1)
        m.d.sync += self.read_data.as_value().eq(_rotate_right(m, turned, rest, 8 << half))

    def _write(self, m: Module) -> None:
        low, rows = self._rows(m, "write", self.write_addr)
        write, count = delay_valid(m, self.write, 1), delay(m, self.write_count, 1)
        written = delay(m, self.write_data.as_value(), 1)
        n_turn = exact_log2(self.n_write)
        turned = _rotate_right(m, written, (-low)[:n_turn], 8) if n_turn else written
        turned = delay(m, turned, 1)
        for index, (bank, row) in enumerate(zip(self.banks, rows, strict=True)):
            place = _named(m, f"place_{index}", index - low, self.low_bits)
            enable = delay_valid(m, write & (place < count), 1)
            bank.write(m, row, enable, turned.word_select(index % self.n_write, 8))

    def _rows(self, m: Module, name: str, addr: Signal) -> tuple[Signal, list[Signal]]:
        """Which row of each bank an address means: `ADDRESS_LATENCY` cycles later.

        Returns the bank of the first byte, a cycle before the rows, and the rows.
        """
        low, high = delay(m, addr[: self.low_bits], 1), delay(m, addr[self.low_bits :], 1)
        next_row = Signal(self.addr_bits - self.low_bits, name=f"{name}_next")
        m.d.sync += next_row.eq(addr[self.low_bits :] + 1)
        rows = []
        for index in range(self.n_banks):
            row = Signal(len(next_row), name=f"{name}_row_{index}", reset_less=True)
            m.d.sync += row.eq(Mux(index < low, next_row, high))
            rows.append(row)
        return low, rows


def _named(m: Module, name: str, value: object, width: int) -> Signal:
    signal = Signal(width, name=name)
    m.d.comb += signal.eq(value)
    return signal


def _rotate_right(m: Module, value: object, n_elements: object, width: int) -> Signal:
    """Element i of the result is element (i + n) mod count of the value."""
    bits = Cat(value)
    for level in range(len(n_elements)):  # type: ignore[arg-type]
        stage = Signal(len(bits))
        m.d.comb += stage.eq(Mux(n_elements[level], bits.rotate_right(width << level), bits))  # type: ignore[index]
        bits = stage
    return bits
