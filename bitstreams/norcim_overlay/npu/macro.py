"""The NPU with its memories, and a 32-bit host port to fill and read them."""

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

HOST_BYTES = 4
RECORD_LATENCY = 2
HOST_LATENCY = VectorMemory.LATENCY + 1


class Store(IntEnum):
    """Which memory the host port means."""

    ACTIVATIONS = 0
    WEIGHTS = 1
    RECORDS = 2


@dataclass(frozen=True)
class Sizes:
    """Lanes and memory sizes; records in words. Raises ValueError for others than these.

    n_lanes         columns that an MVM works on at once: a power of two, 8 or more
    n_vector_lanes  channels that the other operations work on at once, and the byte-banks of the
                    activation memory: a power of two from 4, or an eighth of n_lanes, to n_lanes
    n_activation_bytes, n_weight_bytes   multiples of the banks, which are vector lanes or lanes
    """

    n_lanes: int = 8
    n_vector_lanes: int = 4
    n_activation_bytes: int = 1 << 14
    n_weight_bytes: int = 1 << 16
    n_record_words: int = 1 << 14
    n_descriptors: int = 64

    def __post_init__(self) -> None:
        lanes, vector_lanes = self.n_lanes, self.n_vector_lanes
        powers = all(n & (n - 1) == 0 for n in (lanes, vector_lanes, self.n_record_words))
        fewest = max(HOST_BYTES, drain_width(lanes))  # bytes that are written at once
        if not powers or lanes < 8 or not fewest <= vector_lanes <= lanes:
            raise ValueError(f"{lanes} lanes, {vector_lanes} of them for vectors")
        if self.n_activation_bytes % vector_lanes or self.n_weight_bytes % lanes:
            raise ValueError("memories do not divide into banks")


class NpuMacro(Component):
    """What a SoC or a test bench puts in.

    layout, start, first, stop, watchdog, status, select, counts, clear, clearing   as Npu
    host_store   Store
    host_addr    byte address, not aligned but for RECORDS; an access wraps at the memory's end
    host_write   store the low host_count (1..4) bytes of host_data; RECORDS: all four
    host_read    four bytes, the first in the low bits, `HOST_LATENCY` cycles after their address;
                 host_store steady, a new address every cycle if wanted
    The host may write and read while the NPU is not busy.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        n_ports = max(HOST_BYTES, drain_width(sizes.n_lanes))
        self.activations = VectorMemory(sizes.n_activation_bytes, sizes.n_vector_lanes, n_ports)
        self.weights = VectorMemory(sizes.n_weight_bytes, sizes.n_lanes, HOST_BYTES)
        self.records = Memory(shape=32, depth=sizes.n_record_words, init=[])
        super().__init__(
            {
                "layout": In(Layout), "start": In(1), "first": In(16), "stop": In(1),
                "watchdog": In(32), "status": Out(Status), "select": In(16), "counts": Out(Counts),
                "clear": In(1), "clearing": Out(1), "host_store": In(2), "host_addr": In(32),
                "host_write": In(1), "host_count": In(3), "host_data": In(32),
                "host_read": Out(32),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m, sizes = Module(), self.sizes
        m.submodules.npu = npu = Npu(sizes.n_lanes, sizes.n_vector_lanes, sizes.n_descriptors)
        for name in ("layout", "start", "first", "stop", "watchdog", "select", "clear"):
            m.d.comb += getattr(npu, name).eq(getattr(self, name))
        for name in ("status", "counts", "clearing"):
            m.d.comb += getattr(self, name).eq(getattr(npu, name))
        self._activations(m, npu)
        self._weights(m, npu)
        record = self._records(m, npu)
        words = {
            Store.ACTIVATIONS: self.activations.read_data.as_value()[:32],
            Store.WEIGHTS: self.weights.read_data.as_value()[:32],
            Store.RECORDS: delay(m, record, VectorMemory.LATENCY - RECORD_LATENCY),
        }
        with m.Switch(self.host_store):
            for store, word in words.items():
                with m.Case(store):
                    m.d.sync += self.host_read.eq(word)
        return m

    def _hosts(self, store: Store) -> Signal:
        return self.host_write & (self.host_store == store)

    def _activations(self, m: Module, npu: Npu) -> None:
        m.submodules.activations = memory = self.activations
        m.d.comb += [
            memory.read_addr.eq(Mux(npu.status.busy, npu.read_addr, self.host_addr)),
            npu.read_data.eq(memory.read_data),
            memory.write.eq(npu.store | self._hosts(Store.ACTIVATIONS)),
            memory.write_addr.eq(Mux(npu.store, npu.store_addr, self.host_addr)),
            memory.write_count.eq(Mux(npu.store, npu.store_count, self.host_count)),
            memory.write_data.as_value().eq(
                Mux(npu.store, npu.store_data.as_value(), self.host_data)
            ),
        ]

    def _weights(self, m: Module, npu: Npu) -> None:
        m.submodules.weights = memory = self.weights
        m.d.comb += [
            memory.read_addr.eq(Mux(npu.status.busy, npu.weight_addr, self.host_addr)),
            npu.weight_data.eq(memory.read_data),
            memory.write.eq(self._hosts(Store.WEIGHTS)),
            memory.write_addr.eq(self.host_addr),
            memory.write_count.eq(self.host_count),
            memory.write_data.as_value().eq(self.host_data),
        ]

    def _records(self, m: Module, npu: Npu) -> Signal:
        """Answers one word a cycle, its block RAM's output registered; returns that output."""
        m.submodules.records = memory = self.records
        read, write = memory.read_port(), memory.write_port()
        word = delay(m, read.data, RECORD_LATENCY - 1)
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Mux(npu.status.busy, npu.records.addr, self.host_addr[2:])),
            npu.records.ready.eq(1),
            npu.records.valid.eq(delay_valid(m, npu.records.request, RECORD_LATENCY)),
            npu.records.data.eq(word),
            write.en.eq(self._hosts(Store.RECORDS)),
            write.addr.eq(self.host_addr[2:]),
            write.data.eq(self.host_data),
        ]
        return word
