"""Counters of every descriptor: where a run's time goes and where its converters clip."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2


class Counts(data.Struct):
    """The counters of one descriptor, as the registers of the same names have them."""

    cycles: 32
    stalls: 32
    macs: 32
    conversions: 32
    saturated: 32


NAMES = ("cycles", "stalls", "macs", "conversions", "saturated")


class Counters(Component):
    """Adds up one descriptor's counts and keeps those of all.

    descriptor   the one that runs
    begin, end   strobes around it; the counts add to those of earlier runs
    add          what this cycle adds
    clear        zero all counts, a descriptor a cycle; `clearing` until then
    select       whose counts to show, while nothing runs: `LATENCY` cycles later
    selected     its counts
    """

    LATENCY = 2

    def __init__(self, n_descriptors: int) -> None:
        self.depth = n_descriptors
        super().__init__(
            {
                "descriptor": In(16),
                "begin": In(1),
                "end": In(1),
                "add": In(Counts),
                "clear": In(1),
                "clearing": Out(1),
                "select": In(16),
                "selected": Out(Counts),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=Counts, depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        live, running, place = Signal(Counts), Signal(), Signal(ceil_log2(self.depth) + 1)
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Mux(running, self.descriptor, self.select)),
            write.addr.eq(Mux(self.clearing, place, self.descriptor)),
            write.en.eq(self.clearing | (self.end & (self.descriptor < self.depth))),
        ]
        m.d.sync += self.selected.eq(read.data)
        for name in NAMES:
            count = getattr(live, name)
            total = getattr(read.data, name) + count
            m.d.comb += getattr(write.data, name).eq(Mux(self.clearing, 0, total))
            with m.If(self.begin):
                m.d.sync += count.eq(0)
            with m.Elif(running):
                m.d.sync += count.eq(count + getattr(self.add, name))
        with m.If(self.begin | self.end):
            m.d.sync += running.eq(self.begin)
        with m.If(self.clear):
            m.d.sync += [self.clearing.eq(1), place.eq(0)]
        with m.Elif(self.clearing):
            m.d.sync += [place.eq(place + 1), self.clearing.eq(place + 1 != self.depth)]
        return m
