"""What the digital stage has to do, in four steps that follow one another.

    total, bias -> `biased` -> `product` -> `shifted` -> code

Each step is proven for every value of the register that it starts from (a cut), so together they
hold for the whole: code = clamp(floor((biased * m + half) / 2^k) + zp, lo, hi). A product of 32 by
16 bits is too much for a solver at once; `product` is shown to be 2^16 * upper * m + lower * m,
exactly, for the halves of `biased`, which is biased * m by the distributive law.
"""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In

from norcim_overlay.npu import requantise
from tests.overlay.proofs.sby import past, started

LARGEST_SUM = 1 << 31
LARGEST_MULTIPLIER = (1 << 16) - 1
PORTS = ("total", "bias", "multiplier", "shift", "zero_point", "lo", "hi")


class _Step(Component):
    total: In(signed(32))
    bias: In(signed(32))
    multiplier: In(16)
    shift: In(6)
    zero_point: In(signed(16))
    lo: In(signed(16))
    hi: In(signed(16))
    biased: In(signed(32))
    product: In(signed(50))
    shifted: In(signed(50))

    def connected(self, m: Module) -> requantise.Requantise:
        m.submodules.dut = dut = requantise.Requantise()
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in PORTS]
        return dut


class RequantiseBias(_Step):
    """`biased` is total + bias, wherever that fits 32 bits."""

    TAPS = ("biased",)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.connected(m)
        total = self.total + self.bias
        m.d.comb += Assume((total >= -LARGEST_SUM) & (total < LARGEST_SUM))
        expected = past(m, total, 1)
        with m.If(started(m, 1)):
            m.d.comb += Assert(self.biased == expected)
        return m


class RequantiseProduct(_Step):
    """`product` is biased * multiplier, for all 2^48 pairs."""

    CUTS = ("biased",)
    TAPS = ("product",)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.connected(m)
        multiplier = past(m, self.multiplier, 1)
        # As many bits as the component multiplies with, so that the solver sees the same products.
        upper, lower = Signal(signed(34)), Signal(32)
        m.d.sync += [
            upper.eq(self.biased[16:].as_signed() * multiplier),
            lower.eq(self.biased[:16] * multiplier),
        ]
        expected = past(m, (upper << 16) + lower, 1)
        with m.If(started(m, 3)):
            m.d.comb += Assert(self.product == expected)
        return m


class RequantiseFloor(_Step):
    """`shifted` is floor((product + half) / 2^k): every product, k 0..47; no half for k = 0."""

    CUTS = ("product",)
    TAPS = ("shifted",)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.connected(m)
        m.d.comb += Assume(
            (self.product >= -LARGEST_SUM * LARGEST_MULTIPLIER)
            & (self.product <= LARGEST_SUM * LARGEST_MULTIPLIER)
            & (self.shift <= 47)
        )
        product, k = past(m, self.product, 2), past(m, self.shift, 5)

        def reaches(quotient: Value) -> Value:
            """floor(product / 2^k + 1/2) >= quotient."""
            return Mux(k == 0, product >= quotient, (2 * product) >= ((2 * quotient - 1) << k))

        with m.If(started(m, 5)):
            m.d.comb += [Assert(reaches(self.shifted)), Assert(~reaches(self.shifted + 1))]
        return m


class RequantiseClamp(_Step):
    """The code is shifted + zero_point, clamped: every zero point and every lo <= hi."""

    CUTS = ("shifted",)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.connected(m)
        m.d.comb += Assume(self.lo <= self.hi)
        value = past(m, self.shifted + self.zero_point, 2)
        lo, hi = past(m, self.lo, 1), past(m, self.hi, 1)
        with m.If(started(m, 2)):
            m.d.comb += Assert(dut.code == Mux(value < lo, lo, Mux(value > hi, hi, value)))
        return m
