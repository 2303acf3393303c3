"""The lanes: one multiply-accumulate each a cycle, int8 weights, 32-bit sums."""

from enum import IntEnum

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.encoder import DRIVE_BITS, Encoder
from norcim_overlay.npu.pipeline import delay, delay_valid

ACC_BITS = 32
FACTOR_BITS = 17


class Factor(IntEnum):
    """What a lane multiplies its input by."""

    WEIGHT = 0  #: the lane's byte of the weight memory, int8
    CONSTANT = 1  #: the same unsigned 16-bit number in all lanes
    HELD = 2  #: the input that the lane kept from the line before


class Line(data.Struct):
    """What the lanes do with the bytes of one cycle.

    first, last  clears the sums before; hands them over after
    inside       the position lies inside the input (else it reads as the pad code)
    bias         a bias row, driven with 128
    negative     PN encoding: the second half of the wordlines
    is_signed    codes are int8
    zero_point   taken off each code (vector operations, PN)
    constant     the factor CONSTANT
    hold         keep the inputs as factor HELD of the next line, add nothing
    """

    first: 1
    last: 1
    inside: 1
    bias: 1
    negative: 1
    is_signed: 1
    zero_point: signed(9)
    constant: 16
    hold: 1


class MacLanes(Component):
    """`n_lanes` columns or channels side by side.

    valid, line      a line of work, with the bytes it works on:
    codes, weights   one byte a lane each; with `broadcast` all lanes take the first code
    encoding         norcim.spec.program.Encoding, for broadcast codes
    pad_code         the byte that positions outside the input read as
    zero_outside     positions outside the input add nothing instead (average pool)
    broadcast        one wordline drives all lanes (MVM)
    factor           Factor
    maximum          keep the largest code inside the input instead of a sum (max pool)
    done, sums       `LATENCY` cycles after a line with `last`: the sums, for one cycle
    """

    LATENCY = 2
    LOWEST = -32768

    def __init__(self, n_lanes: int) -> None:
        self.n_lanes = n_lanes
        super().__init__(
            {
                "valid": In(1),
                "line": In(Line),
                "codes": In(data.ArrayLayout(8, n_lanes)),
                "weights": In(data.ArrayLayout(8, n_lanes)),
                "encoding": In(4),
                "pad_code": In(8),
                "zero_outside": In(1),
                "broadcast": In(1),
                "factor": In(Factor),
                "maximum": In(1),
                "done": Out(1),
                "sums": Out(data.ArrayLayout(signed(ACC_BITS), n_lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        drive = self._wordline(m)
        valid = [self.valid, delay_valid(m, self.valid, 1), delay_valid(m, self.valid, 2)]
        lines = [self.line, delay(m, self.line, 1), delay(m, self.line, 2)]
        m.d.comb += self.done.eq(valid[2] & lines[2].last)
        for lane in range(self.n_lanes):
            self._lane(m, lane, drive, valid, lines)
        return m

    def _code(self, m: Module, lane: int, name: str) -> Signal:
        """The lane's code, sign-extended, or the pad code."""
        byte = Signal(8, name=f"byte_{name}")
        code = Signal(signed(9), name=f"code_{name}")
        m.d.comb += [
            byte.eq(Mux(self.line.inside, self.codes[lane], self.pad_code)),
            code.eq(Mux(self.line.is_signed, byte.as_signed(), byte)),
        ]
        return code

    def _wordline(self, m: Module) -> Signal:
        m.submodules.encoder = encoder = Encoder()
        first = self._code(m, 0, "wordline")
        m.d.comb += [
            encoder.code.eq(first),
            encoder.encoding.eq(self.encoding),
            encoder.zero_point.eq(self.line.zero_point),
            encoder.negative.eq(self.line.negative),
            encoder.bias.eq(self.line.bias),
        ]
        return encoder.drive

    def _lane(
        self, m: Module, lane: int, drive: Signal, valid: list[Signal], lines: list[Line]
    ) -> None:
        x = Signal(signed(DRIVE_BITS), name=f"x_{lane}")
        weight = Signal(signed(FACTOR_BITS), name=f"factor_{lane}")
        held = Signal(signed(DRIVE_BITS), name=f"held_{lane}")
        code = self._code(m, lane, str(lane))
        nothing = self.zero_outside & ~self.line.inside
        centred = Mux(nothing, 0, code - self.line.zero_point)
        m.d.sync += x.eq(Mux(self.broadcast, drive, centred))
        with m.Switch(self.factor):
            with m.Case(Factor.CONSTANT):
                m.d.sync += weight.eq(self.line.constant)
            with m.Default():
                m.d.sync += weight.eq(self.weights[lane].as_signed())
        with m.If(valid[1] & lines[1].hold):
            m.d.sync += held.eq(x)

        product = Signal(signed(DRIVE_BITS + FACTOR_BITS), name=f"product_{lane}")
        code_later = delay(m, x, 1)
        factor = Mux(self.factor == Factor.HELD, held, weight)
        m.d.sync += product.eq(x * factor)

        acc = Signal(signed(ACC_BITS), name=f"acc_{lane}")
        base = Signal(signed(ACC_BITS), name=f"base_{lane}")
        line = lines[2]
        m.d.comb += base.eq(Mux(line.first, Mux(self.maximum, self.LOWEST, 0), acc))
        largest = Mux(line.inside & (code_later > base), code_later, base)
        m.d.comb += self.sums[lane].eq(Mux(self.maximum, largest, base + product))
        with m.If(valid[2] & ~line.hold):
            m.d.sync += acc.eq(self.sums[lane])
