"""The program that the NPU's sequencer executes: descriptors, tiles and columns.

Everything here is ABI: the compiler writes it, the emulator, the gateware and the firmware read
it. Numbers are bytes unless a unit is given. Activations are bytes in one flat activation memory,
laid out channels last: the byte of (y, x, c) is at
`addr + y * row_stride + x * pixel_stride + c * channel_stride`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from norcim.spec.record import bits

ABI_LEVEL = 1

DESCRIPTOR_WORDS = 32
TILE_WORDS = 8
COLUMN_WORDS = 2
PORT_WORDS = 12
TABLE_BYTES = 256
BIAS_DRIVE = 128
"""The code that drives every bias row."""


class Opcode(IntEnum):
    """What a descriptor does."""

    END = 0  #: stop; the last descriptor of every network's program
    MVM = 1  #: matrix-vector multiply on the arrays, im2col fetch, converter, digital stage
    DWCONV = 2  #: depthwise convolution on the vector path, requantised per channel
    ADD = 3  #: elementwise (a - zp_a) * m_a + (b - zp_b) * m_b, rounded once
    MUL = 4  #: elementwise (a - zp_a) * (b - zp_b) * m_a, rounded once
    MAXPOOL = 5  #: largest code of a window; positions outside the input never win
    AVGPOOL = 6  #: window sum of (code - zp), column record by number of missing positions
    TABLE = 7  #: elementwise 256-entry table lookup
    COPY = 8  #: strided copy; positions outside the input read pad_value
    FIRMWARE = 9  #: a step that the CPU runs between two program segments


class Encoding(IntEnum):
    """How an MVM drives the wordlines from activation codes."""

    DIRECT = 0  #: the code itself, uint8 or int8 by in_signed
    OFFSET = 1  #: int8 code + 128, as uint8
    PN = 2  #: code - in_zp split: n_rows wordlines of max(v, 0), then n_rows of max(-v, 0)


class Rule(IntEnum):
    """Converter rules of arithmetic.md."""

    LOSSLESS = 0  #: code = acc
    WTM2101 = 1  #: t = trunc(4 * acc / 2^gain); code = clamp((t + 2) >> 2, -128, 127)
    LINEAR = 2  #: code = clamp(floor(acc / 2^gain + 1/2), -2^(b-1), 2^(b-1) - 1)


class Stage(IntEnum):
    """The digital stage after the converter."""

    REQUANTISE = 0  #: per-column bias, multiplier and shift from the column table
    SHIFT = 1  #: one rounding right shift for all columns, no column table


class Function(IntEnum):
    """Firmware steps (opcode FIRMWARE); `norcim.arith` has the arithmetic.

    SOFTMAX  `argument` is the first of two tables, `out_zp` the output's zero point.
    ARGMAX   in_h x in_w x in_c (at most 256) to in_h x in_w x 1 unsigned codes.
    UPDATE   first input 2 x 1 x in_c: the gate that lets in, the gate that keeps; second input
             1 x 1 x in_c: what comes in; the old state, 2 x 1 x in_c, at `argument`; the new one
             is the output. A state is a row of high bytes and a row of low bytes, both int8, of
             256 * high + low; the high bytes alone are its rounding to 8 bits.
    """

    SOFTMAX = 0  #: over channels, see `norcim.arith.softmax`
    ARGMAX = 1  #: index of the first largest code over channels, see `norcim.arith.arg_max`
    UPDATE = 2  #: a 16-bit state through two gates, see `norcim.arith.update`


@dataclass(frozen=True)
class Descriptor:
    """One step of a program, 32 words. Fields that an opcode does not use are 0."""

    opcode: int = bits(0, 0, 8, "Opcode")
    stage: int = bits(0, 8, 4, "MVM: Stage")
    encoding: int = bits(0, 12, 4, "MVM: Encoding")
    rule: int = bits(0, 16, 4, "MVM: converter Rule")
    in_signed: int = bits(0, 20, 1, "input codes are int8 (else uint8)")
    in2_signed: int = bits(0, 21, 1, "second input's codes are int8 (else uint8)")
    out_signed: int = bits(0, 22, 1, "output codes are int8 (else uint8)")
    use_table: int = bits(0, 23, 1, "look the clamped result up in table `table`")
    converter_bits: int = bits(0, 24, 5, "MVM: bits of the LINEAR converter, 2..16")
    layer: int = bits(1, 0, 16, "index of the layer in the image's metadata")
    n_tiles: int = bits(1, 16, 16, "MVM: tile records from tile_base")
    in_addr: int = bits(2, 0, 32, "first input: address of (0, 0, 0)")
    in_row_stride: int = bits(3, 0, 32, "first input: bytes from y to y + 1")
    in_pixel_stride: int = bits(4, 0, 32, "first input: bytes from x to x + 1")
    in_channel_stride: int = bits(5, 0, 32, "first input: bytes from c to c + 1; 1 but for COPY")
    in_h: int = bits(6, 0, 16, "input height")
    in_w: int = bits(6, 16, 16, "input width")
    in_c: int = bits(7, 0, 16, "input channels")
    out_c: int = bits(7, 16, 16, "output channels")
    out_h: int = bits(8, 0, 16, "output height")
    out_w: int = bits(8, 16, 16, "output width")
    out_addr: int = bits(9, 0, 32, "output: address of (0, 0, 0)")
    out_row_stride: int = bits(10, 0, 32, "output: bytes from y to y + 1")
    out_pixel_stride: int = bits(11, 0, 32, "output: bytes from x to x + 1")
    out_channel_stride: int = bits(12, 0, 32, "output: bytes from c to c + 1; 1 but for COPY")
    kernel_h: int = bits(13, 0, 16, "window height")
    kernel_w: int = bits(13, 16, 16, "window width")
    stride_h: int = bits(14, 0, 16, "window step in y")
    stride_w: int = bits(14, 16, 16, "window step in x")
    dilation_h: int = bits(15, 0, 16, "distance of taps in y")
    dilation_w: int = bits(15, 16, 16, "distance of taps in x")
    pad_top: int = bits(16, 0, 16, "rows of padding above; below follows from out_h", signed=True)
    pad_left: int = bits(16, 16, 16, "columns of padding left; right from out_w", signed=True)
    pad_value: int = bits(17, 0, 8, "code byte that a position outside the input reads as")
    in_zp: int = bits(17, 16, 16, "first input's zero point", signed=True)
    in2_addr: int = bits(18, 0, 32, "second input: address of (0, 0, 0)")
    in2_row_stride: int = bits(19, 0, 32, "second input: bytes from y to y + 1")
    in2_pixel_stride: int = bits(20, 0, 32, "second input: bytes from x to x + 1")
    in2_zp: int = bits(21, 0, 16, "second input's zero point", signed=True)
    out_zp: int = bits(21, 16, 16, "output zero point, added after the shift", signed=True)
    clamp_lo: int = bits(22, 0, 16, "smallest output code", signed=True)
    clamp_hi: int = bits(22, 16, 16, "largest output code", signed=True)
    multiplier_a: int = bits(
        23, 0, 16, "ADD, MUL: multiplier (of the first input); UPDATE: of what is let in"
    )
    multiplier_b: int = bits(
        23, 16, 16, "ADD: multiplier of the second input; UPDATE: of the old state"
    )
    shift: int = bits(24, 0, 8, "ADD, MUL, UPDATE, stage SHIFT: right shift k")
    table: int = bits(24, 16, 16, "index of the 256-entry table")
    tile_base: int = bits(25, 0, 32, "MVM: index of the first tile record")
    column_base: int = bits(26, 0, 32, "index of the first column record")
    weight_base: int = bits(27, 0, 32, "DWCONV: first byte in the vector weights, [ky][kx][c]")
    function: int = bits(28, 0, 8, "FIRMWARE: Function")
    argument: int = bits(29, 0, 32, "FIRMWARE: SOFTMAX: first table; UPDATE: address of the state")


def second_extent(d: Descriptor) -> tuple[int, int, int] | None:
    """(h, w, c) of a descriptor's second input; None if it has none."""
    if d.opcode in (Opcode.ADD, Opcode.MUL):
        return d.in_h, d.in_w, d.in_c
    if d.opcode == Opcode.FIRMWARE and d.function == Function.UPDATE:
        return 1, 1, d.in_c
    return None


