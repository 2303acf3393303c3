"""What keeps words in order has to lose none, invent none and repeat none."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import fifo
from amaranth.lib.wiring import Component, In

from norcim_overlay.npu import fetcher
from tests.overlay.proofs.sby import past, started


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


class FifoOrder(Component):
    """A FIFO of the UART or the flash controller: what was written comes out once, in order.

    `pick` chooses any word as it is written, and `ahead` counts the words in front of it: what
    comes out after them has to be that word. Nothing is assumed of the writer and the reader, who
    may well write to a full FIFO and read from an empty one.

    width, depth  bits of a word; words that it holds, 3 or more
    """

    TAPS = ("produce", "consume", "inner_level")

    def __init__(self, width: int, depth: int) -> None:
        self._queue = _opened(width, depth)
        self._n_cells = depth - 1  # the last word is in the output register
        super().__init__(
            {
                "write": In(1), "data": In(width), "read": In(1), "pick": In(1),
                "produce": In(range(self._n_cells)), "consume": In(range(self._n_cells)),
                "inner_level": In(range(depth)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        queue = self._queue
        m.submodules.dut = queue
        written, taken = Signal(), Signal()
        n_unread = Signal(range(queue.depth + 1))
        m.d.comb += [
            queue.w_en.eq(self.write), queue.w_data.eq(self.data), queue.r_en.eq(self.read),
            written.eq(self.write & queue.w_rdy), taken.eq(self.read & queue.r_rdy),
            Assert((n_unread <= queue.depth) & (queue.level == n_unread)),
            Assert(queue.w_rdy == (n_unread != queue.depth)),
            Assert(~queue.r_rdy | (n_unread != 0)),
        ]  # fmt: skip
        m.d.sync += n_unread.eq(n_unread + written - taken)
        left = past(m, n_unread != taken, 1)
        with m.If(started(m, 1)):
            m.d.comb += Assert(queue.r_rdy | ~left)
        self._follow_a_word(m, written, taken, n_unread)
        return m

    def _follow_a_word(self, m: Module, written: Signal, taken: Signal, n_unread: Signal) -> None:
        queue = self._queue
        followed, word, ahead = Signal(), Signal(queue.width), Signal(range(queue.depth))
        is_next = followed & (ahead == 0)
        with m.If(followed & taken):
            m.d.comb += Assert(~is_next | (queue.r_data == word))
            m.d.sync += [ahead.eq(ahead - 1), followed.eq(~is_next)]
        with m.Elif(~followed & written & self.pick):
            m.d.sync += [followed.eq(1), word.eq(self.data), ahead.eq(n_unread - taken)]
        # What induction has to know of registers and memory.
        m.d.comb += [
            queue.place.eq(self._wrapped(self.consume + ahead - queue.r_rdy)),
            Assert((self.produce < self._n_cells) & (self.consume < self._n_cells)),
            Assert(self.produce == self._wrapped(self.consume + self.inner_level)),
            Assert(queue.r_rdy | (self.inner_level <= 1)),
            Assert(~followed | (ahead < n_unread)),
            Assert(~followed | (Mux(is_next & queue.r_rdy, queue.r_data, queue.cell) == word)),
        ]

    def _wrapped(self, place: Value) -> Value:
        return Mux(place < self._n_cells, place, place - self._n_cells)


def _opened(width: int, depth: int) -> Any:
    """The library's FIFO, which also shows the memory cell at `place`."""

    class Opened(fifo.SyncFIFOBuffered):  # type: ignore[misc]
        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            port = m.submodules.storage.read_port(domain="comb")
            m.d.comb += [port.addr.eq(self.place), self.cell.eq(port.data)]
            return m

    queue = Opened(width=width, depth=depth)
    queue.place, queue.cell = Signal(range(depth - 1)), Signal(width)
    return queue
