"""Banked block RAM that reads and writes several neighbouring elements at any address."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2, exact_log2

from norcim_overlay.npu.pipeline import delay, distributed_memory


class _Bank:
    """Rows of a bank: a power of two in block RAM, those behind them in distributed RAM."""

    def __init__(self, n_rows: int) -> None:
        self.n_block = 1 << (n_rows.bit_length() - 1)
        self.block = Memory(shape=8, depth=self.n_block, init=[], attrs={"ram_style": "block"})
        n_rest = n_rows - self.n_block
        self.rest = distributed_memory(8, n_rest) if n_rest else None

    def read(self, m: Module, row: Signal) -> Signal:
        """The row's byte, two cycles later: the RAM's own register, then one behind both RAMs."""
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
    What a read in the cycle of a write of the same byte gives is not defined. The RAM's output is
    registered, then the bytes are rotated into place. `n_banks` and `n_write` are powers of two,
    `n_write` is at most `n_banks`, `n_bytes` a multiple of `n_banks`.
    """

    LATENCY = 3

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
        low, high = self.read_addr[: self.low_bits], self.read_addr[self.low_bits :]
        next_row = Signal(self.addr_bits - self.low_bits)
        m.d.comb += next_row.eq(high + 1)
        outputs = [
            bank.read(m, _named(m, f"row_{i}", Mux(i < low, next_row, high), len(high)))
            for i, bank in enumerate(self.banks)
        ]
        turn = delay(m, low, 2)
        m.d.sync += self.read_data.as_value().eq(_rotate_right(m, Cat(*outputs), turn, 8))

    def _write(self, m: Module) -> None:
        low, high = self.write_addr[: self.low_bits], self.write_addr[self.low_bits :]
        next_row = Signal(self.addr_bits - self.low_bits)
        m.d.comb += next_row.eq(high + 1)
        n_turn = exact_log2(self.n_write)
        turned = Signal(8 * self.n_write)
        m.d.comb += turned.eq(
            _rotate_right(m, self.write_data.as_value(), (-low)[:n_turn], 8)
            if n_turn
            else self.write_data.as_value()
        )
        for index, bank in enumerate(self.banks):
            place = _named(m, f"place_{index}", index - low, self.low_bits)
            row = _named(m, f"write_row_{index}", Mux(index < low, next_row, high), len(high))
            enable = self.write & (place < self.write_count)
            bank.write(m, row, enable, turned.word_select(index % self.n_write, 8))


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