@dataclass(frozen=True)
class Tile:
    """A rectangle of cells and what it computes, 8 words.

    An MVM runs its tiles in order. The im2col vector of a tile runs over (ky, kx, channel of the
    tile's channel window), channel fastest. Tiles of one column group (same out_c_first) follow
    each other, the first with `first` set (clears the sums), the last with `last` set (adds the
    column bias, runs the digital stage, stores).
    """

    array: int = bits(0, 0, 8, "which array")
    gain: int = bits(0, 8, 8, "log2 of the converter's divisor")
    align: int = bits(0, 16, 8, "left shift of the codes before they are summed")
    first: int = bits(0, 24, 1, "first tile of its column group")
    last: int = bits(0, 25, 1, "last tile of its column group")
    row: int = bits(1, 0, 16, "wordline of the first cell")
    col: int = bits(1, 16, 16, "bitline of the first cell")
    n_rows: int = bits(2, 0, 16, "im2col inputs; see wordlines_per_input")
    n_cols: int = bits(2, 16, 16, "bitlines, one output channel each")
    k_first: int = bits(3, 0, 32, "index of the first input within the windowed im2col vector")
    in_c_first: int = bits(4, 0, 16, "first input channel of the window")
    in_c_count: int = bits(4, 16, 16, "input channels of the window")
    out_c_first: int = bits(5, 0, 16, "output channel of the first bitline")
    bias_row: int = bits(5, 16, 8, "first bias row, counted within the bias strip")
    n_bias_rows: int = bits(5, 24, 8, "bias rows, each driven with 128")
    cells: int = bits(6, 0, 32, "first byte in the weights: wordlines x n_cols, then bias rows")
    repeats: int = bits(7, 0, 8, "further copies of all wordlines: larger or finer weights")


