"""The NPU with block-RAM memories behind it and a byte-wide port to fill and read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.counters import Counts
from norcim_overlay.npu.interface import Layout, Status
from norcim_overlay.npu.npu import Npu, drain_width
from norcim_overlay.npu.pipeline import delay, delay_valid
from norcim_overlay.npu.vector_memory import VectorMemory


class Store(IntEnum):
    """Which memory the host port means."""

    ACTIVATIONS = 0
    WEIGHTS = 1
    RECORDS = 2


@dataclass(frozen=True)
class Sizes:
    """Lanes and memory sizes, powers of two; records in words."""

    n_lanes: int = 8
    n_activation_bytes: int = 1 << 14
    n_weight_bytes: int = 1 << 16
    n_record_words: int = 1 << 14
    n_descriptors: int = 64


class Bench(Component):
    """What a test drives.

    layout, start, first, stop, watchdog, status, select, counts, clear   as Npu
    host_store, host_addr, host_write, host_data   write a byte (RECORDS: a word), NPU not busy
    host_read    the byte at host_addr of the activations, `VectorMemory.LATENCY` cycles later
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        n_ports = drain_width(sizes.n_lanes)
        self.activations = VectorMemory(sizes.n_activation_bytes, sizes.n_lanes, n_ports)
        self.weights = VectorMemory(sizes.n_weight_bytes, sizes.n_lanes, 1)
        self.records = Memory(shape=32, depth=sizes.n_record_words, init=[])
        super().__init__(
            {
                "layout": In(Layout), "start": In(1), "first": In(16), "stop": In(1),
                "watchdog": In(32), "status": Out(Status), "select": In(16), "counts": Out(Counts),
                "clear": In(1), "host_store": In(2), "host_addr": In(32), "host_write": In(1),
                "host_data": In(32), "host_read": Out(8),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m, sizes = Module(), self.sizes
        m.submodules.npu = npu = Npu(sizes.n_lanes, sizes.n_descriptors)
        for name in ("layout", "start", "first", "stop", "watchdog", "select", "clear"):
            m.d.comb += getattr(npu, name).eq(getattr(self, name))
        m.d.comb += [self.status.eq(npu.status), self.counts.eq(npu.counts)]
        self._activations(m, npu)
        self._weights(m, npu)
        self._records(m, npu)
        return m

    def _hosts(self, store: Store) -> Signal:
        return self.host_write & (self.host_store == store)

    def _activations(self, m: Module, npu: Npu) -> None:
        m.submodules.activations = memory = self.activations
        host = self._hosts(Store.ACTIVATIONS)
        m.d.comb += [
            memory.read_addr.eq(Mux(npu.status.busy, npu.read_addr, self.host_addr)),
            npu.read_data.eq(memory.read_data),
            self.host_read.eq(memory.read_data[0]),
            memory.write.eq(npu.store | host),
            memory.write_addr.eq(Mux(npu.store, npu.store_addr, self.host_addr)),
            memory.write_count.eq(Mux(npu.store, npu.store_count, 1)),
            memory.write_data.as_value().eq(
                Mux(npu.store, npu.store_data.as_value(), self.host_data[:8])
            ),
        ]

    def _weights(self, m: Module, npu: Npu) -> None:
        m.submodules.weights = memory = self.weights
        m.d.comb += [
            memory.read_addr.eq(npu.weight_addr),
            npu.weight_data.eq(memory.read_data),
            memory.write.eq(self._hosts(Store.WEIGHTS)),
            memory.write_addr.eq(self.host_addr),
            memory.write_count.eq(1),
            memory.write_data[0].eq(self.host_data[:8]),
        ]

    def _records(self, m: Module, npu: Npu) -> None:
        """Answers one word a cycle, its block RAM's output registered."""
        m.submodules.records = memory = self.records
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(npu.records.addr),
            npu.records.ready.eq(1),
            npu.records.valid.eq(delay_valid(m, npu.records.request, 2)),
            npu.records.data.eq(delay(m, read.data, 1)),
            write.en.eq(self._hosts(Store.RECORDS)),
            write.addr.eq(self.host_addr),
            write.data.eq(self.host_data),
        ]
