"""The Radiona ULX3S with an LFE5U-85F: the SoC, a PLL, the FTDI's serial line, the SPI flash.

Pins: amaranth-boards. The SPI flash also holds the FPGA's own bitstream, from its first byte on;
of this chip, 4 to 16 MiB by the board's version, two MiB above it are the device's.
"""

from __future__ import annotations

from typing import Any

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
)
from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from norcim_overlay.boards.board import Board
from norcim_overlay.boards.clocks import Pll, Reset
from norcim_overlay.soc.config import OVERLAY_SIZES, SocConfig
from norcim_overlay.soc.top import Soc

BOARD_HZ = 25_000_000
CLOCK_HZ = 37_500_000
#: An 85F's bitstream without compression ends below this.
FLASH_BASE = 2 << 20
FLASH_BYTES = 2 << 20
#: 1.7 ms: longer than a button bounces within one press.
RESET_CYCLES = (1 << 16) - 1

BOARD = Board(
    name="ulx3s-85f",
    device="LFE5U-85F-6BG381C",
    config=SocConfig(
        OVERLAY_SIZES, clock_hz=CLOCK_HZ, flash_base=FLASH_BASE, flash_bytes=FLASH_BYTES
    ),
    design=__name__,
    device_options=("--85k", "--package", "CABGA381", "--speed", "6"),
    pack_options=("--compress", "--freq", "62.0"),
)


class Ulx3sPlatform(ULX3S_85F_Platform):
    """amaranth-boards' platform, its flash with a first data line that also reads."""

    resources = [  # noqa: RUF012 (Amaranth's interface)
        *(r for r in ULX3S_85F_Platform.resources if r.name != "spi_flash"),
        Resource(
            "spi_flash",
            0,
            Subsignal("cs", PinsN("R2", dir="o")),
            Subsignal("dq0", Pins("W2", dir="io")),
            Subsignal("dq1", Pins("V2", dir="i")),
            Subsignal("wp", PinsN("Y2", dir="o")),
            Subsignal("hold", PinsN("W1", dir="o")),
            Attrs(PULLMODE="NONE", DRIVE="4", IO_TYPE="LVCMOS33"),
        ),
        Resource("esp32_boot", 0, Pins("L2", dir="o"), Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
    ]


class Ulx3s(Elaboratable):
    """Top of the design.

    The serial line is the FTDI's. Button PWR resets. The clock of the flash leaves through USRMCLK.
    LEDs: 0 out of reset, 1 NPU at work, 2 flash selected, 3 something arrives, 4 something is sent.
    """

    def __init__(self, config: SocConfig, ram: bytes) -> None:
        self.config, self.ram = config, ram

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.soc = soc = DomainRenamer({"npu": "sync"})(Soc(self.config, self.ram))
        self._clock(m, platform, soc)
        self._flash(m, platform, soc)
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-", "rts": "-", "dtr": "-"})
        receive = _input(m, "uart_rx", uart.rx)
        _output(m, "uart_tx", uart.tx, soc.uart_tx)
        m.d.comb += soc.uart_rx.eq(receive)
        # Low, this pin would have the board's ESP32 take over the serial line.
        _output(m, "esp32_boot", platform.request("esp32_boot", 0, dir="-"), Const(1))
        shown = (~ResetSignal(), soc.npu_active, soc.flash_cs, ~receive, ~soc.uart_tx)
        for number, value in enumerate(shown):
            _output(m, f"led_{number}", platform.request("led", number, dir="-"), value)
        return m

    def _clock(self, m: Module, platform: Any, soc: Any) -> None:
        m.domains.sync = ClockDomain()
        m.submodules.pll = pll = Pll(BOARD_HZ, self.config.clock_hz)
        m.submodules.reset = reset = Reset(RESET_CYCLES)
        pressed = _input(m, "button", platform.request("button_pwr", 0, dir="-"))
        m.d.comb += [
            pll.clk_in.eq(_input(m, "clk25", platform.request("clk25", 0, dir="-"))),
            ClockSignal().eq(pll.clk_out),
            reset.ready.eq(pll.locked & ~pressed),
            reset.request.eq(soc.reset_request),
            ResetSignal().eq(reset.rst),
        ]

    def _flash(self, m: Module, platform: Any, soc: Any) -> None:
        lines = ("cs", "dq0", "dq1", "wp", "hold")
        pins = platform.request("spi_flash", 0, dir=dict.fromkeys(lines, "-"))
        m.submodules.dq0 = dq0 = io.Buffer("io", pins.dq0)
        m.submodules.clock = Instance(
            "USRMCLK", a_keep=1, i_USRMCLKI=soc.flash_sck, i_USRMCLKTS=Const(0)
        )
        _output(m, "flash_cs", pins.cs, soc.flash_cs)
        # Active low, and never wanted.
        _output(m, "flash_wp", pins.wp, Const(0))
        _output(m, "flash_hold", pins.hold, Const(0))
        m.d.comb += [
            dq0.o.eq(soc.flash_dq_o[0]),
            dq0.oe.eq(soc.flash_dq_oe[0]),
            soc.flash_dq_i[0].eq(dq0.i),
            soc.flash_dq_i[1].eq(_input(m, "dq1", pins.dq1)),
            soc.flash_dq_i[2:].eq(0b11),
        ]


def _input(m: Module, name: str, port: Any) -> Any:
    buffer = io.Buffer("i", port)
    m.submodules[f"pad_{name}"] = buffer
    return buffer.i


def _output(m: Module, name: str, port: Any, value: Any) -> None:
    buffer = io.Buffer("o", port)
    m.submodules[f"pad_{name}"] = buffer
    m.d.comb += buffer.o.eq(value)


def prepare(config: SocConfig, ram: bytes) -> dict[str, str | bytes]:
    """top.il, top.lpf and the CPU's Verilog."""
    plan = Ulx3sPlatform().prepare(Ulx3s(config, ram), "top", debug_verilog=False)
    kept = {name: text for name, text in plan.files.items() if not name.startswith("build_")}
    return {name: kept[name] for name in kept if name not in ("top.ys", "top.debug.v")}
