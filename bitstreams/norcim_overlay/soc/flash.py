"""The SPI flash: luna-soc's controller on one or two data lines."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module
from amaranth.lib.wiring import Component, In, Out, Signature

from norcim_overlay.soc.parts import SPIFlash, SPIPHYController, WishboneCSRBridge


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
    """SPI at half the clock. Lines 2 and 3 (WP#, HOLD#) are held high, line 1 is never driven.

    bus     Wishbone target, registers of FLASH_REGISTERS
    pins    see flash_pins
    """

    def __init__(self) -> None:
        self._pads = _Pads()
        phy = SPIPHYController(pads=self._pads, domain="sync")
        self._flash = SPIFlash(phy, with_controller=True, with_mmap=False)
        self._phy = phy
        self._bridge = WishboneCSRBridge(self._flash.csr, data_width=32)
        self.memory_map = self._bridge.wb_bus.memory_map
        super().__init__({"bus": In(self._bridge.wb_bus.signature), "pins": Out(flash_pins())})

    def elaborate(self, platform: Any) -> Module:
        m, pads, bus = Module(), self._pads, self._bridge.wb_bus
        m.submodules.flash, m.submodules.phy, m.submodules.bridge = (
            self._flash, self._phy, self._bridge,
        )  # fmt: skip
        for name in ("adr", "dat_w", "sel", "cyc", "stb", "we"):
            m.d.comb += getattr(bus, name).eq(getattr(self.bus, name))
        m.d.comb += [
            self.bus.dat_r.eq(bus.dat_r),
            self.bus.ack.eq(bus.ack),
            self.pins.cs.eq(pads.cs.o),
            self.pins.sck.eq(pads.sck),
            self.pins.dq_o.eq(Cat(pads.dq.o[0], Const(0b110 | 0b001, 3))),
            self.pins.dq_oe.eq(Cat(pads.dq.oe, Const(0b110, 3))),
            pads.dq.i.eq(self.pins.dq_i),
        ]
        return m
