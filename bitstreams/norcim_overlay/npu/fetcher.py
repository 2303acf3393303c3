"""Reads consecutive words of the record memory."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out, Signature


def record_port() -> Signature:
    """A pipelined read port of 32-bit words; answers come in order, at any latency.

    request, addr  a word address is asked for; taken in a cycle with `ready`
    valid, data    an answer
    """
    return Signature(
        {
            "request": Out(1),
            "addr": Out(32),
            "ready": In(1),
            "valid": In(1),
            "data": In(32),
        }
    )


class Fetcher(Component):
    """Reads `count` words from `address` on, one a cycle where the memory can.

    start    begin; not while `busy`
    cancel   ask for no further words
    busy     words are still to come
    word     strobe: `data` is word number `index`
    done     strobe with the last word
    """

    start: In(1)
    cancel: In(1)
    busy: Out(1)
    address: In(32)
    count: In(9)
    word: Out(1)
    index: Out(9)
    data: Out(32)
    done: Out(1)
    memory: Out(record_port())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        asked = Signal(9)  # one a line: the tracer gives them the names that the proofs use
        got = Signal(9)
        count = Signal(9)
        addr = Signal(32)
        m.d.comb += [
            self.memory.addr.eq(addr),
            self.memory.request.eq(asked != count),
            self.word.eq(self.memory.valid & self.busy),
            self.busy.eq(got != count),
            self.index.eq(got),
            self.data.eq(self.memory.data),
            self.done.eq(self.word & (got + 1 == count)),
        ]
        taken = Signal()
        m.d.comb += taken.eq(self.memory.request & self.memory.ready)
        with m.If(taken):
            m.d.sync += [asked.eq(asked + 1), addr.eq(addr + 1)]
        with m.If(self.word):
            m.d.sync += got.eq(got + 1)
        with m.If(self.cancel):
            m.d.sync += count.eq(asked + taken)
        with m.If(self.start):
            m.d.sync += [addr.eq(self.address), asked.eq(0), got.eq(0), count.eq(self.count)]
        return m
