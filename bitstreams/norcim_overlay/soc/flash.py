"""The SPI flash: luna-soc's PHY behind registers and FIFOs of our own (docs/decisions/0032)."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out, Signature

from norcim.spec.registers import FLASH_REGISTERS
from norcim_overlay.soc.parts import SPIPHYController
from norcim_overlay.soc.register_bank import RegisterBank

WORD_BITS = 32
FIFO_WORDS = 8


def flash_pins() -> Signature:
    """The flash chip's pins; oe is per line, cs is 1 when the chip is selected."""
    return Signature({"cs": Out(1), "sck": Out(1), "dq_i": In(4), "dq_o": Out(4), "dq_oe": Out(4)})


class _Pads:
    """The pins as luna-soc's PHY takes them."""

    def __init__(self) -> None:
        pins = Signature({
            "sck": Out(1),
            "cs": Out(Signature({"o": Out(1)})),
            "dq": Out(Signature({"i": In(4), "o": Out(4), "oe": Out(1)})),
        }).create()  # fmt: skip
        self.sck, self.cs, self.dq = pins.sck, pins.cs, pins.dq


class Flash(Component):
    """SPI mode 0 at half the clock. Lines 2 and 3 (WP#, HOLD#) are high, line 1 is never driven.

    registers   of FLASH_REGISTERS
    pins        see flash_pins
    """

    pins: Out(flash_pins())

    def __init__(self) -> None:
        super().__init__()
        self.registers = RegisterBank(FLASH_REGISTERS)
        self._pads = _Pads()
        self._phy = SPIPHYController(pads=self._pads, data_width=WORD_BITS, domain="sync")
        width = WORD_BITS + len(self._phy.source.len) + len(self._phy.source.width) + 1
        self._to_send = SyncFIFOBuffered(width=width, depth=FIFO_WORDS)
        self._received = SyncFIFOBuffered(width=WORD_BITS, depth=FIFO_WORDS)

    def elaborate(self, platform: object) -> Module:
        m, pads = Module(), self._pads
        m.submodules.registers = self.registers
        m.submodules.phy = phy = self._phy
        self._transfer(m, phy)
        m.d.comb += [
            phy.cs.eq(self.registers.control[11]),
            self.pins.cs.eq(pads.cs.o),
            self.pins.sck.eq(pads.sck),
            self.pins.dq_o.eq(Cat(pads.dq.o[0], Const(0b111, 3))),
            self.pins.dq_oe.eq(Cat(pads.dq.oe, Const(0b110, 3))),
            pads.dq.i.eq(self.pins.dq_i),
        ]
        return m

    def _transfer(self, m: Module, phy: SPIPHYController) -> None:
        m.submodules.to_send, m.submodules.received = to_send, received = (
            self._to_send, self._received,
        )  # fmt: skip
        registers, source = self.registers, phy.source
        control, drives = registers.control, Signal()
        swap = control[12]
        m.d.comb += [
            to_send.w_data.eq(Cat(_swapped(registers.data_data, swap), control[:11])),
            to_send.w_en.eq(registers.data_write),
            Cat(source.data, source.len, source.width, drives).eq(to_send.r_data),
            source.mask.eq(drives),
            source.valid.eq(to_send.r_rdy),
            to_send.r_en.eq(source.ready),
            received.w_data.eq(phy.sink.data),
            received.w_en.eq(phy.sink.valid),
            phy.sink.ready.eq(received.w_rdy),
            registers.data.eq(_swapped(received.r_data, swap)),
            received.r_en.eq(registers.data_read),
            registers.status.eq(Cat(received.r_rdy, to_send.w_rdy)),
        ]


def _swapped(word: Signal, swap: Signal) -> Mux:
    """The word, or its bytes in reverse order."""
    return Mux(swap, Cat(word[i : i + 8] for i in range(WORD_BITS - 8, -1, -8)), word)
