"""Walks the output positions of a descriptor."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.window import POSITION_BITS


class Positions(Component):
    """(y, x), x fastest, with the addresses that go with each position.

    n_h, n_w             output height and width
    y_first, y_step, ..  where the window of the first position lies, and its steps
    NAME_first, NAME_row, NAME_step   address of the first position, bytes to the next in y and x,
                         for in (first input), in2 (second input) and out
    start                go to the first position
    advance              go to the next one
    y, x, in_addr, in2_addr, out_addr   the position
    done                 all positions have been passed
    """

    ADDRESSES = ("in", "in2", "out")

    def __init__(self) -> None:
        members = {
            "n_h": In(16), "n_w": In(16), "start": In(1), "advance": In(1), "done": Out(1),
        }  # fmt: skip
        for axis in "yx":
            members[f"{axis}_first"] = In(signed(POSITION_BITS))
            members[f"{axis}_step"] = In(16)
            members[axis] = Out(signed(POSITION_BITS))
        for name in self.ADDRESSES:
            for part in ("first", "row", "step"):
                members[f"{name}_{part}"] = In(32)
            members[f"{name}_addr"] = Out(32)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, column = Signal(16), Signal(16)
        end_of_row = Signal()  # the position is its row's last
        with m.If(self.start | (self.advance & end_of_row)):
            m.d.sync += end_of_row.eq(self.n_w == 1)
        with m.Elif(self.advance):
            m.d.sync += end_of_row.eq(column + 2 == self.n_w)
        with m.If(self.start):
            m.d.sync += [row.eq(0), column.eq(0), self.done.eq(0)]
            m.d.sync += [self.y.eq(self.y_first), self.x.eq(self.x_first)]
        with m.Elif(self.advance & end_of_row):
            m.d.sync += [row.eq(row + 1), column.eq(0), self.done.eq(row + 1 == self.n_h)]
            m.d.sync += [self.y.eq(self.y + self.y_step), self.x.eq(self.x_first)]
        with m.Elif(self.advance):
            m.d.sync += [column.eq(column + 1), self.x.eq(self.x + self.x_step)]
        for name in self.ADDRESSES:
            self._address(m, name, end_of_row)
        return m

    def _address(self, m: Module, name: str, end_of_row: Signal) -> None:
        first, row_step, step = (getattr(self, f"{name}_{p}") for p in ("first", "row", "step"))
        row, addr = Signal(32, name=f"{name}_row_addr"), getattr(self, f"{name}_addr")
        with m.If(self.start):
            m.d.sync += [row.eq(first), addr.eq(first)]
        with m.Elif(self.advance & end_of_row):
            m.d.sync += [row.eq(row + row_step), addr.eq(row + row_step)]
        with m.Elif(self.advance):
            m.d.sync += addr.eq(addr + step)
