"""The lanes: one multiply-accumulate each a cycle, int8 weights, 32-bit sums."""

from enum import IntEnum

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.encoder import DRIVE_BITS, Encoder
from norcim_overlay.npu.pipeline import delay, delay_valid

ACC_BITS = 32
FACTOR_BITS = 17
MOST_SLOTS = 8
SLOT_LEVELS = 3  # log2 of it


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
    slots        log2 of the wordlines that drive the lanes side by side (MVM): with 2^s slots
                 of n_lanes >> s lanes, lanes of slot i take code i
    count        how many slots are driven; the others add nothing
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
    slots: range(SLOT_LEVELS + 1)
    count: range(MOST_SLOTS + 1)


class MacLanes(Component):
    """`n_lanes` columns side by side, or as many channels as there are vector lanes.

    valid, line      a line of work, with the bytes it works on:
    codes            a byte for each vector lane; with `broadcast` lanes take that of their slot
    weights          a byte for each lane
    encoding         norcim.spec.program.Encoding, for broadcast codes
    pad_code         the byte that positions outside the input read as
    zero_outside     positions outside the input add nothing instead (average pool)
    broadcast        a wordline drives all lanes of a slot (MVM)
    factor           Factor
    maximum          keep the largest code inside the input instead of a sum (max pool)
    done, sums       `LATENCY` cycles after a line with `last`: the sums, for one cycle
    Lanes behind the vector lanes do nothing but MVM.
    """

    LATENCY = 5
    LOWEST = -32768

    def __init__(self, n_lanes: int, n_vector_lanes: int) -> None:
        self.n_lanes, self.n_vector_lanes = n_lanes, n_vector_lanes
        super().__init__(
            {
                "valid": In(1),
                "line": In(Line),
                "codes": In(data.ArrayLayout(8, n_vector_lanes)),
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
        """Cycle by cycle: codes; wordlines; inputs and factors; products; sums; their hand-over."""
        m = Module()
        valid, lines = [self.valid], [self.line]
        for _ in range(4):
            valid.append(delay_valid(m, valid[-1], 1))
            lines.append(delay(m, lines[-1], 1))
        codes = [self._code(m, lane) for lane in range(self.n_vector_lanes)]
        drives = self._drives(m, codes, lines[1], lines[2])
        weights = delay(m, self.weights, 2)
        m.d.sync += self.done.eq(valid[4] & lines[4].last)
        for lane in range(self.n_lanes):
            drive = drives[lane * len(drives) // self.n_lanes]
            centred = self._centred(m, codes[lane], lines[1]) if lane < len(codes) else None
            product, code = self._product(
                m, lane, (drive, centred, weights[lane]), lines[2], valid[3] & lines[3].hold
            )
            self._sum(m, lane, product, code, valid[4], lines[4])
        return m

    def _code(self, m: Module, lane: int) -> Signal:
        """The lane's code, sign-extended, or the pad code; a cycle later."""
        byte = Signal(8, name=f"byte_{lane}")
        code = Signal(signed(9), name=f"code_{lane}", reset_less=True)
        m.d.comb += byte.eq(Mux(self.line.inside, self.codes[lane], self.pad_code))
        m.d.sync += code.eq(Mux(self.line.is_signed, byte.as_signed(), byte))
        return code

    def _centred(self, m: Module, code: Signal, line: Line) -> Signal:
        """What a vector operation takes of the code; a cycle later."""
        nothing = self.zero_outside & ~line.inside
        return delay(m, Mux(nothing, 0, code - line.zero_point), 1)

    def _drives(self, m: Module, codes: list[Signal], line: Line, later: Line) -> list[Signal]:
        """What drives the lanes: for each of the narrowest slots, the wordline of its slot.

        line, later   of the codes; a cycle later, when the wordlines are there
        """
        wordlines = [
            self._wordline(m, slot, codes[slot], line)
            for slot in range(most_slots(self.n_vector_lanes))
        ]
        n_groups = min(MOST_SLOTS, self.n_lanes)
        drives = []
        for group in range(n_groups):
            drive = Signal(signed(DRIVE_BITS), name=f"drive_{group}")
            with m.Switch(later.slots):
                for level in range(len(wordlines).bit_length()):
                    with m.Case(level):
                        m.d.comb += drive.eq(wordlines[(group << level) // n_groups])
            drives.append(drive)
        return drives

    def _wordline(self, m: Module, slot: int, code: Signal, line: Line) -> Signal:
        """What drives a slot; a cycle later."""
        encoder = Encoder()
        m.submodules[f"encoder_{slot}"] = encoder
        m.d.comb += [
            encoder.code.eq(code),
            encoder.encoding.eq(self.encoding),
            encoder.zero_point.eq(line.zero_point),
            encoder.negative.eq(line.negative),
            encoder.bias.eq(line.bias),
        ]
        driven = Signal(signed(DRIVE_BITS), name=f"driven_{slot}", reset_less=True)
        m.d.sync += driven.eq(Mux(slot < line.count, encoder.drive, 0))
        return driven

    def _product(
        self, m: Module, lane: int, given: tuple[Signal, Signal | None, Signal], line: Line,
        hold: Signal,
    ) -> tuple[Signal, Signal]:  # fmt: skip
        """Input times factor, and the input, both two cycles later.

        given   the wordline, a vector lane's code, the weight
        """
        drive, centred, stored = given
        x = Signal(signed(DRIVE_BITS), name=f"x_{lane}")
        weight = Signal(signed(FACTOR_BITS), name=f"factor_{lane}")
        product = Signal(signed(DRIVE_BITS + FACTOR_BITS), name=f"product_{lane}")
        code_later = delay(m, x, 1)
        m.d.sync += weight.eq(stored.as_signed())
        if centred is None:
            m.d.sync += [x.eq(drive), product.eq(x * weight[:8].as_signed())]
            return product, code_later
        m.d.sync += x.eq(Mux(self.broadcast, drive, centred))
        held = Signal(signed(DRIVE_BITS), name=f"held_{lane}")
        with m.If(hold):
            m.d.sync += held.eq(x)
        with m.If(self.factor == Factor.CONSTANT):
            m.d.sync += weight.eq(line.constant)
        with m.Elif(self.factor == Factor.HELD):
            m.d.sync += weight.eq(Mux(hold, x, held))
        m.d.sync += product.eq(x * weight)
        return product, code_later

    def _sum(
        self, m: Module, lane: int, product: Signal, code: Signal, valid: Signal, line: Line
    ) -> None:
        acc = Signal(signed(ACC_BITS), name=f"acc_{lane}")
        base = Signal(signed(ACC_BITS), name=f"base_{lane}")
        total = base + product
        if lane < self.n_vector_lanes:
            m.d.comb += base.eq(Mux(line.first, Mux(self.maximum, self.LOWEST, 0), acc))
            largest = Mux(line.inside & (code > base), code, base)
            total = Mux(self.maximum, largest, total)
        else:
            m.d.comb += base.eq(Mux(line.first, 0, acc))
        with m.If(valid & ~line.hold):
            m.d.sync += acc.eq(total)
        m.d.comb += self.sums[lane].eq(acc)


def most_slots(n_vector_lanes: int) -> int:
    """Wordlines that an MVM can take in a cycle: a code of each is read."""
    return min(MOST_SLOTS, n_vector_lanes)
