"""From sums to stored bytes: converter, partial sums, digital stage, table."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from norcim_overlay.npu.converter import GAIN_BITS, Converter
from norcim_overlay.npu.mac_lanes import ACC_BITS, SLOT_LEVELS
from norcim_overlay.npu.pipeline import delay, delay_valid, distributed_memory
from norcim_overlay.npu.requantise import CODE_BITS, SHIFT_BITS, Requantise
from norcim_overlay.npu.table import Table

ADD_LATENCY = 2  # of the sums of slots


class Tag(data.Struct):
    """What becomes of a vector of sums.

    addr         where the first code is stored
    n_lanes      how many lanes are valid, of the first slot
    slots        log2 of the slots whose sums are added
    gain, align  of the tile
    first, last  tile of its column group: clears the partial sums; stores
    """

    addr: 32
    n_lanes: 8
    slots: range(SLOT_LEVELS + 1)
    gain: GAIN_BITS
    align: 5
    first: 1
    last: 1


class Parameters(data.Struct):
    """Bias, multiplier and shift of one column."""

    bias: signed(32)
    multiplier: 16
    shift: SHIFT_BITS


class _Step:
    """One cycle's worth of lanes on its way through the pipeline."""

    def __init__(self, drain: "Drain") -> None:
        self.valid = Signal()
        self.index = Signal(range(drain.n_steps + 1))
        self.count = Signal(range(drain.n_ports + 1))
        self.addr = Signal(32)
        self.tag = Signal(Tag)
        self.sums = [Signal(signed(ACC_BITS), name=f"sum_{i}") for i in range(drain.n_ports)]
        self._drain = drain

    def later(self, m: Module, n_cycles: int) -> "_Step":
        """The same step `n_cycles` on, with sums of its own."""
        step = _Step(self._drain)
        step.valid = delay_valid(m, self.valid, n_cycles)
        for name in ("index", "count", "addr", "tag"):
            setattr(step, name, delay(m, getattr(self, name), n_cycles))
        return step


