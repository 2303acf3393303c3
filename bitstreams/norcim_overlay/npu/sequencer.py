"""The sequencer: runs a program, descriptor after descriptor, with no CPU in the loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from norcim.spec.error_codes import DeviceError
from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TABLE_BYTES,
    TILE_WORDS,
    Column,
    Descriptor,
    Encoding,
    Opcode,
    Tile,
)
from norcim_overlay.npu.drain import Parameters, Tag
from norcim_overlay.npu.fetcher import Fetcher, record_port
from norcim_overlay.npu.interface import Layout, Mode, Status
from norcim_overlay.npu.lines import Lines
from norcim_overlay.npu.mac_lanes import Line
from norcim_overlay.npu.operation import Operation
from norcim_overlay.npu.positions import Positions
from norcim_overlay.npu.records import RecordDecoder
from norcim_overlay.npu.steps import Steps
from norcim_overlay.npu.window import Window

TABLE_WORDS = TABLE_BYTES // 4


class Sequencer(Component):
    """Fetches records, walks positions and lines, and issues one line of work a cycle.

    layout                   where the image lies
    start, first, stop       begin at descriptor `first`; give up
    watchdog                 cycles a run may take, 0: no limit
    status                   busy, done, firmware, error, descriptor
    memory                   the record memory
    issue, line, read_addr, weight_addr   a line of work, registered
    tag                      what becomes of the sums that are loaded next
    mode                     for lanes and drain
    column_write, column_index, column, table_write, table_index, table_data   to the drain
    n_left, drain_busy, loaded            from the drain
    begin, end, stall, n_macs, is_mvm     to the counters

    Parameter issue_latency: cycles from the decision to issue a line to the load of its sums.
    """

    def __init__(self, n_lanes: int, issue_latency: int) -> None:
        self.n_lanes, self.issue_latency = n_lanes, issue_latency
        super().__init__(
            {
                "layout": In(Layout), "start": In(1), "first": In(16), "stop": In(1),
                "watchdog": In(32), "status": Out(Status), "memory": Out(record_port()),
                "issue": Out(1), "line": Out(Line), "read_addr": Out(32), "weight_addr": Out(32),
                "tag": Out(Tag), "mode": Out(Mode),
                "column_write": Out(1), "column_index": Out(range(n_lanes)),
                "column": Out(Parameters), "table_write": Out(1),
                "table_index": Out(range(TABLE_WORDS)), "table_data": Out(32),
                "n_left": In(8), "drain_busy": In(1), "loaded": In(1),
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
        return m

    # Parts and registers.

    def _parts(self, m: Module) -> None:
        m.submodules.fetcher = self.fetcher = Fetcher()
        m.submodules.descriptor = self.descriptor = RecordDecoder(Descriptor, DESCRIPTOR_WORDS)
        m.submodules.tile = self.tile = RecordDecoder(Tile, TILE_WORDS)
        m.submodules.column_record = self.column_record = RecordDecoder(Column, COLUMN_WORDS)
        m.submodules.operation = self.operation = Operation()
        m.submodules.steps = self.steps = Steps()
        m.submodules.window = self.window = Window()
        m.submodules.positions = self.positions = Positions()
        m.submodules.lines = self.lines = Lines()
        connect(m, self.fetcher.memory, flipped(self.memory))
        self.d, self.t = self.descriptor.fields, self.tile.fields

    def _registers(self) -> None:
        self.words = Signal(data.ArrayLayout(32, DESCRIPTOR_WORDS))
        self.tile_words = Signal(data.ArrayLayout(32, TILE_WORDS))
        self.tile_index, self.group_tile = Signal(32), Signal(32)
        self.channel = Signal(17)  # first lane's channel, within the column group for an MVM
        self.in_offset, self.out_offset = Signal(32), Signal(32)  # of that channel
        self.new_group, self.in_position = Signal(), Signal()
        self.out_addr, self.in2_addr = Signal(32), Signal(32)  # of the position
        self.n_missing, self.known_missing = Signal(32), Signal(33)
        self.average = Signal(Parameters)
        self.pending, self.in_flight = Signal(), Signal(self.issue_latency + 2)
        self.n_active = Signal(range(self.n_lanes + 1))
        self.cycles = Signal(32)
        self.n_channels = Signal(17)
        self.fault = Signal(8)
        self.abort = Signal()
        self.quiet = Signal()  # nothing is on its way
        self.enter = Signal()  # the next position begins

    # Wiring that holds in every state.

    def _wire_window(self, m: Module) -> None:
        w, d, t, op = self.window, self.d, self.t, self.operation
        m.d.comb += [
            op.fields.eq(d), op.average.eq(self.average), self.mode.eq(op.mode),
            self.is_mvm.eq(op.is_mvm),
            w.in_h.eq(d.in_h), w.in_w.eq(d.in_w),
            w.kernel_h.eq(op.kernel_h), w.kernel_w.eq(op.kernel_w),
            w.dilation_h.eq(d.dilation_h), w.dilation_w.eq(d.dilation_w),
            w.n_channels.eq(Mux(op.is_mvm, t.in_c_count, 1)),
            w.channel_first.eq(Mux(op.is_mvm, t.in_c_first, 0)),
            w.tap_row_step.eq(self.steps.tap_row), w.tap_step.eq(self.steps.tap),
            w.k_first.eq(Mux(op.is_mvm, t.k_first, 0)),
            w.y.eq(self.positions.y), w.x.eq(self.positions.x), w.base.eq(self.positions.in_addr),
            w.restart.eq(self.lines.restart), w.advance.eq(self.lines.advance),
        ]  # fmt: skip
        s = self.steps
        m.d.comb += [
            s.row_stride.eq(d.in_row_stride), s.pixel_stride.eq(d.in_pixel_stride),
            s.factor_row.eq(op.stride_h), s.factor_pixel.eq(op.stride_w),
            s.factor_tap_row.eq(d.dilation_h), s.factor_tap.eq(d.dilation_w),
            s.factor_pad_row.eq(op.pad_top), s.factor_pad_pixel.eq(op.pad_left),
        ]  # fmt: skip

    def _wire_positions(self, m: Module) -> None:
        p, d, op, s = self.positions, self.d, self.operation, self.steps
        column_first = Mux(op.is_mvm, self.t.out_c_first + self.channel, self.out_offset)
        m.d.comb += [
            p.n_h.eq(d.out_h), p.n_w.eq(d.out_w),
            p.y_first.eq(-op.pad_top), p.x_first.eq(-op.pad_left),
            p.y_step.eq(op.stride_h), p.x_step.eq(op.stride_w),
            p.in_first.eq(d.in_addr - s.pad_row - s.pad_pixel + self.in_offset),
            p.in_row.eq(s.row), p.in_step.eq(s.pixel),
            p.in2_first.eq(d.in2_addr + self.channel),
            p.in2_row.eq(d.in2_row_stride), p.in2_step.eq(d.in2_pixel_stride),
            p.out_first.eq(d.out_addr + column_first),
            p.out_row.eq(d.out_row_stride), p.out_step.eq(d.out_pixel_stride),
        ]  # fmt: skip
        n_left = Signal(17)
        m.d.comb += [
            self.n_channels.eq(Mux(op.is_mvm, self.t.n_cols, d.out_c)),
            n_left.eq(self.n_channels - self.channel),
        ]
        most = Mux(op.by_element, 1, self.n_lanes)
        m.d.sync += self.n_active.eq(Mux(n_left < most, n_left, most))

    def _wire_lines(self, m: Module) -> None:
        li, d, t, op = self.lines, self.d, self.t, self.operation
        depthwise = self.layout.vector_weights + d.weight_base
        m.d.comb += [
            li.n_rows.eq(t.n_rows), li.repeats.eq(t.repeats), li.n_bias_rows.eq(t.n_bias_rows),
            li.split.eq(d.encoding == Encoding.PN),
            li.is_mvm.eq(op.is_mvm), li.is_binary.eq(op.is_binary),
            li.window_last.eq(self.window.is_last),
            li.weight_first.eq(Mux(op.is_mvm, t.cells, depthwise) + self.channel),
            li.weight_step.eq(Mux(op.is_mvm, t.n_cols, d.in_c)),
        ]  # fmt: skip
        with m.If(self.enter):
            m.d.comb += li.begin.eq(1)
            m.d.sync += [self.n_missing.eq(0), self.in_position.eq(0)]
            with m.If(~self.in_position):
                m.d.comb += [self.window.load.eq(1), self.positions.advance.eq(1)]
                m.d.sync += self.out_addr.eq(self.positions.out_addr)
                m.d.sync += self.in2_addr.eq(self.positions.in2_addr)
            with m.Else():
                m.d.comb += self.window.restart.eq(1)

    def _wire_records(self, m: Module) -> None:
        fetcher, column = self.fetcher, self.column_record.fields
        last_word = Signal(32)
        m.d.comb += [
            self.descriptor.words.eq(self.words),
            self.tile.words.eq(self.tile_words),
            self.column_record.words.eq(Cat(last_word, fetcher.data)),
            self.column.bias.eq(column.bias),
            self.column.multiplier.eq(column.multiplier),
            self.column.shift.eq(column.shift),
            self.column_index.eq(fetcher.index // COLUMN_WORDS),
            self.table_index.eq(fetcher.index),
            self.table_data.eq(fetcher.data),
        ]
        with m.If(fetcher.word):
            m.d.sync += last_word.eq(fetcher.data)

    def _wire_issue(self, m: Module) -> None:
        li, d, op, line = self.lines, self.d, self.operation, self.line
        second = op.is_binary & li.operand
        m.d.sync += [
            self.issue.eq(li.step),
            line.first.eq(li.first), line.last.eq(li.final),
            line.inside.eq(self.window.inside), line.bias.eq(li.bias),
            line.negative.eq(li.negative),
            line.is_signed.eq(Mux(second, d.in2_signed, d.in_signed)),
            line.zero_point.eq(Mux(second, d.in2_zp, op.in_zero_point)),
            line.constant.eq(1),
            line.hold.eq((d.opcode == Opcode.MUL) & ~li.operand),
            self.read_addr.eq(Mux(second, self.in2_addr, self.window.addr)),
            self.weight_addr.eq(li.weight_addr),
        ]  # fmt: skip
        with m.If(d.opcode == Opcode.MUL):
            m.d.sync += line.first.eq(1)
        with m.If(d.opcode == Opcode.ADD):
            m.d.sync += line.constant.eq(Mux(second, d.multiplier_b, d.multiplier_a))
        with m.If(li.step & ~self.enter):
            m.d.sync += self.n_missing.eq(self.n_missing + ~self.window.inside)
        counted = li.step & ~li.is_copy & (op.is_mvm | op.is_depthwise)
        m.d.comb += self.n_macs.eq(Mux(counted, self.n_active, 0))
        m.d.sync += self.in_flight.eq(Cat(li.step, self.in_flight[:-1]))
        m.d.comb += self.quiet.eq(~self.pending & ~self.in_flight.any() & ~self.drain_busy)
        self._hand_over(m)

    def _hand_over(self, m: Module) -> None:
        """The tag of the sums on their way."""
        li, t, op = self.lines, self.t, self.operation
        with m.If(li.step & li.final):
            m.d.sync += [
                self.pending.eq(1),
                self.tag.addr.eq(self.out_addr),
                self.tag.n_lanes.eq(self.n_active),
                self.tag.gain.eq(t.gain),
                self.tag.align.eq(Mux(op.is_mvm, t.align, 0)),
                self.tag.first.eq(~op.is_mvm | t.first),
                self.tag.last.eq(~op.is_mvm | t.last),
            ]
        with m.Elif(self.loaded):
            m.d.sync += self.pending.eq(0)

    def _check_accesses(self, m: Module) -> None:
        """One cycle after a line was issued: did it leave a memory?"""
        layout, op = self.layout, self.operation
        cell_end = Mux(
            op.is_mvm, layout.n_cell_bytes, layout.vector_weights + layout.n_vector_bytes
        )
        n_read = Mux(op.is_mvm, 1, self.n_active)
        reads = self.issue & self.line.inside & ~self.line.bias
        weighs = self.issue & (op.is_mvm | op.is_depthwise)
        stores = self.issue & self.line.last & self.tag.last
        with m.If(reads & (self.read_addr + n_read > layout.n_activation_bytes)):
            m.d.comb += self.fault.eq(DeviceError.ADDRESS_RANGE)
        with m.Elif(stores & (self.tag.addr + self.n_active > layout.n_activation_bytes)):
            m.d.comb += self.fault.eq(DeviceError.ADDRESS_RANGE)
        with m.Elif(weighs & (self.weight_addr + self.n_active > cell_end)):
            m.d.comb += self.fault.eq(DeviceError.WEIGHT_RANGE)

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
        m.d.comb += [
            self.fetcher.start.eq(1),
            self.fetcher.address.eq(address),
            self.fetcher.count.eq(count),
        ]
        m.next = state

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
                m.next = "CHECK"
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
            m.next = "GROUP"
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
        with self._state(m, "TILE_START"):
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
                m.next = "ENTER"
                with m.If(self.new_group):
                    m.next = "GROUP"

    def _group_states(self, m: Module) -> None:
        d, op, layout = self.d, self.operation, self.layout
        first = Signal(32)
        in_layer = Mux(op.is_mvm, self.t.out_c_first, 0) + self.channel
        m.d.comb += first.eq(d.column_base + in_layer)
        with self._state(m, "GROUP"), m.If(self.quiet):
            m.d.comb += self.positions.start.eq(1)
            m.d.sync += self.new_group.eq(0)
            m.next = "ENTER"
            with m.If(self.mode.use_columns):
                address = layout.columns + first * COLUMN_WORDS
                self._fetch(m, address, self.n_active * COLUMN_WORDS, "COLUMNS")
                with m.If(first + self.n_active > layout.n_columns):
                    self._fail(m, DeviceError.TILE_RANGE)
        with self._state(m, "COLUMNS"):
            m.d.comb += self.column_write.eq(self.fetcher.word & self.fetcher.index[0])
            with m.If(self.fetcher.done):
                m.next = "ENTER"
        with self._state(m, "ENTER"):
            m.d.comb += self.enter.eq(1)
            m.next = "ISSUE"
        with self._state(m, "NEXT_GROUP"):
            self._next_group(m)
        with self._state(m, "CHANNELS"):  # n_active settles
            m.next = "GROUP"

    def _next_group(self, m: Module) -> None:
        d, op = self.d, self.operation
        channel = Signal(18)
        m.d.comb += channel.eq(self.channel + Mux(op.by_element, 1, self.n_lanes))
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
        missing = Signal(33)
        m.d.comb += missing.eq(self.n_missing + ~self.window.inside)
        unknown = op.is_average & li.final & (missing != self.known_missing)
        blocked = li.final & (self.pending | (self.n_left > self.issue_latency))
        with self._state(m, "ISSUE"):
            with m.If(unknown):
                m.d.comb += self.stall.eq(1)
                self._fetch_average(m, missing)
            with m.Elif(blocked):
                m.d.comb += self.stall.eq(1)
            with m.Else():
                m.d.comb += li.step.eq(1)
                with m.If(li.final):
                    self._after_tile(m)
        with self._state(m, "AVERAGE"), m.If(self.fetcher.done):
            m.d.sync += [self.average.eq(self.column), self.average.bias.eq(0)]
            m.next = "ISSUE"

    def _fetch_average(self, m: Module, missing: Signal) -> None:
        """The column record for this number of positions outside the input."""
        place = self.d.column_base + missing
        with m.If(place >= self.layout.n_columns):
            self._fail(m, DeviceError.TILE_RANGE)
        with m.Elif(~self.pending & ~self.drain_busy):
            m.d.sync += self.known_missing.eq(missing)
            self._fetch(m, self.layout.columns + place * COLUMN_WORDS, COLUMN_WORDS, "AVERAGE")

    def _after_tile(self, m: Module) -> None:
        """The tile's last line of this position has been issued."""
        op, t = self.operation, self.t
        alone = ~op.is_mvm | (t.first & t.last)
        with m.If(op.is_mvm & ~t.last):
            m.d.sync += [self.tile_index.eq(self.tile_index + 1), self.in_position.eq(1)]
            m.next = "TILE_START"
        with m.Elif(self.positions.done):
            m.next = "NEXT_GROUP"
        with m.Elif(alone):
            m.d.comb += self.enter.eq(1)
        with m.Else():
            m.d.sync += self.tile_index.eq(self.group_tile)
            m.next = "TILE_START"

    def _end_states(self, m: Module) -> None:
        status = self.status
        with self._state(m, "FINISH"), m.If(self.quiet):
            m.d.comb += self.end.eq(1)
            m.d.sync += status.descriptor.eq(status.descriptor + 1)
            m.next = "FETCH"
        with m.State("HALT"), m.If(~self.drain_busy & ~self.in_flight.any()):
            m.d.comb += self.end.eq(1)
            m.d.sync += [status.busy.eq(0), self.pending.eq(0)]
            m.next = "IDLE"