def wordlines_per_input(encoding: int, tile: Tile) -> int:
    """Wordlines that one im2col input drives.

    A tile's wordlines are its n_rows encoded inputs (PN: n_rows positive, then n_rows negative),
    then the same again for every repeat.
    """
    return (2 if encoding == Encoding.PN else 1) * (1 + tile.repeats)


@dataclass(frozen=True)
class Column:
    """One output channel of the digital stage, 2 words; y = ((s + bias) * m + half >> k) + zp."""

    bias: int = bits(0, 0, 32, "digital bias, added to the sum of codes", signed=True)
    multiplier: int = bits(1, 0, 16, "m, 2^15..2^16 - 1")
    shift: int = bits(1, 16, 8, "k, 1..47")


@dataclass(frozen=True)
class Port:
    """An input or output of a network in activation memory, 12 words.

    An image may hold several networks: their programs follow each other, each with its END, and so
    do their ports, each network's inputs before its outputs.
    """

    is_output: int = bits(0, 0, 1, "0 input, 1 output")
    signed: int = bits(0, 1, 1, "codes are int8 (else uint8)")
    zero_point: int = bits(0, 16, 16, "real = scale * (code - zero_point)", signed=True)
    scale: int = bits(1, 0, 32, "IEEE 754 binary32 bits of the scale")
    addr: int = bits(2, 0, 32, "address of (0, 0, 0)")
    row_stride: int = bits(3, 0, 32, "bytes from y to y + 1")
    pixel_stride: int = bits(4, 0, 32, "bytes from x to x + 1")
    h: int = bits(5, 0, 16, "height")
    w: int = bits(5, 16, 16, "width")
    c: int = bits(6, 0, 16, "channels")
    first: int = bits(6, 16, 16, "number of the first descriptor of the port's network")

    @property
    def real_scale(self) -> float:
        """The scale that the record's bits stand for."""
        return float(struct.unpack("<f", struct.pack("<I", self.scale))[0])
