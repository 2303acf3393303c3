"""Clock and reset of an ECP5 board: a PLL, and a reset that waits for it."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Instance, Module, Signal, Value
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component, In, Out

#: Ranges of the oscillator and of the phase detector of an EHXPLLL. Source: Lattice FPGA-DS-02012.
VCO_LOWEST, VCO_HIGHEST = 400_000_000, 800_000_000
DETECTOR_LOWEST = 10_000_000
VCO_WANTED = 600_000_000
MAX_DIVIDER = 128


@dataclass(frozen=True)
class Dividers:
    """Of an EHXPLLL whose output feeds back: out = in * feedback / reference."""

    reference: int
    feedback: int
    output: int


def pll_dividers(in_hz: int, out_hz: int) -> Dividers:
    """The dividers with the smallest reference divider, the oscillator near the middle.

    Raises ValueError if the clock cannot be made exactly.
    """
    for reference in range(1, MAX_DIVIDER + 1):
        feedback, rest = divmod(out_hz * reference, in_hz)
        output = round(VCO_WANTED / out_hz)
        legal = VCO_LOWEST <= out_hz * output <= VCO_HIGHEST and 1 <= output <= MAX_DIVIDER
        legal &= 1 <= feedback <= MAX_DIVIDER and in_hz >= DETECTOR_LOWEST * reference
        if legal and not rest:
            return Dividers(reference, feedback, output)
    raise ValueError(f"no PLL setting makes {out_hz} Hz of {in_hz} Hz")


class Pll(Component):
    """An EHXPLLL with one output.

    clk_in, clk_out   the clocks
    locked            clk_out is steady; not synchronous to anything
    """

    clk_in: In(1)
    clk_out: Out(1)
    locked: Out(1)

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self.in_hz, self.out_hz = in_hz, out_hz
        self.dividers = pll_dividers(in_hz, out_hz)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        off: dict[str, Value] = {
            f"i_{name}": Const(0)
            for name in ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PLLWAKESYNC", "ENCLKOP")
        }
        still = {f"i_{name}": Const(1) for name in ("PHASEDIR", "PHASESTEP", "PHASELOADREG")}
        m.submodules.pll = Instance(
            "EHXPLLL",
            **self._attributes(),
            **self._parameters(),
            **off,
            **still,
            i_CLKI=self.clk_in,
            i_CLKFB=self.clk_out,
            o_CLKOP=self.clk_out,
            o_LOCK=self.locked,
        )
        return m

    def _parameters(self) -> dict[str, Any]:
        """As ecppll, of the same project as the packer, gives them."""
        off = ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")
        return {
            **{f"p_{name}": "DISABLED" for name in off},
            **{f"p_OUTDIVIDER_MUX{letter}": f"DIV{letter}" for letter in "ABCD"},
            "p_CLKI_DIV": self.dividers.reference,
            "p_CLKFB_DIV": self.dividers.feedback,
            "p_CLKOP_ENABLE": "ENABLED",
            "p_CLKOP_DIV": self.dividers.output,
            "p_CLKOP_CPHASE": self.dividers.output // 2 - 1,
            "p_CLKOP_FPHASE": 0,
            "p_FEEDBK_PATH": "CLKOP",
        }

    def _attributes(self) -> dict[str, str]:
        return {
            "a_FREQUENCY_PIN_CLKI": f"{self.in_hz / 1e6:g}",
            "a_FREQUENCY_PIN_CLKOP": f"{self.out_hz / 1e6:g}",
            "a_ICP_CURRENT": "12",
            "a_LPF_RESISTOR": "8",
            "a_MFG_ENABLE_FILTEROPAMP": "1",
            "a_MFG_GMCREF_SEL": "2",
        }


class Reset(Component):
    """The reset of `sync`: from power-on until `ready` was 1 for `n_cycles`, and on request.

    ready     the clock is steady and nobody presses the button; not synchronous to anything
    request   strobe, in `sync`: `n_cycles` of reset
    rst       in `sync`, out of a flip-flop; 1 from the first cycle
    """

    ready: In(1)
    request: In(1)
    rst: Out(1)

    def __init__(self, n_cycles: int) -> None:
        self.n_cycles = n_cycles
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ready = Signal(reset_less=True)
        count = Signal(range(self.n_cycles + 1), reset_less=True)
        held = Signal(init=1, reset_less=True)
        m.submodules.ready = FFSynchronizer(self.ready, ready)
        with m.If(~ready | self.request):
            m.d.sync += count.eq(0)
        with m.Elif(count != self.n_cycles):
            m.d.sync += count.eq(count + 1)
        m.d.sync += held.eq(count != self.n_cycles)
        m.d.comb += self.rst.eq(held)
        return m
