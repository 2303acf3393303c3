"""Time since reset, in milliseconds and in clock cycles."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, Out

from norcim.spec.registers import TIMER_REGISTERS
from norcim_overlay.soc.register_bank import RegisterBank


class Timer(Component):
    """Two counters that wrap round.

    registers     of TIMER_REGISTERS
    millisecond   strobe, once a millisecond
    """

    millisecond: Out(1)

    def __init__(self, clock_hz: int) -> None:
        super().__init__()
        self.registers = RegisterBank(TIMER_REGISTERS)
        self._cycles_a_ms = clock_hz // 1000

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = self.registers
        left = Signal(range(self._cycles_a_ms), init=self._cycles_a_ms - 1)
        milliseconds, cycles = Signal(32), Signal(32)
        m.d.comb += [
            registers.milliseconds.eq(milliseconds),
            registers.cycles.eq(cycles),
            self.millisecond.eq(left == 0),
        ]
        m.d.sync += [cycles.eq(cycles + 1), left.eq(left - 1)]
        with m.If(self.millisecond):
            m.d.sync += [milliseconds.eq(milliseconds + 1), left.eq(left.init)]
        return m
