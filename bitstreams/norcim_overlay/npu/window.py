"""Address generator of one window: hardware im2col."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim_overlay.npu.mac_lanes import MOST_SLOTS

POSITION_BITS = 32


class _Cursor:
    """An input of the window: its tap, where that lies in y and x, and addresses.

    left   inputs of this tap from here on
    addr   of the input; tap, row: of the first input of its tap, of the first tap of its row
    in_last_row, in_last_column   the tap is in the kernel's last row or column
    """

    def __init__(self, name: str) -> None:
        self.ky = Signal(17, name=f"{name}_ky")
        self.kx = Signal(16, name=f"{name}_kx")
        self.in_last_row = Signal(name=f"{name}_in_last_row")
        self.in_last_column = Signal(name=f"{name}_in_last_column")
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
    again           with `load`: start once more at the position loaded last, from the input found
    restart         go back to the first input of the position
    advance, count  go on by so many inputs, all of this tap
    tap_ends        they are its last ones
    addr, inside    the input's address and whether it lies inside the input
    left            inputs of this tap from here on
    start_left      the same at the start of a position; a cycle after the end of `seeking`, when
                    the position may be loaded
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
    again: In(1)
    restart: In(1)
    advance: In(1)
    tap_ends: In(1)
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
            self.is_last.eq(cursor.in_last_row & cursor.in_last_column & self.tap_ends),
        ]
        return m

    def _seek(self, m: Module, start: _Cursor) -> None:
        """The first input of a position, as distances from the position."""
        rest = Signal(32)
        m.d.comb += [
            self.seeking.eq(rest >= self.n_channels),
            self.overrun.eq(self.seeking & (start.ky >= self.kernel_h)),
        ]
        m.d.sync += [
            start.left.eq(self.n_channels - rest),
            start.addr.eq(start.tap + rest),
        ]
        with m.If(self.seek):
            m.d.sync += [s.eq(0) for s in (start.ky, start.kx, start.y, start.x)]
            m.d.sync += [s.eq(self.channel_first) for s in (start.row, start.tap)]
            m.d.sync += start.in_last_row.eq(self.kernel_h == 1)
            m.d.sync += start.in_last_column.eq(self.kernel_w == 1)
            m.d.sync += rest.eq(self.k_first)
        with m.Elif(self.seeking & ~self.overrun):
            m.d.sync += rest.eq(rest - self.n_channels)
            self._next_tap(m, start, 0)

    def _walk(self, m: Module, start: _Cursor, cursor: _Cursor) -> None:
        """A position's first input stands in registers for `restart`, as `load` worked it out."""
        kept = {"y": Signal.like(self.y), "x": Signal.like(self.x), "base": Signal.like(self.base)}
        names = ("y", "x", "addr", "tap", "row")
        first = {name: Signal.like(getattr(cursor, name), name=f"first_{name}") for name in names}
        y, x, base = (Mux(self.again, last, getattr(self, name)) for name, last in kept.items())
        with m.If(self.load & ~self.again):
            m.d.sync += [last.eq(getattr(self, name)) for name, last in kept.items()]
        sums = {"y": y + start.y, "x": x + start.x}
        sums |= {name: base + getattr(start, name) for name in ("addr", "tap", "row")}
        for name in ("ky", "kx", "in_last_row", "in_last_column", "left"):
            with m.If(self.load | self.restart):
                m.d.sync += getattr(cursor, name).eq(getattr(start, name))
        for name, value in sums.items():
            with m.If(self.load):
                m.d.sync += [at.eq(value) for at in (getattr(cursor, name), first[name])]
            with m.Elif(self.restart):
                m.d.sync += getattr(cursor, name).eq(first[name])
        with m.If(self.advance & ~self.load & ~self.restart):
            m.d.sync += cursor.left.eq(cursor.left - self.count)
            m.d.sync += cursor.addr.eq(cursor.addr + self.count)
            with m.If(self.tap_ends):
                m.d.sync += cursor.left.eq(self.n_channels)
                m.d.sync += cursor.addr.eq(self._next_tap(m, cursor, kept["x"]))

    def _next_tap(self, m: Module, at: _Cursor, x_first: object) -> object:
        """Go to the first input of the next tap; returns its address."""
        tap = Mux(at.in_last_column, at.row + self.tap_row_step, at.tap + self.tap_step)
        m.d.sync += at.tap.eq(tap)
        with m.If(at.in_last_column):
            m.d.sync += [at.kx.eq(0), at.x.eq(x_first), at.row.eq(tap)]
            m.d.sync += [at.ky.eq(at.ky + 1), at.y.eq(at.y + self.dilation_h)]
            m.d.sync += at.in_last_row.eq(at.ky + 2 == self.kernel_h)
            m.d.sync += at.in_last_column.eq(self.kernel_w == 1)
        with m.Else():
            m.d.sync += [at.kx.eq(at.kx + 1), at.x.eq(at.x + self.dilation_w)]
            m.d.sync += at.in_last_column.eq(at.kx + 2 == self.kernel_w)
        return tap


def _within(position: Signal, size: Signal) -> Signal:
    return (position >= 0) & (position < size)
