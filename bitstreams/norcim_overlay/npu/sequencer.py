"""The sequencer: runs a program, descriptor after descriptor, with no CPU in the loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from norcim.spec.error_codes import DeviceError
from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TABLE_BYTES,
    TILE_WORDS,
    Opcode,
)
from norcim_overlay.npu.drain import Parameters, Tag
from norcim_overlay.npu.fetcher import record_port
from norcim_overlay.npu.interface import Layout, Mode, Status
from norcim_overlay.npu.mac_lanes import Line
from norcim_overlay.npu.operation import Operation
from norcim_overlay.npu.sequencer_wiring import COUNT_CYCLES, SequencerWiring

TABLE_WORDS = TABLE_BYTES // 4


class Sequencer(SequencerWiring):
    """Fetches records, walks positions and lines, and issues one line of work a cycle.

    layout                   where the image lies
    start, first, stop       begin at descriptor `first`; give up
    watchdog                 cycles a run may take, 0: no limit
    status                   busy, done, firmware, error, descriptor
    memory                   the record memory
    issue, line, read_addr, weight_addr   a line of work, registered
    tag                      what becomes of its sums, if it is the last of a position
    mode                     for lanes and drain
    column_write, column_index, column, table_write, table_index, table_data   to the drain
    drain_busy               something is on its way through the drain
    begin, end, stall, n_macs, is_mvm     to the counters

    Parameter issue_latency: cycles from the decision to issue a line to the load of its sums.
    """

    def __init__(self, n_lanes: int, n_vector_lanes: int, issue_latency: int) -> None:
        self.n_lanes, self.n_vector_lanes = n_lanes, n_vector_lanes
        self.issue_latency = issue_latency
        super().__init__(
            {
                "layout": In(Layout), "start": In(1), "first": In(16), "stop": In(1),
                "watchdog": In(32), "status": Out(Status), "memory": Out(record_port()),
                "issue": Out(1), "line": Out(Line), "read_addr": Out(32), "weight_addr": Out(32),
                "tag": Out(Tag), "mode": Out(Mode),
                "column_write": Out(1), "column_index": Out(range(n_lanes)),
                "column": Out(Parameters), "table_write": Out(1),
                "table_index": Out(range(TABLE_WORDS)), "table_data": Out(32),
                "drain_busy": In(1),
                "begin": Out(1), "end": Out(1), "stall": Out(1),
                "n_macs": Out(range(n_lanes + 1)), "is_mvm": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._parts(m)
        self._registers()
        self._wire_window(m)
        self._wire_positions(m)
        self._wire_lines(m)
        self._wire_records(m)
        self._wire_issue(m)
        self._check_accesses(m)
        self._abort(m)
        with m.FSM():
            self._idle(m)
            self._descriptor_states(m)
            self._tile_states(m)
            self._group_states(m)
            self._issue_state(m)
            self._end_states(m)
        with m.If(self.abort):
            m.d.sync += self.issuing.eq(0)
        return m

    def _abort(self, m: Module) -> None:
        status = self.status
        expired = (self.watchdog != 0) & (self.cycles >= self.watchdog)
        m.d.sync += self.cycles.eq(self.cycles + 1)
        m.d.comb += self.abort.eq((status.error != 0) | self.stop)
        with m.If(status.busy & (status.error == 0)):
            with m.If(self.fault != 0):
                m.d.sync += status.error.eq(self.fault)
            with m.Elif(expired):
                m.d.sync += status.error.eq(DeviceError.WATCHDOG)

    @contextmanager
    def _state(self, m: Module, name: str) -> Iterator[None]:
        """A state that an error or `stop` ends."""
        with m.State(name):
            yield
            with m.If(self.abort):
                m.next = "HALT"

    def _fail(self, m: Module, error: object) -> None:
        m.d.sync += self.status.error.eq(error)
        m.next = "HALT"

    def _fetch(self, m: Module, address: object, count: object, state: str) -> None:
        m.d.sync += [
            self.fetch.start.eq(1),
            self.fetch.address.eq(address),
            self.fetch.count.eq(count),
        ]
        m.next = state

    def _settle(self, m: Module, name: str, n_cycles: int, state: str) -> None:
        """States in a row, while registers take over what they depend on."""
        names = [name, *(f"{name}_{i}" for i in range(1, n_cycles)), state]
        for here, after in pairwise(names):
            with self._state(m, here):
                m.next = after

    # States.

    def _idle(self, m: Module) -> None:
        status = self.status
        with m.State("IDLE"), m.If(self.start):
            m.d.sync += [status.eq(0), status.busy.eq(1), status.descriptor.eq(self.first)]
            m.d.sync += self.cycles.eq(0)
            m.next = "FETCH"

    def _descriptor_states(self, m: Module) -> None:
        layout, index, d = self.layout, self.status.descriptor, self.d
        with self._state(m, "FETCH"):
            m.d.comb += self.begin.eq(1)
            address = layout.program + index * DESCRIPTOR_WORDS
            self._fetch(m, address, DESCRIPTOR_WORDS, "DESCRIPTOR")
            with m.If(index >= layout.n_descriptors):
                self._fail(m, DeviceError.BAD_OPCODE)
        with self._state(m, "DESCRIPTOR"):
            with m.If(self.fetcher.word):
                m.d.sync += self.words[self.fetcher.index[:5]].eq(self.fetcher.data)
            with m.If(self.fetcher.done):
                m.next = "DECODE"
        self._settle(m, "DECODE", Operation.LATENCY, "CHECK")
        with self._state(m, "CHECK"):
            self._check_descriptor(m)
        with self._state(m, "TABLE"):
            m.d.comb += self.table_write.eq(self.fetcher.word)
            with m.If(self.fetcher.done):
                m.next = "SETUP"
        with self._state(m, "SETUP"):
            m.d.comb += self.steps.start.eq(1)
            m.d.sync += [self.tile_index.eq(d.tile_base), self.known_missing.eq(-1)]
            m.d.sync += [self.in_position.eq(0), *self._first_channel()]
            m.next = "PRODUCTS"
        with self._state(m, "PRODUCTS"), m.If(self.steps.done):
            m.d.comb += self.window.seek.eq(1)
            m.next = "CHANNELS"
            with m.If(self.operation.is_mvm):
                m.next = "TILE_START"

    def _check_descriptor(self, m: Module) -> None:
        d, layout, status = self.d, self.layout, self.status
        m.next = "SETUP"
        with m.If(d.opcode == Opcode.END):
            m.d.sync += status.done.eq(1)
            m.next = "HALT"
        with m.Elif(d.opcode == Opcode.FIRMWARE):
            m.d.sync += status.firmware.eq(1)
            m.next = "HALT"
        with m.Elif(self.operation.error != 0):
            self._fail(m, self.operation.error)
        with m.Elif(d.use_table & (d.table >= layout.n_tables)):
            self._fail(m, DeviceError.TABLE_MISSING)
        with m.Elif(d.use_table):
            self._fetch(m, layout.tables + d.table * TABLE_WORDS, TABLE_WORDS, "TABLE")

    def _first_channel(self) -> list[object]:
        zeros = [s.eq(0) for s in (self.channel, self.in_offset, self.out_offset)]
        return [*zeros, self.new_group.eq(1), self.group_tile.eq(self.d.tile_base)]

    def _tile_states(self, m: Module) -> None:
        layout, t = self.layout, self.t
        with self._state(m, "TILE_START"), m.If(~self.columns_come):
            self._fetch(m, layout.tiles + self.tile_index * TILE_WORDS, TILE_WORDS, "TILE")
            with m.If(self.tile_index >= layout.n_tiles):
                self._fail(m, DeviceError.TILE_RANGE)
        with self._state(m, "TILE"):
            with m.If(self.fetcher.word):
                m.d.sync += self.tile_words[self.fetcher.index[:3]].eq(self.fetcher.data)
            with m.If(self.fetcher.done):
                m.next = "TILE_CHECK"
        with self._state(m, "TILE_CHECK"):
            m.d.comb += self.window.seek.eq(1)
            m.next = "SEEK"
            with m.If((t.n_rows == 0) | (t.n_cols == 0) | (t.in_c_count == 0)):
                self._fail(m, DeviceError.BAD_FIELD)
        with self._state(m, "SEEK"):
            with m.If(self.window.overrun):
                self._fail(m, DeviceError.BAD_FIELD)
            with m.Elif(~self.window.seeking):
                m.next = "FIRST_LINE"
        with self._state(m, "FIRST_LINE"):  # its registers settle
            m.next = "ENTER"
            with m.If(self.new_group):
                m.next = "GROUP"

    def _group_states(self, m: Module) -> None:
        """The group's columns come while its first lines are issued."""
        d, op, layout, first = self.d, self.operation, self.layout, self.first_column
        in_layer = Mux(op.is_mvm, self.t.out_c_first, 0) + self.channel
        m.d.sync += [
            first.eq(d.column_base + in_layer),
            self.columns_past.eq(first + self.n_active > layout.n_columns),
        ]
        with self._state(m, "GROUP"), m.If(self.quiet | ~self.mode.use_columns):
            m.d.comb += self.positions.start.eq(1)
            m.d.sync += self.new_group.eq(0)
            m.next = "ENTER"
            with m.If(self.mode.use_columns):
                address = layout.columns + first * COLUMN_WORDS
                self._fetch(m, address, self.n_active * COLUMN_WORDS, "ENTER")
                m.d.sync += self.columns_come.eq(1)
                with m.If(self.columns_past):
                    self._fail(m, DeviceError.TILE_RANGE)
        with self._state(m, "ENTER"):
            m.d.comb += self.enter.eq(1)
            m.d.sync += self.issuing.eq(1)
            m.next = "ISSUE"
        with self._state(m, "NEXT_GROUP"):
            self._next_group(m)
        self._settle(m, "CHANNELS", 2, "GROUP")

    def _next_group(self, m: Module) -> None:
        d, op = self.d, self.operation
        channel = Signal(18)
        m.d.comb += channel.eq(self.channel + self.n_most)
        m.d.sync += [self.channel.eq(channel), self.new_group.eq(1)]
        with m.If(op.by_element):
            m.d.sync += self.in_offset.eq(self.in_offset + d.in_channel_stride)
            m.d.sync += self.out_offset.eq(self.out_offset + d.out_channel_stride)
        with m.Elif(~op.is_mvm):
            m.d.sync += [self.in_offset.eq(channel), self.out_offset.eq(channel)]
        with m.If(~op.is_mvm):
            m.next = "CHANNELS"
            with m.If(channel >= self.n_channels):
                m.next = "FINISH"
        with m.Elif(channel < self.n_channels):
            m.d.sync += self.tile_index.eq(self.group_tile)
            m.next = "TILE_START"
        with m.Elif(self.tile_index + 1 == d.tile_base + d.n_tiles):
            m.next = "FINISH"
        with m.Else():
            m.d.sync += [self.tile_index.eq(self.tile_index + 1), self.channel.eq(0)]
            m.d.sync += self.group_tile.eq(self.tile_index + 1)
            m.next = "TILE_START"

    def _issue_state(self, m: Module) -> None:
        li, op = self.lines, self.operation
        missing, changed, place = Signal(33), Signal(), Signal(34)
        alone = Signal()  # the tile is all of its position
        m.d.sync += [
            alone.eq(~op.is_mvm | (self.t.first & self.t.last)),
            missing.eq(self.n_missing + ~self.window.inside),
            changed.eq(missing != self.known_missing),
            place.eq(self.d.column_base + missing),
        ]
        uncounted = op.is_average & li.final & (self.n_counted != COUNT_CYCLES)
        unknown = op.is_average & li.final & changed
        uncertain = op.is_average & ((self.n_counted != COUNT_CYCLES) | changed)
        # Whether a position is the last is known a cycle after it was entered.
        waits = self.in_gap | self.columns_come | uncertain | self.enter
        stall = Signal()
        m.d.sync += [self.stall.eq(stall), self.held.eq(waits)]
        m.d.comb += [
            stall.eq(self.issuing & li.final & self.held),
            li.step.eq(self.issuing & ~(li.final & self.held)),
        ]
        with self._state(m, "ISSUE"):
            with m.If(uncounted):
                m.d.sync += self.n_counted.eq(self.n_counted + 1)
            with m.Elif(unknown):
                self._fetch_average(m, missing, place)
            with m.Elif(~self.held & li.final):
                m.d.sync += self.issuing.eq(0)
                self._after_tile(m, alone)
        with self._state(m, "AVERAGE"), m.If(self.fetcher.done):
            m.d.sync += [self.average.eq(self.column), self.average.bias.eq(0)]
            m.d.sync += self.issuing.eq(1)
            m.next = "ISSUE"

    def _fetch_average(self, m: Module, missing: Signal, place: Signal) -> None:
        """The column record for this number of positions outside the input."""
        with m.If(place >= self.layout.n_columns):
            self._fail(m, DeviceError.TILE_RANGE)
        with m.Elif(self.quiet):
            m.d.sync += [self.known_missing.eq(missing), self.issuing.eq(0)]
            self._fetch(m, self.layout.columns + place * COLUMN_WORDS, COLUMN_WORDS, "AVERAGE")

    def _after_tile(self, m: Module, alone: Signal) -> None:
        """The tile's last line of this position has been issued."""
        op, t = self.operation, self.t
        with m.If(op.is_mvm & ~t.last):
            m.d.sync += [self.tile_index.eq(self.tile_index + 1), self.in_position.eq(1)]
            m.next = "TILE_START"
        with m.Elif(self.positions.done):
            m.next = "NEXT_GROUP"
        with m.Elif(alone):
            m.next = "ENTER"
        with m.Else():
            m.d.sync += self.tile_index.eq(self.group_tile)
            m.next = "TILE_START"

    def _end_states(self, m: Module) -> None:
        status = self.status
        with self._state(m, "FINISH"), m.If(self.quiet):
            m.d.comb += self.end.eq(1)
            m.d.sync += status.descriptor.eq(status.descriptor + 1)
            m.next = "FETCH"
        with m.State("HALT"):
            m.d.comb += self.fetcher.cancel.eq(1)
            with m.If(self.quiet & ~self.fetch.start & ~self.fetcher.busy):
                m.d.comb += self.end.eq(1)
                m.d.sync += [status.busy.eq(0), self.columns_come.eq(0)]
                m.next = "IDLE"
