"""Counts the lines of one position: inputs, PN halves, repeats, bias rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out


class Lines(Component):
    """What the next line of a position is; a line is one cycle of all lanes.

    n_rows, repeats, n_bias_rows   of the tile
    split         PN encoding: positive wordlines, then negative ones
    is_mvm        lines are wordlines; else taps of a window, or two operands
    is_binary     lines are the two operands
    window_last   the window stands at its last tap
    weight_first, weight_step      address of the first line's weights, and bytes to the next
    begin         next position
    step          a line has been issued
    first, final  the position's first and last line
    bias, negative, operand        what drives the line
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
    weight_first: In(32)
    weight_step: In(32)
    begin: In(1)
    step: In(1)
    first: Out(1)
    final: Out(1)
    bias: Out(1)
    negative: Out(1)
    operand: Out(1)
    is_copy: Out(1)
    weight_addr: Out(32)
    restart: Out(1)
    advance: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, repeat, bias_row = Signal(16), Signal(8), Signal(8)
        pass_ends, half_left = Signal(), Signal()
        m.d.comb += [
            pass_ends.eq(row + 1 == self.n_rows),
            half_left.eq(self.split & ~self.negative),
            self.is_copy.eq(self.negative | (repeat != 0) | self.bias),
        ]
        self._final(m, pass_ends & ~half_left & (repeat == self.repeats), bias_row)
        m.d.comb += [
            self.restart.eq(self.step & self.is_mvm & ~self.bias & pass_ends),
            self.advance.eq(self.step & ~self.restart & ~self.bias & ~self.is_binary),
        ]
        with m.If(self.begin):
            m.d.sync += [row.eq(0), repeat.eq(0), bias_row.eq(0), self.first.eq(1)]
            m.d.sync += [self.bias.eq(0), self.negative.eq(0), self.operand.eq(0)]
            m.d.sync += self.weight_addr.eq(self.weight_first)
        with m.Elif(self.step):
            m.d.sync += [self.first.eq(0), self.operand.eq(1)]
            m.d.sync += self.weight_addr.eq(self.weight_addr + self.weight_step)
            m.d.sync += row.eq(Mux(pass_ends, 0, row + 1))
            self._next_pass(m, pass_ends, half_left, repeat, bias_row)
        return m

    def _final(self, m: Module, inputs_end: Signal, bias_row: Signal) -> None:
        with m.If(self.bias):
            m.d.comb += self.final.eq(bias_row + 1 == self.n_bias_rows)
        with m.Elif(self.is_mvm):
            m.d.comb += self.final.eq(inputs_end & (self.n_bias_rows == 0))
        with m.Elif(self.is_binary):
            m.d.comb += self.final.eq(self.operand)
        with m.Else():
            m.d.comb += self.final.eq(self.window_last)

    def _next_pass(
        self, m: Module, pass_ends: Signal, half_left: Signal, repeat: Signal, bias_row: Signal
    ) -> None:
        with m.If(self.bias):
            m.d.sync += bias_row.eq(bias_row + 1)
        with m.Elif(self.is_mvm & pass_ends):
            with m.If(half_left):
                m.d.sync += self.negative.eq(1)
            with m.Elif(repeat != self.repeats):
                m.d.sync += [repeat.eq(repeat + 1), self.negative.eq(0)]
            with m.Else():
                m.d.sync += self.bias.eq(1)
