"""The sequencer apart from its states: parts, registers, address checks."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, connect, flipped

from norcim.spec.error_codes import DeviceError
from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TILE_WORDS,
    Column,
    Descriptor,
    Encoding,
    Opcode,
    Tile,
)
from norcim_overlay.npu.drain import Parameters
from norcim_overlay.npu.fetcher import Fetcher
from norcim_overlay.npu.lines import Lines
from norcim_overlay.npu.mac_lanes import SLOT_LEVELS, most_slots
from norcim_overlay.npu.operation import Operation
from norcim_overlay.npu.positions import Positions
from norcim_overlay.npu.records import RecordDecoder
from norcim_overlay.npu.steps import Steps
from norcim_overlay.npu.window import Window

#: Cycles from a position's last line until it is known how many inputs lie outside, and whether
#: they are as many as at the position before.
COUNT_CYCLES = 2
#: What is asked of the fetcher, one cycle after a state has decided on it.
FETCH = data.StructLayout({"start": 1, "address": 32, "count": 9})


class SequencerWiring(Component):
    """Parts and registers of the sequencer, and what holds in every state.

    It has no ports of its own: see `Sequencer`, which adds them and the states.
    """

    n_lanes: int
    n_vector_lanes: int
    issue_latency: int

    # Parts and registers.

    def _parts(self, m: Module) -> None:
        m.submodules.fetcher = self.fetcher = Fetcher()
        self.fetch = Signal(FETCH)
        m.submodules.descriptor = self.descriptor = RecordDecoder(Descriptor, DESCRIPTOR_WORDS)
        m.submodules.tile = self.tile = RecordDecoder(Tile, TILE_WORDS)
        m.submodules.column_record = self.column_record = RecordDecoder(Column, COLUMN_WORDS)
        m.submodules.operation = self.operation = Operation()
        m.submodules.steps = self.steps = Steps()
        m.submodules.window = self.window = Window()
        m.submodules.positions = self.positions = Positions()
        m.submodules.lines = self.lines = Lines(self.n_lanes)
        connect(m, self.fetcher.memory, flipped(self.memory))
        m.d.sync += self.fetch.start.eq(0)
        for name in ("start", "address", "count"):
            m.d.comb += getattr(self.fetcher, name).eq(getattr(self.fetch, name))
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
        self.n_counted = Signal(range(COUNT_CYCLES + 1))  # cycles that went into `n_missing`
        self.columns_come = Signal()
        self.gap = Signal(range(self.n_lanes + 1))  # cycles until sums may be handed over again
        self.in_gap = Signal()  # they are two or more; `held` follows a cycle later
        self.held = Signal()  # a position's last line has to wait
        self.issuing = Signal()  # the state is ISSUE
        self.in_flight = Signal(self.issue_latency + 2)
        self.slots = Signal(range(SLOT_LEVELS + 1))
        self.n_most = Signal(range(self.n_lanes + 1))  # columns or channels at once
        self.n_active = Signal(range(self.n_lanes + 1))
        self.n_weights = Signal(range(self.n_lanes + 1))  # bytes of the line that was issued
        self.is_work = Signal()
        self.cycles = Signal(32)
        self.n_channels = Signal(17)
        self.fault = Signal(8)
        self.abort = Signal()
        self.first_column = Signal(32)  # of the lanes' column records
        self.columns_past = Signal()  # they are not all there
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
            w.count.eq(Mux(op.is_mvm, self.lines.count, 1)),
            w.tap_ends.eq(self.lines.tap_ends), w.again.eq(self.in_position),
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
            p.in_row.eq(s.row), p.in_step.eq(s.pixel),
            p.in2_row.eq(d.in2_row_stride), p.in2_step.eq(d.in2_pixel_stride),
            p.out_row.eq(d.out_row_stride), p.out_step.eq(d.out_pixel_stride),
        ]  # fmt: skip
        m.d.sync += [
            p.in_first.eq(d.in_addr - s.pad_row - s.pad_pixel + self.in_offset),
            p.in2_first.eq(d.in2_addr + self.channel),
            p.out_first.eq(d.out_addr + column_first),
        ]
        n_left = Signal(17)
        m.d.comb += [
            self.n_channels.eq(Mux(op.is_mvm, self.t.n_cols, d.out_c)),
            n_left.eq(self.n_channels - self.channel),
        ]
        vector_lanes = Mux(op.by_element, 1, self.n_vector_lanes)
        m.d.comb += self.n_most.eq(Mux(op.is_mvm, self.n_lanes, vector_lanes))
        m.d.sync += self.n_active.eq(Mux(n_left < self.n_most, n_left, self.n_most))

    def _wire_lines(self, m: Module) -> None:
        li, d, t, op = self.lines, self.d, self.t, self.operation
        depthwise = self.layout.vector_weights + d.weight_base
        m.d.comb += [
            li.n_rows.eq(t.n_rows), li.repeats.eq(t.repeats), li.n_bias_rows.eq(t.n_bias_rows),
            li.is_mvm.eq(op.is_mvm), li.is_binary.eq(op.is_binary),
            li.window_last.eq(self.window.is_last), li.window_left.eq(self.window.left),
            li.window_start.eq(self.window.start_left), li.n_channels.eq(self.window.n_channels),
            li.slots.eq(self.slots),
        ]  # fmt: skip
        m.d.sync += [
            li.split.eq(d.encoding == Encoding.PN),
            li.weight_first.eq(Mux(op.is_mvm, t.cells, depthwise) + self.channel),
            li.weight_step.eq(Mux(op.is_mvm, t.n_cols, d.in_c)),
        ]
        m.d.sync += self.slots.eq(0)
        for level in range(1, most_slots(self.n_vector_lanes).bit_length()):
            with m.If(op.is_mvm & (t.n_cols == self.n_lanes >> level)):
                m.d.sync += self.slots.eq(level)
        m.d.sync += self.positions.advance.eq(self.enter & ~self.in_position)
        with m.If(self.enter):
            m.d.comb += [li.begin.eq(1), self.window.load.eq(1)]
            m.d.sync += [self.n_missing.eq(0), self.n_counted.eq(0), self.in_position.eq(0)]
            with m.If(~self.in_position):
                m.d.sync += self.out_addr.eq(self.positions.out_addr)
                m.d.sync += self.in2_addr.eq(self.positions.in2_addr)

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
        with m.If(self.columns_come):
            m.d.comb += self.column_write.eq(fetcher.word & fetcher.index[0])
            with m.If(fetcher.done):
                m.d.sync += self.columns_come.eq(0)

    def _wire_issue(self, m: Module) -> None:
        li, d, op, line = self.lines, self.d, self.operation, self.line
        second = op.is_binary & li.operand
        m.d.sync += [
            self.issue.eq(li.step),
            line.first.eq(li.first), line.last.eq(li.final),
            line.inside.eq(self.window.inside), line.bias.eq(li.bias),
            line.negative.eq(li.negative), line.slots.eq(self.slots), line.count.eq(li.count),
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
        with m.If(li.step):
            m.d.sync += self.n_missing.eq(self.n_missing + ~self.window.inside)
        work = li.step & ~li.is_copy & (op.is_mvm | op.is_depthwise)
        m.d.sync += [
            self.n_weights.eq(Mux(self.slots == 0, self.n_active, li.line_bytes)),
            self.is_work.eq(work), self.in_flight.eq(Cat(li.step, self.in_flight[:-1])),
        ]  # fmt: skip
        m.d.comb += [
            self.n_macs.eq(Mux(self.is_work, self.n_weights, 0)),
            self.quiet.eq(~self.in_flight.any() & ~self.drain_busy),
        ]
        self._hand_over(m)

    def _hand_over(self, m: Module) -> None:
        """The tag of the sums on their way, and when the next sums may follow.

        There is a cycle between positions anyway, so a gap of one needs no waiting.
        """
        t, op = self.t, self.operation
        n_ports, more = max(1, self.n_lanes // 8), Signal()
        m.d.sync += more.eq(self.n_active > 2 * n_ports)
        with m.If(self.lines.step & self.lines.final):
            m.d.sync += [
                self.tag.addr.eq(self.out_addr),
                self.tag.n_lanes.eq(self.n_active),
                self.tag.slots.eq(self.slots),
                self.tag.gain.eq(t.gain),
                self.tag.align.eq(Mux(op.is_mvm, t.align, 0)),
                self.tag.first.eq(~op.is_mvm | t.first),
                self.tag.last.eq(~op.is_mvm | t.last),
                self.gap.eq((self.n_active - 1) // n_ports),
                self.in_gap.eq(more),
            ]
        with m.Elif(self.in_gap):
            m.d.sync += [self.gap.eq(self.gap - 1), self.in_gap.eq(self.gap != 2)]

    def _check_accesses(self, m: Module) -> None:
        """Two cycles after a line was issued: did it leave a memory?"""
        layout, op = self.layout, self.operation
        cell_end = Signal(34)
        m.d.sync += cell_end.eq(
            Mux(op.is_mvm, layout.n_cell_bytes, layout.vector_weights + layout.n_vector_bytes)
        )
        n_read = Mux(op.is_mvm, self.line.count, self.n_active)
        reads = self.issue & self.line.inside & ~self.line.bias
        weighs = self.issue & (op.is_mvm | op.is_depthwise)
        stores = self.issue & self.line.last & self.tag.last
        reads_past, stores_past, weighs_past = Signal(), Signal(), Signal()
        m.d.sync += [
            reads_past.eq(reads & (self.read_addr + n_read > layout.n_activation_bytes)),
            stores_past.eq(stores & (self.tag.addr + self.n_active > layout.n_activation_bytes)),
            weighs_past.eq(weighs & (self.weight_addr + self.n_weights > cell_end)),
        ]
        with m.If(reads_past | stores_past):
            m.d.comb += self.fault.eq(DeviceError.ADDRESS_RANGE)
        with m.Elif(weighs_past):
            m.d.comb += self.fault.eq(DeviceError.WEIGHT_RANGE)
