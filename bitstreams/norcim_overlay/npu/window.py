"""Address generator of one window: hardware im2col."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.mac_lanes import MOST_SLOTS

POSITION_BITS = 32


class _Cursor:
    """An input of the window: its tap, where that lies in y and x, and addresses.

    left   inputs of this tap from here on
    addr   of the input; tap, row: of the first input of its tap, of the first tap of its row
    """

    def __init__(self, name: str) -> None:
        self.ky = Signal(17, name=f"{name}_ky")
        self.kx = Signal(16, name=f"{name}_kx")
        self.left = Signal(16, name=f"{name}_left")
        self.y = Signal(signed(POSITION_BITS), name=f"{name}_y")
        self.x = Signal(signed(POSITION_BITS), name=f"{name}_x")
        self.addr = Signal(32, name=f"{name}_addr")
        self.tap = Signal(32, name=f"{name}_tap")
        self.row = Signal(32, name=f"{name}_row")


class Window(Component):
    """Walks (ky, kx, channel), channel fastest, one or more inputs of a tap a cycle.

    Geometry, steady during a descriptor or tile:
      in_h, in_w, kernel_h, kernel_w, dilation_h, dilation_w   as in the descriptor
      n_channels    channels of the window, 1 where lanes are channels
      channel_first first channel, added to every address
      tap_row_step, tap_step   bytes between taps in y and in x
    seek, k_first   find the input to start from; takes a cycle a tap; `seeking` until it is found,
                    `overrun` when it lies behind the window
    load, y, x, base  next position: where tap (0, 0) lies and its address; start
    restart         go back to the first input of the position
    advance, count  go on by so many inputs, all of this tap
    addr, inside    the input's address and whether it lies inside the input
    left            inputs of this tap from here on
    start_left      the same at the start of a position
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
    count: In(range(MOST_SLOTS + 1))
    addr: Out(32)
    inside: Out(1)
    left: Out(16)
    start_left: Out(16)
    is_last: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start, cursor = _Cursor("start"), _Cursor("cursor")
        self._seek(m, start)
        self._walk(m, start, cursor)
        m.d.comb += [
            self.addr.eq(cursor.addr),
            self.left.eq(cursor.left),
            self.start_left.eq(start.left),
            self.inside.eq(_within(cursor.y, self.in_h) & _within(cursor.x, self.in_w)),
            self.is_last.eq(
                (cursor.ky + 1 == self.kernel_h)
                & (cursor.kx + 1 == self.kernel_w)
                & (cursor.left == self.count)
            ),
        ]
        return m

    def _seek(self, m: Module, start: _Cursor) -> None:
        """The first input of a position, as distances from the position."""
        rest = Signal(32)
        m.d.comb += [
            self.seeking.eq(rest >= self.n_channels),
            self.overrun.eq(self.seeking & (start.ky >= self.kernel_h)),
            start.left.eq(self.n_channels - rest),
            start.addr.eq(start.tap + rest),
        ]
        with m.If(self.seek):
            m.d.sync += [s.eq(0) for s in (start.ky, start.kx, start.y, start.x)]
            m.d.sync += [s.eq(self.channel_first) for s in (start.row, start.tap)]
            m.d.sync += rest.eq(self.k_first)
        with m.Elif(self.seeking & ~self.overrun):
            m.d.sync += rest.eq(rest - self.n_channels)
            self._next_tap(m, start, 0)

    def _walk(self, m: Module, start: _Cursor, cursor: _Cursor) -> None:
        kept = {"y": Signal.like(self.y), "x": Signal.like(self.x), "base": Signal.like(self.base)}
        y, x, base = (Signal.like(signal) for signal in kept.values())
        for now, (name, last) in zip((y, x, base), kept.items(), strict=True):
            m.d.comb += now.eq(Mux(self.load, getattr(self, name), last))
            m.d.sync += last.eq(now)
        with m.If(self.load | self.restart):
            m.d.sync += [cursor.ky.eq(start.ky), cursor.kx.eq(start.kx)]
            m.d.sync += [cursor.left.eq(start.left), cursor.addr.eq(base + start.addr)]
            m.d.sync += [cursor.y.eq(y + start.y), cursor.x.eq(x + start.x)]
            m.d.sync += [cursor.row.eq(base + start.row), cursor.tap.eq(base + start.tap)]
        with m.Elif(self.advance):
            m.d.sync += cursor.left.eq(cursor.left - self.count)
            m.d.sync += cursor.addr.eq(cursor.addr + self.count)
            with m.If(cursor.left == self.count):
                m.d.sync += cursor.left.eq(self.n_channels)
                m.d.sync += cursor.addr.eq(self._next_tap(m, cursor, x))

    def _next_tap(self, m: Module, at: _Cursor, x_first: object) -> object:
        """Go to the first input of the next tap; returns its address."""
        in_row = at.kx + 1 < self.kernel_w
        tap = Mux(in_row, at.tap + self.tap_step, at.row + self.tap_row_step)
        m.d.sync += at.tap.eq(tap)
        with m.If(in_row):
            m.d.sync += [at.kx.eq(at.kx + 1), at.x.eq(at.x + self.dilation_w)]
        with m.Else():
            m.d.sync += [at.kx.eq(0), at.x.eq(x_first), at.row.eq(tap)]
            m.d.sync += [at.ky.eq(at.ky + 1), at.y.eq(at.y + self.dilation_h)]
        return tap


def _within(position: Signal, size: Signal) -> Signal:
    return (position >= 0) & (position < size)
