"""The digital stage: one sum of codes to one output code a cycle."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.pipeline import delay

SHIFT_BITS = 6
CODE_BITS = 16
PRODUCT_BITS = 50


class Requantise(Component):
    """y = clamp(((s + bias) * m + half >> k) + zp, lo, hi); fully pipelined.

    total       32-bit sum of codes
    bias        digital bias; with it the sum still fits 32 bits
    multiplier  unsigned 16 bits; 1 where only a shift is wanted (stage SHIFT, ADD)
    shift       k, 0..47; 0 adds no half
    zero_point, lo, hi   added after the shift; clamp, last
    code        y, `LATENCY` cycles later
    The product is two 18 x 18 multiplies: upper and lower half of the sum. The parameters are
    read with the sum they belong to, zero point and clamp have to stay until it leaves.
    Source: docs/reference/arithmetic.md. `norcim.arith.requantise` is the law.
    """

    LATENCY = 7

    total: In(signed(32))
    bias: In(signed(32))
    multiplier: In(16)
    shift: In(SHIFT_BITS)
    zero_point: In(signed(CODE_BITS))
    lo: In(signed(CODE_BITS))
    hi: In(signed(CODE_BITS))
    code: Out(signed(CODE_BITS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        biased = Signal(signed(32))
        multiplier = delay(m, self.multiplier, 1)
        m.d.sync += biased.eq(self.total + self.bias)

        upper, lower = Signal(signed(34)), Signal(32)
        m.d.sync += [
            upper.eq(biased[16:].as_signed() * multiplier),
            lower.eq(biased[:16] * multiplier),
        ]
        product = Signal(signed(PRODUCT_BITS))
        m.d.sync += product.eq((upper << 16) + lower)

        shift = delay(m, self.shift, 3)
        rounded = Signal(signed(PRODUCT_BITS))
        half = Signal(48)
        m.d.comb += half.eq((Const(1, 48) << shift) >> 1)
        m.d.sync += rounded.eq(product + half)

        shifted = Signal(signed(PRODUCT_BITS))
        m.d.sync += shifted.eq(rounded >> delay(m, shift, 1))

        offset = Signal(signed(PRODUCT_BITS + 1))
        m.d.sync += offset.eq(shifted + self.zero_point)
        clamped = Mux(offset > self.hi, self.hi, Mux(offset < self.lo, self.lo, offset))
        m.d.sync += self.code.eq(clamped)
        return m
