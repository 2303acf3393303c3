"""Counts the lines of one position: inputs, PN halves, repeats, bias rows."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.mac_lanes import MOST_SLOTS, SLOT_LEVELS


class Lines(Component):
    """What the next line of a position is; a line is one cycle of all lanes.

    All that a line is stands in registers: whoever decides to issue it has a whole cycle for that.
    What the first line of a pass, of the bias rows and of a position is follows from the tile alone
    and has to be steady for three cycles before `begin`.

    n_rows, repeats, n_bias_rows   of the tile
    slots         log2 of how many wordlines a line may take: of one tap, of one pass
    window_left, window_start, n_channels   inputs of this tap from where the window stands, from
                  where a position's first line stands, and of a tap
    split         PN encoding: positive wordlines, then negative ones
    is_mvm        lines are wordlines; else taps of a window, or two operands
    is_binary     lines are the two operands
    window_last   the window stands at its last tap
    weight_first, weight_step      address of the first line's weights, and bytes of a wordline
    begin         next position
    step          a line has been issued
    first, final  the position's first and last line
    tap_ends      the line has the last inputs of its tap
    bias, negative, operand        what drives the line
    count         how many wordlines the line takes
    line_bytes    and how many bytes they have: those that share a line fill the lanes
    is_copy       a further copy of wordlines, or a bias row: not counted as work
    weight_addr   of the line
    restart, advance               to the window, in a cycle with `step`
    """

    n_rows: In(16)
    repeats: In(8)
    n_bias_rows: In(8)
    split: In(1)
    is_mvm: In(1)
    is_binary: In(1)
    window_last: In(1)
    slots: In(range(SLOT_LEVELS + 1))
    window_left: In(16)
    window_start: In(16)
    n_channels: In(16)
    weight_first: In(32)
    weight_step: In(32)
    begin: In(1)
    step: In(1)
    first: Out(1)
    final: Out(1)
    tap_ends: Out(1)
    bias: Out(1)
    negative: Out(1)
    operand: Out(1)
    count: Out(range(MOST_SLOTS + 1))
    line_bytes: Out(17)
    is_copy: Out(1)
    weight_addr: Out(32)
    restart: Out(1)
    advance: Out(1)

    def __init__(self, n_lanes: int) -> None:
        self.n_lanes = n_lanes
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._most = Signal(4)  # wordlines that a line may take
        self._left, self._repeat = Signal(16), Signal(8)  # wordlines of this pass, passes before it
        self._pass_ends, self._last_pass = Signal(), Signal()
        self._ends = Signal()  # `final`, where it is known here
        knows_end = Signal()  # the window does not say it
        m.d.sync += [self._most.eq(1 << self.slots), knows_end.eq(self.is_mvm | self.is_binary)]
        m.d.comb += [
            self.is_copy.eq(self.negative | (self._repeat != 0) | self.bias),
            self.line_bytes.eq(
                Mux(self.slots == 0, self.weight_step, (self.count * self.n_lanes) >> self.slots)
            ),
            self.final.eq(Mux(knows_end, self._ends, self.window_last)),
            self.restart.eq(self.step & self.is_mvm & ~self.bias & self._pass_ends),
            self.advance.eq(self.step & ~self.restart & ~self.bias & ~self.is_binary),
        ]
        with m.If(self.begin):
            m.d.sync += [self.first.eq(1), self.operand.eq(0)]
            m.d.sync += self.weight_addr.eq(self.weight_first)
        with m.Elif(self.step):
            m.d.sync += [self.first.eq(0), self.operand.eq(1)]
            m.d.sync += self.weight_addr.eq(self.weight_addr + self.line_bytes)
        self._walk(m, self._passes(m), self._counts(m))
        return m

    def _passes(self, m: Module) -> tuple[Signal, Signal]:
        """Whether the position's first pass is its last, and the one after this."""
        first_is_last, next_is_last = Signal(), Signal()
        m.d.sync += first_is_last.eq((self.repeats == 0) & ~self.split)
        m.d.comb += next_is_last.eq(
            Mux(
                self.split & ~self.negative,
                self._repeat == self.repeats,
                ~self.split & (self._repeat + 1 == self.repeats),
            )
        )
        return first_is_last, next_is_last

    def _counts(self, m: Module) -> dict[str, tuple[Signal, ...]]:
        """Lines that may follow: wordlines left, those it takes, whether it ends the pass, the tap.

        The one after this is known before it is decided to issue this one.
        """
        most = self._most
        in_tap = Signal(4)
        m.d.comb += in_tap.eq(
            Mux(
                self.tap_ends, _capped(m, self.n_channels), self._without_count(m, self.window_left)
            )
        )
        rest = self._without_count(m, self._left)
        anything = Const(15, 4)
        following = {
            "first": (self.n_rows, _capped(m, self.n_rows), _capped(m, self.window_start)),
            "bias": (self.n_bias_rows, _capped(m, self.n_bias_rows), anything),
            "next": (self._left - self.count, rest, Mux(self.bias, anything, in_tap)),
        }
        lines: dict[str, tuple[Signal, ...]] = {}
        for name, (n_left, a, b) in following.items():
            count, ends, tap_ends = Signal(4), Signal(), Signal()
            limit = Mux(b < most, b, most)
            values = (Mux(a < limit, a, limit), ~(limit < a), ~(Mux(a < most, a, most) < b))
            domain = m.d.comb if name == "next" else m.d.sync
            domain += [s.eq(v) for s, v in zip((count, ends, tap_ends), values, strict=True)]
            lines[name] = (n_left, count, ends, tap_ends)
        return lines

    def _without_count(self, m: Module, value: Signal) -> Signal:
        """The value without this line's wordlines, not more than 15; from five bits: fast."""
        low, capped = Signal(5), Signal(4)
        m.d.comb += [
            low.eq(value[:5] - self.count),
            capped.eq(Mux(value[5:].any() | low[4], 15, low[:4])),
        ]
        return capped

    def _walk(
        self, m: Module, passes: tuple[Signal, Signal], lines: dict[str, tuple[Signal, ...]]
    ) -> None:
        first_is_last, next_is_last = passes
        without_bias = Signal()
        m.d.sync += without_bias.eq(self.n_bias_rows == 0)

        def go_to(name: str, last_pass: object, bias: object = 0) -> list[object]:
            n_left, count, ends, tap_ends = lines[name]
            final = Mux(self.is_mvm, ends & (bias | (last_pass & without_bias)), ~self.begin)
            return [
                self._left.eq(n_left), self.count.eq(count), self._pass_ends.eq(ends),
                self.tap_ends.eq(tap_ends | ~self.is_mvm), self._last_pass.eq(last_pass),
                self.bias.eq(bias), self._ends.eq(final),
            ]  # fmt: skip

        with m.If(self.begin):
            m.d.sync += go_to("first", first_is_last)
            m.d.sync += [self._repeat.eq(0), self.negative.eq(0)]
            m.d.sync += self._ends.eq(
                self.is_mvm & lines["first"][2] & first_is_last & without_bias
            )
        with m.Elif(self.step & self._pass_ends & self._last_pass & self.is_mvm):
            m.d.sync += go_to("bias", 1, bias=1)
        with m.Elif(self.step & self._pass_ends & self.is_mvm):
            m.d.sync += go_to("first", next_is_last)
            half_left = self.split & ~self.negative
            m.d.sync += [self.negative.eq(half_left), self._repeat.eq(self._repeat + ~half_left)]
        with m.Elif(self.step):
            m.d.sync += go_to("next", self._last_pass, self.bias)


def _capped(m: Module, value: Signal) -> Signal:
    """Four bits: the value, or 15 if it is larger."""
    capped = Signal(4)
    m.d.comb += capped.eq(Mux(value[4:].any(), 15, value[:4]))
    return capped
