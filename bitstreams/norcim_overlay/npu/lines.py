"""Counts the lines of one position: inputs, PN halves, repeats, bias rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.mac_lanes import MOST_SLOTS, SLOT_LEVELS


class Lines(Component):
    """What the next line of a position is; a line is one cycle of all lanes.

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
        left, repeat = Signal(16), Signal(8)  # wordlines of this pass, passes before it
        pass_ends, half_left = Signal(), Signal()
        m.d.comb += [
            half_left.eq(self.split & ~self.negative),
            self.is_copy.eq(self.negative | (repeat != 0) | self.bias),
            self.line_bytes.eq(
                Mux(self.slots == 0, self.weight_step, (self.count * self.n_lanes) >> self.slots)
            ),
        ]
        self._final(m, pass_ends, ~half_left & (repeat == self.repeats))
        m.d.comb += [
            self.restart.eq(self.step & self.is_mvm & ~self.bias & pass_ends),
            self.advance.eq(self.step & ~self.restart & ~self.bias & ~self.is_binary),
        ]
        with m.If(self.begin):
            m.d.sync += [repeat.eq(0), self.first.eq(1)]
            m.d.sync += [self.bias.eq(0), self.negative.eq(0), self.operand.eq(0)]
            m.d.sync += self.weight_addr.eq(self.weight_first)
        with m.Elif(self.step):
            m.d.sync += [self.first.eq(0), self.operand.eq(1)]
            m.d.sync += self.weight_addr.eq(self.weight_addr + self.line_bytes)
            self._next_pass(m, pass_ends, half_left, repeat)
        self._next_line(m, left, pass_ends, ~half_left & (repeat == self.repeats))
        return m

    def _next_line(self, m: Module, left: Signal, pass_ends: Signal, last_pass: Signal) -> None:
        """How many wordlines the next line takes, known before it is decided to issue this one.

        The first line of a pass and of the bias rows stand in registers from the tile's start.
        """
        rest, in_tap = Signal(16), Signal(16)
        tap_ends = self.window_left == self.count
        m.d.comb += [
            rest.eq(left - self.count),
            in_tap.eq(Mux(tap_ends, self.n_channels, self.window_left - self.count)),
        ]
        most = 1 << self.slots
        lines = {
            "first": (self.n_rows, self._smallest(m, self.n_rows, self.window_start, most)),
            "bias": (self.n_bias_rows, self._smallest(m, self.n_bias_rows, most, most)),
            "next": (rest, self._smallest(m, rest, Mux(self.bias, most, in_tap), most)),
        }
        fresh = {}
        for name, (n_left, count) in lines.items():
            last = n_left == count
            fresh[name] = (n_left, count, last)
            if name != "next":
                kept = Signal(4, name=f"count_{name}"), Signal(name=f"ends_{name}")
                m.d.sync += [kept[0].eq(count), kept[1].eq(last)]
                fresh[name] = (n_left, *kept)
        targets = (left, self.count, pass_ends)

        def go_to(name: str) -> list[object]:
            return [t.eq(value) for t, value in zip(targets, fresh[name], strict=True)]

        with m.If(self.begin):
            m.d.sync += go_to("first")
        with m.Elif(self.step & pass_ends & last_pass):
            m.d.sync += go_to("bias")
        with m.Elif(self.step & pass_ends):
            m.d.sync += go_to("first")
        with m.Elif(self.step):
            m.d.sync += go_to("next")

    def _smallest(self, m: Module, *values: object) -> Signal:
        """The smallest of them; one at least is MOST_SLOTS or less."""
        smallest = _capped(m, values[0])
        for value in values[1:]:
            other = _capped(m, value)
            smallest = Mux(other < smallest, other, smallest)
        return smallest

    def _final(self, m: Module, pass_ends: Signal, last_pass: Signal) -> None:
        with m.If(self.bias):
            m.d.comb += self.final.eq(pass_ends)
        with m.Elif(self.is_mvm):
            m.d.comb += self.final.eq(pass_ends & last_pass & (self.n_bias_rows == 0))
        with m.Elif(self.is_binary):
            m.d.comb += self.final.eq(self.operand)
        with m.Else():
            m.d.comb += self.final.eq(self.window_last)

    def _next_pass(self, m: Module, pass_ends: Signal, half_left: Signal, repeat: Signal) -> None:
        with m.If(self.is_mvm & pass_ends & ~self.bias):
            with m.If(half_left):
                m.d.sync += self.negative.eq(1)
            with m.Elif(repeat != self.repeats):
                m.d.sync += [repeat.eq(repeat + 1), self.negative.eq(0)]
            with m.Else():
                m.d.sync += self.bias.eq(1)


def _capped(m: Module, value: object) -> Signal:
    """Four bits: the value, or 15 if it is larger."""
    whole, capped = Signal(16), Signal(4)
    m.d.comb += [whole.eq(value), capped.eq(Mux(whole[4:].any(), 15, whole[:4]))]
    return capped
