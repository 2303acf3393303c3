"""What the converter has to do, as inequalities over exact integers.

Amaranth's expressions grow to the width that their value needs, so nothing here overflows; the
component has the widths that it has.
"""

from collections.abc import Callable

from amaranth.hdl import Assert, Assume, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In

from norcim.spec.program import Rule
from norcim_overlay.npu import converter
from tests.overlay.proofs.sby import past, started


class ConverterDefinition(Component):
    """Every sum, gain 0..30 and bits 2..16 gives the code of arithmetic.md, and tells a clip."""

    acc: In(signed(32))
    gain: In(5)
    bits: In(5)

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = converter.Converter()
        m.d.comb += [
            dut.acc.eq(self.acc), dut.gain.eq(self.gain), dut.bits.eq(self.bits),
            dut.rule.eq(self._rule),
            Assume((self.gain <= 30) & (self.bits >= 2) & (self.bits <= 16)),
        ]  # fmt: skip
        acc, gain, bits = (past(m, s, dut.LATENCY) for s in (self.acc, self.gain, self.bits))
        with m.If(started(m, dut.LATENCY)):
            if self._rule == Rule.LOSSLESS:
                m.d.comb += [Assert(dut.code == acc), Assert(~dut.saturated)]
            elif self._rule == Rule.LINEAR:
                end = Const(1) << (bits - 1)[:4]
                m.d.comb += _defined(dut, -end, end - 1, lambda code: _linear(acc, gain, code))
            else:
                m.d.comb += _defined(
                    dut, Const(-128), Const(127), lambda code: _wtm2101(acc, gain, code)
                )
        return m


class ConverterMonotonic(Component):
    """A larger sum never gives a smaller code: every rule, gain and number of bits."""

    smaller: In(signed(32))
    larger: In(signed(32))
    gain: In(5)
    bits: In(5)
    rule: In(4)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        codes = []
        for name in ("smaller", "larger"):
            m.submodules[name] = dut = converter.Converter()
            m.d.comb += [
                dut.acc.eq(getattr(self, name)), dut.gain.eq(self.gain), dut.bits.eq(self.bits),
                dut.rule.eq(self.rule),
            ]  # fmt: skip
            codes.append(dut.code)
        m.d.comb += Assume(
            (self.smaller <= self.larger) & (self.gain <= 30) & (self.rule <= max(Rule))
            & (self.bits >= 2) & (self.bits <= 16)
        )  # fmt: skip
        with m.If(started(m, dut.LATENCY)):
            m.d.comb += Assert(codes[0] <= codes[1])
        return m


def _linear(acc: Value, gain: Value, code: Value) -> Value:
    """floor(acc / 2^gain + 1/2) >= code; without the half for gain 0, where it changes nothing."""
    return (2 * acc) >= ((2 * code - 1) << gain)


def _wtm2101(acc: Value, gain: Value, code: Value) -> Value:
    """floor((t + 2) / 4) >= code, with t = 4 acc / 2^gain rounded towards zero.

    That is t >= 4 code - 2, where t is the quotient's floor for acc >= 0 and its ceiling below.
    """
    least = 4 * code - 2
    return Mux(acc >= 0, (4 * acc) >= (least << gain), (4 * acc) > ((least - 1) << gain))


def _defined(dut: object, lo: Value, hi: Value, reaches: Callable[[Value], Value]) -> list[Assert]:
    """The code is the largest that the sum reaches, clipped to lo..hi."""
    code = Signal.like(dut.code)
    return [
        code.eq(dut.code),
        Assert((code >= lo) & (code <= hi)),
        Assert((code == lo) | reaches(code)),
        Assert((code == hi) | ~reaches(code + 1)),
        Assert(dut.saturated == (reaches(hi + 1) | ~reaches(lo))),
    ]
