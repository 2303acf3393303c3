"""Banked block RAM that reads and writes several neighbouring elements at any address."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from norcim_overlay.npu.pipeline import delay


class VectorMemory(Component):
    """`n_bytes` bytes in `n_banks` banks, byte a in bank a mod n_banks.

    read_addr    address of the first byte, not aligned
    read_data    n_banks bytes from there on, `LATENCY` cycles later (the last wrap around)
    write        store `write_count` bytes of write_data from write_addr on
    A read in the cycle of a write of the same byte gives the old value. The block RAM's output is
    registered, then the bytes are rotated into place. Sizes are powers of two.
    """

    LATENCY = 3

    def __init__(self, n_bytes: int, n_banks: int, n_write: int) -> None:
        self.n_rows = n_bytes // n_banks
        self.n_banks, self.n_write = n_banks, n_write
        self.addr_bits, self.low_bits = exact_log2(n_bytes), exact_log2(n_banks)
        self.banks = [Memory(shape=8, depth=self.n_rows, init=[]) for _ in range(n_banks)]
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index, bank in enumerate(self.banks):
            m.submodules[f"bank_{index}"] = bank
        self._read(m)
        self._write(m)
        return m

    def _read(self, m: Module) -> None:
        low, high = self.read_addr[: self.low_bits], self.read_addr[self.low_bits :]
        next_row = Signal(self.addr_bits - self.low_bits)
        m.d.comb += next_row.eq(high + 1)
        outputs = []
        for index, bank in enumerate(self.banks):
            port = bank.read_port()
            m.d.comb += [port.addr.eq(Mux(index < low, next_row, high)), port.en.eq(1)]
            outputs.append(delay(m, port.data, 1))
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
            port = bank.write_port()
            place = Signal(self.low_bits, name=f"place_{index}")
            m.d.comb += [
                place.eq(index - low),
                port.addr.eq(Mux(index < low, next_row, high)),
                port.en.eq(self.write & (place < self.write_count)),
                port.data.eq(turned.word_select(index % self.n_write, 8)),
            ]


def _rotate_right(m: Module, value: object, n_elements: object, width: int) -> Signal:
    """Element i of the result is element (i + n) mod count of the value."""
    bits = Cat(value)
    for level in range(len(n_elements)):  # type: ignore[arg-type]
        stage = Signal(len(bits))
        m.d.comb += stage.eq(Mux(n_elements[level], bits.rotate_right(width << level), bits))  # type: ignore[index]
        bits = stage
    return bits
