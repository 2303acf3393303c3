"""A stand-in for the SoC: carries bytes between the serial line and the flash, with no CPU.

A request is the number of bytes to send to the flash, the number to read from it, and the bytes
to send, all within one selection; the answer is the bytes read, and a zero if there are none.
The request (0, 0) asks for a reset.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

DIVISOR = 8
"""Cycles of a bit."""


class Receiver(Component):
    """valid with data for one cycle when a byte has come."""

    line: In(1, init=1)
    data: Out(8)
    valid: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last, count, n_left = Signal(2, init=3), Signal(range(2 * DIVISOR)), Signal(4)
        m.d.sync += [last.eq((last << 1) | self.line), self.valid.eq(0)]
        with m.If(n_left == 0), m.If(~last[1]):
            m.d.sync += [n_left.eq(9), count.eq(DIVISOR + DIVISOR // 2 - 2)]
        with m.Elif(count == 0):
            m.d.sync += [count.eq(DIVISOR - 1), n_left.eq(n_left - 1)]
            with m.If(n_left > 1):
                m.d.sync += self.data.eq((self.data >> 1) | (last[1] << 7))
            with m.Else():
                m.d.sync += self.valid.eq(last[1])
        with m.Else():
            m.d.sync += count.eq(count - 1)
        return m


class Sender(Component):
    """Sends a byte when `start` is set while it is ready."""

    line: Out(1, init=1)
    data: In(8)
    start: In(1)
    ready: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count, frame, n_left = Signal(range(DIVISOR)), Signal(10, init=0x3FF), Signal(4)
        m.d.comb += [self.line.eq(frame[0]), self.ready.eq(n_left == 0)]
        with m.If(n_left == 0), m.If(self.start):
            m.d.sync += [frame.eq((1 << 9) | (self.data << 1)), n_left.eq(10)]
            m.d.sync += count.eq(DIVISOR - 1)
        with m.Elif(count == 0):
            m.d.sync += [frame.eq((frame >> 1) | (1 << 9)), n_left.eq(n_left - 1)]
            m.d.sync += count.eq(DIVISOR - 1)
        with m.Else():
            m.d.sync += count.eq(count - 1)
        return m


class Bridge(Component):
    """The pins of `norcim_overlay.soc.top.Soc`."""

    uart_rx: In(1, init=1)
    uart_tx: Out(1, init=1)
    flash_cs: Out(1)
    flash_sck: Out(1)
    flash_dq_i: In(4)
    flash_dq_o: Out(4)
    flash_dq_oe: Out(4)
    npu_active: Out(1)
    reset_request: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = self._receiver = Receiver()
        m.submodules.sender = self._sender = Sender()
        self._n_send, self._n_read = Signal(16), Signal(16)
        self._shift, self._n_bits = Signal(8), Signal(4)
        self._answered = Signal()
        m.d.comb += [
            self._receiver.line.eq(self.uart_rx),
            self.uart_tx.eq(self._sender.line),
            self.flash_dq_o.eq(0xC | self._shift[7]),
            self.flash_dq_oe.eq(0xD),
        ]
        self._npu(m)
        with m.FSM():
            self._take_counts(m)
            self._carry(m)
        return m

    def _npu(self, m: Module) -> None:
        """One flip-flop in the NPU's clock domain, which a byte sent wakes for one cycle."""
        asked, done = Signal(), Signal()
        m.d.comb += self.npu_active.eq(asked ^ done)
        m.d.npu += done.eq(asked)
        with m.If(self._sender.start):
            m.d.sync += asked.eq(~asked)

    def _take_counts(self, m: Module) -> None:
        counts = (self._n_send[:8], self._n_send[8:], self._n_read[:8], self._n_read[8:])
        states = ("COUNT0", "COUNT1", "COUNT2", "COUNT3", "NEXT")
        for state, after, target in zip(states, states[1:], counts, strict=False):
            with m.State(state), m.If(self._receiver.valid):
                m.d.sync += [target.eq(self._receiver.data), self._answered.eq(0)]
                m.next = after

    def _carry(self, m: Module) -> None:
        n_send, n_read, n_bits, shift = self._n_send, self._n_read, self._n_bits, self._shift
        with m.State("NEXT"):
            m.d.sync += n_bits.eq(8)
            with m.If((n_send == 0) & (n_read == 0)):
                self._end(m)
            with m.Elif((n_send == 0) | self._receiver.valid):
                m.d.sync += [self.flash_cs.eq(1), shift.eq(self._receiver.data)]
                m.next = "RISE"
        with m.State("RISE"):
            m.d.sync += self.flash_sck.eq(1)
            m.next = "FALL"
        with m.State("FALL"):
            m.d.sync += [self.flash_sck.eq(0), n_bits.eq(n_bits - 1)]
            m.d.sync += shift.eq((shift << 1) | self.flash_dq_i[1])
            m.next = "RISE"
            with m.If((n_bits == 1) & (n_send > 0)):
                m.d.sync += n_send.eq(n_send - 1)
                m.next = "NEXT"
            with m.Elif(n_bits == 1):
                m.d.sync += n_read.eq(n_read - 1)
                m.next = "ANSWER"
        with m.State("ANSWER"), m.If(self._sender.ready):
            m.d.comb += [self._sender.start.eq(1), self._sender.data.eq(shift)]
            m.d.sync += self._answered.eq(1)
            m.next = "NEXT"

    def _end(self, m: Module) -> None:
        m.d.sync += [self.flash_cs.eq(0), self._shift.eq(0)]
        m.d.comb += self.reset_request.eq(~self._answered & ~self.flash_cs)
        m.next = "COUNT0"
        with m.If(~self._answered & self.flash_cs):
            m.next = "ANSWER"
