"""What drives a wordline: an activation code in the descriptor's encoding."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.program import BIAS_DRIVE, Encoding

DRIVE_BITS = 10


class Encoder(Component):
    """Encodes one code; combinational.

    code        int8 or uint8 code, sign-extended
    encoding    norcim.spec.program.Encoding
    zero_point  PN only
    negative    PN: the wordline of max(zero_point - code, 0)
    bias        a bias row: driven with BIAS_DRIVE whatever the code
    drive       the wordline's value
    Source: docs/reference/arithmetic.md, Values. `norcim.arith.encode_rows` is the law.
    """

    code: In(signed(9))
    encoding: In(4)
    zero_point: In(signed(9))
    negative: In(1)
    bias: In(1)
    drive: Out(signed(DRIVE_BITS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        centred = Signal(signed(DRIVE_BITS))
        m.d.comb += centred.eq(
            Mux(self.negative, self.zero_point - self.code, self.code - self.zero_point)
        )
        with m.If(self.bias):
            m.d.comb += self.drive.eq(BIAS_DRIVE)
        with m.Elif(self.encoding == Encoding.PN):
            m.d.comb += self.drive.eq(Mux(centred < 0, 0, centred))
        with m.Elif(self.encoding == Encoding.OFFSET):
            m.d.comb += self.drive.eq(self.code + 128)
        with m.Else():
            m.d.comb += self.drive.eq(self.code)
        return m
