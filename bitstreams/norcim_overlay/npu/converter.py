"""The converter stage: one column sum to one code a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.program import Rule
from norcim_overlay.npu.pipeline import delay

SUM_BITS = 32
GAIN_BITS = 5


class Converter(Component):
    """Digitises column sums with the rule of the descriptor; fully pipelined.

    acc        column sum
    rule       norcim.spec.program.Rule
    gain       log2 of the divisor, 0..30
    bits       width of the LINEAR converter, 2..16
    code       the code, `LATENCY` cycles later
    saturated  the code was clipped
    Source: docs/reference/arithmetic.md, Converter. `norcim.arith.convert` is the law.
    """

    LATENCY = 4

    acc: In(signed(SUM_BITS))
    rule: In(4)
    gain: In(GAIN_BITS)
    bits: In(5)
    code: Out(signed(SUM_BITS))
    saturated: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        double = Signal()
        m.d.comb += double.eq(self.rule == Rule.WTM2101)

        # Stage 1: add half the divisor (LINEAR), or four times the magnitude (WTM2101).
        half = Signal(31)
        scaled = Signal(signed(SUM_BITS + 3))
        lossless = Signal()
        m.d.comb += [
            lossless.eq(self.rule == Rule.LOSSLESS),
            half.eq(Mux(lossless, 0, (Const(1, 32) << self.gain) >> 1)),
        ]
        magnitude = Mux(self.acc < 0, -self.acc, self.acc)
        m.d.sync += scaled.eq(Mux(double, magnitude << 2, self.acc + half))

        # Stage 2: divide. A magnitude shifted right is rounded towards zero.
        shifted = Signal.like(scaled)
        gain = delay(m, Mux(lossless, 0, self.gain), 1)
        m.d.sync += shifted.eq(scaled >> gain)

        # Stage 3: WTM2101 rounds a second time.
        value = Signal(signed(SUM_BITS + 3))
        quarters = Mux(delay(m, self.acc < 0, 2), -shifted, shifted)
        m.d.sync += value.eq(Mux(delay(m, double, 2), (quarters + 2) >> 2, shifted))
        self._clamp(m, value, delay(m, double, 2), delay(m, lossless, 3))
        return m

    def _clamp(self, m: Module, value: Signal, double: Signal, lossless: Signal) -> None:
        """Stage 4; the limits are there with the value."""
        hi, lo = Signal(16), Signal(signed(17))
        bits = delay(m, self.bits, 2)
        m.d.sync += hi.eq(Mux(double, 127, ((Const(1, 17) << bits) >> 1) - 1))
        m.d.comb += lo.eq(~Cat(hi, Const(0, 1)))
        over, under = Signal(), Signal()
        m.d.comb += [over.eq((value > hi) & ~lossless), under.eq((value < lo) & ~lossless)]
        m.d.sync += [
            self.code.eq(Mux(over, hi, Mux(under, lo, value))),
            self.saturated.eq(over | under),
        ]
