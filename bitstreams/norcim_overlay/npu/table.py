"""The 256-entry table: several lookups a cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.program import TABLE_BYTES
from norcim_overlay.npu.pipeline import delay, distributed_memory


class Table(Component):
    """One table, copied once for each of `n_ports` lookups a cycle.

    write, write_index, write_data  fill it, four bytes at a time, the first in the low bits
    index                           codes as unsigned bytes
    value                           their entries, `LATENCY` cycles later
    """

    LATENCY = 2

    def __init__(self, n_ports: int) -> None:
        self.n_ports = n_ports
        super().__init__(
            {
                "write": In(1),
                "write_index": In(range(TABLE_BYTES // 4)),
                "write_data": In(32),
                "index": In(data.ArrayLayout(8, n_ports)),
                "value": Out(data.ArrayLayout(8, n_ports)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for port in range(self.n_ports):
            lanes = [distributed_memory(8, TABLE_BYTES // 4) for _ in range(4)]
            reads = []
            for byte, memory in enumerate(lanes):
                m.submodules[f"copy_{port}_{byte}"] = memory
                write, read = memory.write_port(), memory.read_port(domain="comb")
                m.d.comb += [
                    write.en.eq(self.write),
                    write.addr.eq(self.write_index),
                    write.data.eq(self.write_data.word_select(byte, 8)),
                    read.addr.eq(self.index[port][2:]),
                ]
                reads.append(delay(m, read.data, 1))
            low = self.index[port][:2]
            chosen = delay(m, low, 1)
            m.d.sync += self.value[port].eq(Cat(*reads).word_select(chosen, 8))
        return m
