"""The NPU: sequencer, lanes, drain and counters, with ports to its memories."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from norcim_overlay.npu.counters import Counters, Counts
from norcim_overlay.npu.drain import Drain
from norcim_overlay.npu.fetcher import record_port
from norcim_overlay.npu.interface import Layout, Status
from norcim_overlay.npu.mac_lanes import MacLanes
from norcim_overlay.npu.pipeline import delay, delay_valid
from norcim_overlay.npu.sequencer import Sequencer
from norcim_overlay.npu.vector_memory import VectorMemory

ISSUE_LATENCY = 1 + VectorMemory.LATENCY + MacLanes.LATENCY


def drain_width(n_lanes: int) -> int:
    """Lanes that converter, digital stage and store work off a cycle.

    An eighth: nine taps of a 3 x 3 depthwise convolution take longer than the lanes' sums do.
    """
    return max(1, n_lanes // 8)


class Npu(Component):
    """Executes a program out of its memories.

    layout                where the image lies, steady during a run
    start, first, stop    begin at descriptor `first`; give up
    watchdog              cycles a run may take, 0: no limit
    status                busy, done, firmware, error and the descriptor's number
    select, counts        counters of one descriptor, while nothing runs
    clear, clearing       zero all counters
    records               record memory: descriptors, tiles, columns, tables
    read_addr, read_data  activation memory, `n_vector_lanes` bytes at any address
    store, store_addr, store_count, store_data   activation memory, `drain_width(n_lanes)` bytes
    weight_addr, weight_data   weight memory, `n_lanes` bytes at any address
    Both memories answer after `VectorMemory.LATENCY` cycles.
    """

    def __init__(self, n_lanes: int, n_vector_lanes: int, n_descriptors: int) -> None:
        self.n_lanes, self.n_vector_lanes = n_lanes, n_vector_lanes
        self.n_descriptors = n_descriptors
        n_ports = drain_width(n_lanes)
        super().__init__(
            {
                "layout": In(Layout), "start": In(1), "first": In(16), "stop": In(1),
                "watchdog": In(32), "status": Out(Status), "select": In(16), "counts": Out(Counts),
                "clear": In(1), "clearing": Out(1), "records": Out(record_port()),
                "read_addr": Out(32), "read_data": In(data.ArrayLayout(8, n_vector_lanes)),
                "store": Out(1), "store_addr": Out(32), "store_count": Out(range(n_ports + 1)),
                "store_data": Out(data.ArrayLayout(8, n_ports)),
                "weight_addr": Out(32), "weight_data": In(data.ArrayLayout(8, n_lanes)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(
            self.n_lanes, self.n_vector_lanes, ISSUE_LATENCY
        )
        m.submodules.lanes = lanes = MacLanes(self.n_lanes, self.n_vector_lanes)
        m.submodules.drain = drain = Drain(self.n_lanes, drain_width(self.n_lanes))
        m.submodules.counters = counters = Counters(self.n_descriptors)
        connect(m, sequencer.memory, flipped(self.records))
        self._control(m, sequencer)
        self._lanes(m, sequencer, lanes)
        self._drain(m, sequencer, lanes, drain)
        self._counters(m, sequencer, drain, counters)
        return m

    def _control(self, m: Module, sequencer: Sequencer) -> None:
        for name in ("layout", "start", "first", "stop", "watchdog"):
            m.d.comb += getattr(sequencer, name).eq(getattr(self, name))
        m.d.comb += [
            self.status.eq(sequencer.status),
            self.read_addr.eq(sequencer.read_addr),
            self.weight_addr.eq(sequencer.weight_addr),
        ]

    def _lanes(self, m: Module, sequencer: Sequencer, lanes: MacLanes) -> None:
        m.d.comb += [
            lanes.valid.eq(delay_valid(m, sequencer.issue, VectorMemory.LATENCY)),
            lanes.line.eq(delay(m, sequencer.line, VectorMemory.LATENCY)),
            lanes.codes.eq(self.read_data),
            lanes.weights.eq(self.weight_data),
        ]
        for name in ("encoding", "pad_code", "zero_outside", "broadcast", "factor", "maximum"):
            m.d.comb += getattr(lanes, name).eq(getattr(sequencer.mode, name))

    def _drain(self, m: Module, sequencer: Sequencer, lanes: MacLanes, drain: Drain) -> None:
        m.d.comb += [
            drain.load.eq(lanes.done),
            drain.sums.eq(lanes.sums),
            drain.tag.eq(delay(m, sequencer.tag, ISSUE_LATENCY - 1)),
            sequencer.drain_busy.eq(drain.busy),
            self.store.eq(drain.store & (sequencer.status.error == 0)),
            self.store_addr.eq(drain.store_addr),
            self.store_count.eq(drain.store_count),
            self.store_data.eq(drain.store_data),
        ]
        for name in ("rule", "bits", "zero_point", "lo", "hi", "use_table", "use_columns"):
            m.d.comb += getattr(drain, name).eq(getattr(sequencer.mode, name))
        m.d.comb += drain.shared.eq(sequencer.mode.shared)
        for kind in ("column", "table"):
            for part in ("write", "index"):
                name = f"{kind}_{part}"
                m.d.comb += getattr(drain, name).eq(getattr(sequencer, name))
        m.d.comb += [
            drain.column.eq(sequencer.column),
            drain.table_data.eq(sequencer.table_data),
        ]

    def _counters(self, m: Module, sequencer: Sequencer, drain: Drain, counters: Counters) -> None:
        converted = sequencer.is_mvm
        m.d.comb += [
            counters.descriptor.eq(sequencer.status.descriptor),
            counters.begin.eq(sequencer.begin),
            counters.end.eq(sequencer.end),
            counters.clear.eq(self.clear),
            self.clearing.eq(counters.clearing),
            counters.select.eq(self.select),
            self.counts.eq(counters.selected),
            counters.add.cycles.eq(1),
            counters.add.stalls.eq(sequencer.stall),
            counters.add.macs.eq(delay(m, sequencer.n_macs, 1)),
            counters.add.conversions.eq(delay(m, Mux(converted, drain.n_converted, 0), 1)),
            counters.add.saturated.eq(delay(m, Mux(converted, drain.n_saturated, 0), 1)),
        ]
