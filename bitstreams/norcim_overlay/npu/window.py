"""Address generator of one window: hardware im2col."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

POSITION_BITS = 32


class _Cursor:
    """A place in the window: tap, its distance in y and x, and its offset in bytes."""

    def __init__(self, name: str) -> None:
        self.ky = Signal(17, name=f"{name}_ky")
        self.kx = Signal(16, name=f"{name}_kx")
        self.channel = Signal(16, name=f"{name}_channel")
        self.dy = Signal(POSITION_BITS, name=f"{name}_dy")
        self.dx = Signal(POSITION_BITS, name=f"{name}_dx")
        self.row = Signal(32, name=f"{name}_row")
        self.tap = Signal(32, name=f"{name}_tap")

    def clear(self, offset: Signal) -> list[object]:
        zeros = [s.eq(0) for s in (self.ky, self.kx, self.dy, self.dx)]
        return [*zeros, self.row.eq(offset), self.tap.eq(offset)]

    def copy(self, other: "_Cursor") -> list[object]:
        return [getattr(self, name).eq(value) for name, value in vars(other).items()]


class Window(Component):
    """Walks (ky, kx, channel), channel fastest, one input a cycle.

    Geometry, steady during a descriptor or tile:
      in_h, in_w, kernel_h, kernel_w, dilation_h, dilation_w   as in the descriptor
      n_channels    channels of the window, 1 where lanes are channels
      channel_first first channel, added to every address
      tap_row_step, tap_step   bytes between taps in y and in x
    seek, k_first   find the input to start from; takes a cycle a tap; `seeking` until it is found,
                    `overrun` when it lies behind the window
    load, y, x, base  next position: where tap (0, 0) lies and its address; start
    restart         go back to the first input of the position
    advance         go to the next input
    addr, inside    the input's address and whether it lies inside the input
    is_last         the last input of the window
    """

    in_h: In(16)
    in_w: In(16)
    kernel_h: In(16)
    kernel_w: In(16)
    dilation_h: In(16)
    dilation_w: In(16)
    n_channels: In(16)
    channel_first: In(16)
    tap_row_step: In(32)
    tap_step: In(32)
    seek: In(1)
    k_first: In(32)
    seeking: Out(1)
    overrun: Out(1)
    load: In(1)
    y: In(signed(POSITION_BITS))
    x: In(signed(POSITION_BITS))
    base: In(32)
    restart: In(1)
    advance: In(1)
    addr: Out(32)
    inside: Out(1)
    is_last: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = _Cursor("start")
        self._seek(m, start)
        cursor = _Cursor("cursor")
        y, x, base = Signal.like(self.y), Signal.like(self.x), Signal(32)
        self._walk(m, start, cursor, y, x, base)
        m.d.comb += [
            self.addr.eq(base + cursor.tap + cursor.channel),
            self.inside.eq(_within(y + cursor.dy, self.in_h) & _within(x + cursor.dx, self.in_w)),
            self.is_last.eq(
                (cursor.ky + 1 == self.kernel_h)
                & (cursor.kx + 1 == self.kernel_w)
                & (cursor.channel + 1 == self.n_channels)
            ),
        ]
        return m

    def _seek(self, m: Module, start: _Cursor) -> None:
        rest = Signal(32)
        m.d.comb += [
            self.seeking.eq(rest >= self.n_channels),
            self.overrun.eq(self.seeking & (start.ky >= self.kernel_h)),
            start.channel.eq(rest),
        ]
        with m.If(self.seek):
            m.d.sync += [rest.eq(self.k_first), *start.clear(self.channel_first)]
        with m.Elif(self.seeking & ~self.overrun):
            m.d.sync += rest.eq(rest - self.n_channels)
            self._next_tap(m, start)

    def _walk(
        self, m: Module, start: _Cursor, cursor: _Cursor, y: Signal, x: Signal, base: Signal
    ) -> None:
        with m.If(self.load):
            m.d.sync += [y.eq(self.y), x.eq(self.x), base.eq(self.base)]
        with m.If(self.load | self.restart):
            m.d.sync += cursor.copy(start)
        with m.Elif(self.advance):
            with m.If(cursor.channel + 1 < self.n_channels):
                m.d.sync += cursor.channel.eq(cursor.channel + 1)
            with m.Else():
                m.d.sync += cursor.channel.eq(0)
                self._next_tap(m, cursor)

    def _next_tap(self, m: Module, at: _Cursor) -> None:
        with m.If(at.kx + 1 < self.kernel_w):
            m.d.sync += [
                at.kx.eq(at.kx + 1),
                at.dx.eq(at.dx + self.dilation_w),
                at.tap.eq(at.tap + self.tap_step),
            ]
        with m.Else():
            row = at.row + self.tap_row_step
            m.d.sync += [
                at.kx.eq(0),
                at.dx.eq(0),
                at.ky.eq(at.ky + 1),
                at.dy.eq(at.dy + self.dilation_h),
                at.row.eq(row),
                at.tap.eq(row),
            ]


def _within(position: Signal, size: Signal) -> Signal:
    return (position >= 0) & (position < size)