class Drain(Component):
    """Takes the sums of all lanes at once and works them off `n_ports` lanes a cycle.

    load, sums, tag    a vector of sums; the next may follow after as many cycles as the tag's
                       lanes need, `n_ports` a cycle
    busy               something is still on its way to the memory
    rule, bits, zero_point, lo, hi, use_table   of the descriptor, steady
    use_columns, shared   parameters from the column store, or the same for all lanes
    column_write, column_index, column   fill the column store
    table_write, table_index, table_data fill the table
    store, store_addr, store_count, store_data   bytes to the activation memory
    n_converted, n_saturated   conversions of this cycle, and those that clipped
    """

    def __init__(self, n_lanes: int, n_ports: int) -> None:
        self.n_lanes, self.n_ports = n_lanes, n_ports
        self.n_steps = n_lanes // n_ports
        super().__init__(
            {
                "load": In(1),
                "sums": In(data.ArrayLayout(signed(ACC_BITS), n_lanes)),
                "tag": In(Tag),
                "busy": Out(1),
                "rule": In(4),
                "bits": In(5),
                "zero_point": In(signed(CODE_BITS)),
                "lo": In(signed(CODE_BITS)),
                "hi": In(signed(CODE_BITS)),
                "use_table": In(1),
                "use_columns": In(1),
                "shared": In(Parameters),
                "column_write": In(1),
                "column_index": In(range(n_lanes)),
                "column": In(Parameters),
                "table_write": In(1),
                "table_index": In(6),
                "table_data": In(32),
                "store": Out(1),
                "store_addr": Out(32),
                "store_count": Out(range(n_ports + 1)),
                "store_data": Out(data.ArrayLayout(8, n_ports)),
                "n_converted": Out(range(n_ports + 1)),
                "n_saturated": Out(range(n_ports + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wide = _Step(self)
        waiting, shadow = self._shift_out(m, wide)
        step = wide.later(m, ADD_LATENCY)
        for port, total in enumerate(step.sums):
            m.d.sync += total.eq(self._add_slots(m, wide.tag.slots, shadow, port))
        totals, summed = self._convert(m, step)
        codes, stored = self._finish(m, totals, summed)
        self._store(m, codes, stored)
        after = Converter.LATENCY + 2 + Requantise.LATENCY + Table.LATENCY + 2
        on_the_way = Signal(ADD_LATENCY + after)
        m.d.sync += on_the_way.eq(Cat(waiting, on_the_way[:-1]))
        m.d.comb += self.busy.eq(waiting | on_the_way.any())
        return m

    def _shift_out(self, m: Module, step: _Step) -> tuple[Signal, Signal]:
        """Lanes leave the shadow register, `n_ports` a cycle: whether they do, and the register."""
        shadow = Signal(ACC_BITS * self.n_lanes)
        tag = Signal(Tag)
        index = Signal(range(self.n_steps + 1))
        lanes_left = Signal(8)
        waiting = Signal()
        width = ACC_BITS * self.n_ports
        m.d.comb += [
            waiting.eq(lanes_left != 0),
            step.valid.eq(waiting),
            step.index.eq(index),
            step.count.eq(Mux(lanes_left < self.n_ports, lanes_left, self.n_ports)),
            step.tag.eq(tag),
            step.addr.eq(tag.addr + index * self.n_ports),
        ]
        with m.If(waiting):
            m.d.sync += [
                shadow.eq(shadow >> width),
                index.eq(index + 1),
                lanes_left.eq(lanes_left - step.count),
            ]
        with m.If(self.load):
            m.d.sync += [
                shadow.eq(self.sums.as_value()),
                tag.eq(self.tag),
                index.eq(0),
                lanes_left.eq(self.tag.n_lanes),
            ]
        return waiting, shadow

    def _add_slots(self, m: Module, slots: Signal, shadow: Signal, port: int) -> object:
        """Lane `port` of the first slot and those in its place in the other slots, added up.

        Pairs are added in the cycle before.
        """
        terms = []
        for step in range(self.n_steps):
            lane = shadow.word_select(step * self.n_ports + port, ACC_BITS).as_signed()
            # Slots begin at every n_steps / 2^slots steps.
            level = exact_log2(self.n_steps) - exact_log2(step & -step) if step else 0
            terms.append(Mux(slots >= level, lane, 0))
        terms = [delay(m, sum(terms[i : i + 2]), 1) for i in range(0, len(terms), 2)]
        return sum(terms)

    def _convert(self, m: Module, step: _Step) -> tuple[list[Signal], _Step]:
        """Converter, alignment and partial sums."""
        at_code = step.later(m, Converter.LATENCY)
        at_sum = at_code.later(m, 1)
        totals, saturated = [], []
        for port in range(self.n_ports):
            converter = Converter()
            m.submodules[f"converter_{port}"] = converter
            m.d.comb += [
                converter.acc.eq(step.sums[port]),
                converter.rule.eq(self.rule),
                converter.gain.eq(step.tag.gain),
                converter.bits.eq(self.bits),
            ]
            saturated.append(converter.saturated & (port < at_code.count) & at_code.valid)
            aligned = Signal(signed(ACC_BITS), name=f"aligned_{port}")
            m.d.sync += aligned.eq(converter.code << at_code.tag.align)
            totals.append(self._partial_sum(m, port, aligned, at_sum))
        m.d.comb += [
            self.n_converted.eq(Mux(at_code.valid, at_code.count, 0)),
            self.n_saturated.eq(sum(saturated)),
        ]
        return totals, at_sum.later(m, 1)

    def _partial_sum(self, m: Module, port: int, aligned: Signal, at: _Step) -> Signal:
        memory = distributed_memory(ACC_BITS, self.n_steps)
        m.submodules[f"partial_{port}"] = memory
        read, write = memory.read_port(domain="comb"), memory.write_port()
        total = Signal(signed(ACC_BITS), name=f"total_{port}")
        later = Signal(signed(ACC_BITS), name=f"later_{port}")
        m.d.comb += [
            read.addr.eq(at.index),
            total.eq(aligned + Mux(at.tag.first, 0, read.data.as_signed())),
            write.addr.eq(at.index),
            write.data.eq(total),
            write.en.eq(at.valid),
        ]
        m.d.sync += later.eq(total)
        return later

    def _finish(self, m: Module, totals: list[Signal], at: _Step) -> tuple[list[Signal], _Step]:
        """Digital stage; codes as bytes with the step they belong to."""
        codes = []
        for port, total in enumerate(totals):
            stage = Requantise()
            m.submodules[f"requantise_{port}"] = stage
            parameters = Signal(Parameters, name=f"parameters_{port}")
            stored = self._column(m, port, at.index)
            m.d.comb += [
                parameters.eq(Mux(self.use_columns, stored, self.shared)),
                stage.total.eq(total),
                stage.bias.eq(parameters.bias),
                stage.multiplier.eq(parameters.multiplier),
                stage.shift.eq(parameters.shift),
                stage.zero_point.eq(self.zero_point),
                stage.lo.eq(self.lo),
                stage.hi.eq(self.hi),
            ]
            codes.append(stage.code)
        return codes, at.later(m, Requantise.LATENCY)

    def _column(self, m: Module, port: int, index: Signal) -> Signal:
        memory = distributed_memory(Parameters, self.n_steps)
        m.submodules[f"column_{port}"] = memory
        read, write = memory.read_port(domain="comb"), memory.write_port()
        m.d.comb += [
            read.addr.eq(index),
            write.en.eq(self.column_write & (self.column_index % self.n_ports == port)),
            write.addr.eq(self.column_index // self.n_ports),
            write.data.eq(self.column),
        ]
        return read.data

    def _store(self, m: Module, codes: list[Signal], at: _Step) -> None:
        m.submodules.table = table = Table(self.n_ports)
        m.d.comb += [
            table.write.eq(self.table_write),
            table.write_index.eq(self.table_index),
            table.write_data.eq(self.table_data),
        ]
        end = at.later(m, Table.LATENCY)
        m.d.comb += [
            self.store.eq(end.valid & end.tag.last),
            self.store_addr.eq(end.addr),
            self.store_count.eq(end.count),
        ]
        for port, code in enumerate(codes):
            plain = delay(m, code[:8], Table.LATENCY)
            m.d.comb += [
                table.index[port].eq(code[:8]),
                self.store_data[port].eq(Mux(self.use_table, table.value[port], plain)),
            ]
