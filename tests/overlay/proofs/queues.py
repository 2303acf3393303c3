"""What keeps words in order has to lose none, invent none and repeat none."""

from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib.wiring import Component, In

from norcim_overlay.npu import fetcher


class FetcherBookkeeping(Component):
    """The fetcher asks for `count` consecutive words once each and numbers them in order.

    Over a memory that takes requests and answers whenever it likes, in order, as long as a fetch is
    started only when no answer is outstanding. It never waits for an answer that was not asked for;
    after a cancel it waits for those that were.
    """

    TAPS = ("asked", "got", "count")

    start: In(1)
    cancel: In(1)
    address: In(32)
    n_words: In(9)
    ready: In(1)
    answer: In(1)
    word: In(32)
    asked: In(9)
    got: In(9)
    count: In(9)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = fetcher.Fetcher()
        waiting, first, n_words, n_asked, n_got = (
            Signal(9, name="n_waiting"), Signal(32), Signal(9, name="n_wanted"),
            Signal(9, name="n_asked"), Signal(9, name="n_got"),
        )  # fmt: skip
        taken = Signal()
        m.d.comb += [
            dut.start.eq(self.start), dut.cancel.eq(self.cancel), dut.address.eq(self.address),
            dut.count.eq(self.n_words),
            dut.memory.ready.eq(self.ready), dut.memory.valid.eq(self.answer),
            dut.memory.data.eq(self.word),
            taken.eq(dut.memory.request & self.ready),
            Assume(~self.answer | (waiting != 0)),
            Assume(~self.start | ((waiting == 0) & ~taken)),
        ]  # fmt: skip
        m.d.sync += [
            waiting.eq(waiting + taken - self.answer),
            n_asked.eq(n_asked + taken),
            n_got.eq(n_got + self.answer),
        ]
        with m.If(self.cancel):
            m.d.sync += n_words.eq(n_asked + taken)
        with m.If(self.start):
            m.d.sync += [first.eq(self.address), n_words.eq(self.n_words)]
            m.d.sync += [n_asked.eq(0), n_got.eq(0)]
        m.d.comb += [
            Assert((n_asked <= n_words) & (n_got + waiting == n_asked)),
            Assert(dut.memory.request == (n_asked != n_words)),
            Assert(~dut.memory.request | (dut.memory.addr == (first + n_asked)[:32])),
            Assert(dut.word == self.answer),
            Assert(dut.busy == (n_got != n_words)),
            Assert(~dut.word | ((dut.index == n_got) & (dut.data == self.word))),
            Assert(dut.done == (self.answer & (n_got + 1 == n_words))),
            # What induction has to know of the registers.
            Assert((self.asked == n_asked) & (self.got == n_got) & (self.count == n_words)),
        ]
        return m
