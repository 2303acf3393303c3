"""The products of strides that address generation adds up, from one multiplier."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

PRODUCTS = ("row", "pixel", "tap_row", "tap", "pad_row", "pad_pixel")


class Steps(Component):
    """Multiplies six pairs, one a cycle.

    start                    begin
    done                     strobe: all products are there
    row_stride, pixel_stride bytes, of the descriptor's first input
    factor_NAME              signed factors
    NAME                     low 32 bits of the product: `row`, `tap_row` and `pad_row` with
                             row_stride, the others with pixel_stride
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "row_stride": In(32),
                "pixel_stride": In(32),
                **{f"factor_{name}": In(signed(17)) for name in PRODUCTS},
                **{name: Out(32) for name in PRODUCTS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count, running = Signal(4), Signal()
        stride, factor, product = Signal(32), Signal(signed(17)), Signal(32)
        m.d.comb += self.done.eq(running & (count == len(PRODUCTS) + 1))
        m.d.sync += product.eq((stride * factor)[:32])
        with m.If(self.start):
            m.d.sync += [count.eq(0), running.eq(1)]
        with m.Elif(running):
            m.d.sync += [count.eq(count + 1), running.eq(~self.done)]
        with m.Switch(count):
            for index, name in enumerate(PRODUCTS):
                with m.Case(index):
                    chosen = self.row_stride if name.endswith("row") else self.pixel_stride
                    m.d.sync += [stride.eq(chosen), factor.eq(getattr(self, f"factor_{name}"))]
        for index, name in enumerate(PRODUCTS):
            with m.If(running & (count == index + 2)):
                m.d.sync += getattr(self, name).eq(product)
        return m
