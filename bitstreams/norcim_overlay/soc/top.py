"""The SoC: CPU, memory and peripherals."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out, connect

from norcim_overlay.soc.config import SocConfig
from norcim_overlay.soc.cpu import Cpu
from norcim_overlay.soc.peripherals import Peripherals
from norcim_overlay.soc.ram import Ram

IO_BIT = 29  # of a word address: address 0x80000000


class Soc(Component):
    """Has nothing but pins. Domains: `sync`, and `npu` with the same edges while `npu_active`.

    uart_rx, uart_tx    serial line, idle 1
    flash_cs, flash_sck, flash_dq_i, flash_dq_o, flash_dq_oe   SPI flash; cs is 1 when selected,
                        oe is per line; lines 0 and 1 suffice
    reset_request       strobe: hold the reset of both domains for two cycles or more
    npu_active          where the clock of `npu` can be stopped: it has the next edge if this is 1

    The RAM begins as `firmware` and keeps its contents over a reset.
    """

    def __init__(self, config: SocConfig, firmware: bytes) -> None:
        self.config, self.firmware = config, firmware
        super().__init__(
            {
                "uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "flash_cs": Out(1),
                "flash_sck": Out(1), "flash_dq_i": In(4), "flash_dq_o": Out(4),
                "flash_dq_oe": Out(4), "reset_request": Out(1), "npu_active": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cpu = cpu = Cpu()
        m.submodules.ram = ram = Ram(self.config.n_ram_bytes, self.firmware)
        m.submodules.peripherals = peripherals = Peripherals(self.config)
        connect(m, cpu.instructions, ram.instructions)
        self._share_data_bus(m, cpu, ram, peripherals)
        flash = peripherals.flash
        m.d.comb += [
            peripherals.uart_rx.eq(self.uart_rx),
            peripherals.bus_error.eq(cpu.data.err),
            self.uart_tx.eq(peripherals.uart_tx),
            self.flash_cs.eq(flash.cs),
            self.flash_sck.eq(flash.sck),
            flash.dq_i.eq(self.flash_dq_i),
            self.flash_dq_o.eq(flash.dq_o),
            self.flash_dq_oe.eq(flash.dq_oe),
            self.reset_request.eq(peripherals.reset_request),
            self.npu_active.eq(peripherals.npu_active),
        ]
        return m

    def _share_data_bus(self, m: Module, cpu: Cpu, ram: Ram, peripherals: Peripherals) -> None:
        is_io = cpu.data.adr[IO_BIT]
        for target, chosen in ((ram.data, ~is_io), (peripherals.bus, is_io)):
            for name in ("adr", "dat_w", "sel", "stb", "we", "cti", "bte"):
                m.d.comb += getattr(target, name).eq(getattr(cpu.data, name))
            m.d.comb += target.cyc.eq(cpu.data.cyc & chosen)
        for name in ("dat_r", "ack", "err"):
            m.d.comb += getattr(cpu.data, name).eq(
                Mux(is_io, getattr(peripherals.bus, name), getattr(ram.data, name))
            )
