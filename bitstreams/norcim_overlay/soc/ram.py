"""The CPU's memory: one port for instructions, one for data."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In

from norcim_overlay.soc.parts import bus_signature

INCREMENTING = 2  # Wishbone's cycle type of a burst that goes on


class Ram(Component):
    """Block RAM with two ports; a word a cycle within a burst, else every second cycle.

    instructions   read only
    data           reads, and writes of bytes
    Accesses past its end are bus errors.
    """

    instructions: In(bus_signature())
    data: In(bus_signature())

    def __init__(self, n_bytes: int, content: bytes) -> None:
        if len(content) > n_bytes:
            raise ValueError(f"{len(content)} bytes of content for {n_bytes} bytes of memory")
        padded = content.ljust(n_bytes, b"\0")
        words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, n_bytes, 4)]
        self.memory = Memory(shape=32, depth=n_bytes // 4, init=words)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = self.memory
        fetch = memory.read_port()
        read, write = memory.read_port(), memory.write_port(granularity=8)
        for bus, port in ((self.instructions, fetch), (self.data, read)):
            address, valid = self._answer(m, bus)
            m.d.comb += [port.addr.eq(address), port.en.eq(valid), bus.dat_r.eq(port.data)]
            if port is read:
                enable = valid & bus.we
                m.d.comb += [
                    port.en.eq(valid & ~bus.we),
                    write.addr.eq(address),
                    write.data.eq(bus.dat_w),
                    write.en.eq(Mux(enable, bus.sel, 0)),
                ]
        return m

    def _answer(self, m: Module, bus: Any) -> tuple[Signal, Signal]:
        """Drives ack and err; returns the word to access this cycle, and whether to."""
        n_bits = (self.memory.depth - 1).bit_length()
        address, valid = Signal(n_bits), Signal()
        goes_on = bus.ack & (bus.cti == INCREMENTING) & ~bus.we
        outside = bus.adr[n_bits:] != 0
        asks = bus.cyc & bus.stb & ~bus.err & (~bus.ack | goes_on)
        m.d.comb += [
            address.eq(bus.adr + goes_on),
            valid.eq(asks & ~outside),
        ]
        m.d.sync += [bus.ack.eq(valid), bus.err.eq(asks & outside)]
        return address, valid
