"""The UART: amaranth-stdio's serialiser with a FIFO on either side, and counters of losses."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.registers import UART_REGISTERS
from norcim_overlay.soc.parts import AsyncSerial
from norcim_overlay.soc.register_bank import RegisterBank

DIVISOR_BITS = 16


class Uart(Component):
    """8 data bits, no parity, one stop bit.

    registers   of UART_REGISTERS
    rx, tx      the line; idle is 1
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)

    def __init__(self, n_receive_bytes: int, n_send_bytes: int) -> None:
        super().__init__()
        self.registers = RegisterBank(UART_REGISTERS)
        self._received = SyncFIFOBuffered(width=8, depth=n_receive_bytes)
        self._to_send = SyncFIFOBuffered(width=8, depth=n_send_bytes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reset = (1 << DIVISOR_BITS) - 1
        m.submodules.registers = registers = self.registers
        m.submodules.serial = serial = AsyncSerial(divisor=reset, divisor_bits=DIVISOR_BITS)
        m.submodules.line = FFSynchronizer(self.rx, serial.rx.i, init=1)
        m.d.comb += [self.tx.eq(serial.tx.o), serial.divisor.eq(registers.divisor)]
        self._receive(m, serial.rx)
        self._send(m, serial.tx)
        return m

    def _receive(self, m: Module, rx: AsyncSerial) -> None:
        m.submodules.received = fifo = self._received
        registers = self.registers
        broken = Signal()
        m.d.comb += [
            rx.ack.eq(1),
            broken.eq(rx.err.frame),
            fifo.w_data.eq(rx.data),
            fifo.w_en.eq(rx.rdy & ~broken & fifo.w_rdy),
            registers.data.eq(Mux(fifo.r_rdy, Cat(fifo.r_data, fifo.r_rdy), 0)),
            fifo.r_en.eq(registers.data_read),
            registers.status[:15].eq(fifo.level),
        ]
        overruns, framing = Signal(32), Signal(32)
        m.d.comb += [registers.overruns.eq(overruns), registers.framing.eq(framing)]
        with m.If(rx.rdy):
            m.d.sync += framing.eq(framing + broken)
            m.d.sync += overruns.eq(overruns + (~broken & ~fifo.w_rdy))

    def _send(self, m: Module, tx: AsyncSerial) -> None:
        m.submodules.to_send = fifo = self._to_send
        registers = self.registers
        space = Signal(15)
        m.d.comb += [
            fifo.w_data.eq(registers.data_data[:8]),
            fifo.w_en.eq(registers.data_write),
            tx.data.eq(fifo.r_data),
            tx.ack.eq(fifo.r_rdy),
            fifo.r_en.eq(tx.rdy),
            space.eq(fifo.depth - fifo.level),
            registers.status[16:31].eq(space),
            registers.status[31].eq((fifo.level == 0) & tx.rdy),
        ]
