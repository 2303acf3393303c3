"""Random legal programs: every opcode, converter rule, encoding, stride, pad and partial group.

`random_program(seed)` gives an image's content and input bytes. Emulator, gateware and firmware
replay the same programs; the golden executor (`norcim.emulator.reference`) says what is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from norcim.arith import softmax_table
from norcim.emulator.regions import Bytes
from norcim.image.model import ImageContent
from norcim.spec.program import (
    Column,
    Descriptor,
    Encoding,
    Function,
    Opcode,
    Port,
    Rule,
    Stage,
    Tile,
)

BATCH = 3
ONE = 0x3F800000  # 1.0 as binary32


@dataclass
class _Tensor:
    """Bytes (h, w, c) in activation memory, and whether their codes are int8."""

    addr: int
    h: int
    w: int
    c: int
    signed: int


@dataclass
class _Builder:
    rng: np.random.Generator
    widths: tuple[int, ...] = ()
    end: int = 0
    program: list[Descriptor] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)
    vector_weights: bytearray = field(default_factory=bytearray)
    tables: bytearray = field(default_factory=bytearray)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def below(self, limit: int) -> int:
        return int(self.rng.integers(limit))

    def tensor(self, h: int, w: int, c: int, signed: int) -> _Tensor:
        found = _Tensor(self.end, h, w, c, signed)
        self.end += h * w * c + self.below(3)
        return found


def random_program(
    seed: int, widths: tuple[int, ...] = (), *, firmware: bool = False
) -> tuple[ImageContent, list[Bytes]]:
    """A program of 2 to 6 steps and a batch of input bytes.

    widths    columns of MVM tiles to choose from; 1 to 9 if there are none
    firmware  half of the steps are firmware's own
    """
    b = _Builder(np.random.default_rng(seed), widths)
    first = b.tensor(1 + b.below(9), 1 + b.below(7), 1 + b.below(6), b.below(2))
    x = first
    for _ in range(2 + b.below(5)):
        step = b.pick(
            _mvm, _mvm, _mvm, _dwconv, _maxpool, _avgpool, _table, _copy, _binary, _softmax
        )
        if firmware and b.below(2):
            step = b.pick(_arg_max, _update, _update)
        x = step(b, x)
    b.program.append(Descriptor(opcode=Opcode.END))
    ports = (_port(first, 0), _port(x, 1))
    content = ImageContent(
        "random", "00" * 32, b.end, tuple(b.program), tuple(b.tiles), tuple(b.columns), ports,
        bytes(b.weights), bytes(b.vector_weights), bytes(b.tables), b"", b"", {},
    )  # fmt: skip
    codes = b.rng.integers(0, 256, (BATCH, first.h, first.w, first.c)).astype(np.uint8)
    return content, [codes]


def _port(t: _Tensor, is_output: int) -> Port:
    return Port(is_output, t.signed, 0, ONE, t.addr, t.w * t.c, t.c, t.h, t.w, t.c)


def _base(b: _Builder, opcode: Opcode, x: _Tensor, y: _Tensor) -> Descriptor:
    """Shared fields, with a clamp that is wide open, one-sided or narrow."""
    lo, hi = (-128, 127) if y.signed else (0, 255)
    clamp = b.pick((lo, hi), (lo + b.below(100), hi), (lo + b.below(100), hi - b.below(100)))
    return Descriptor(
        opcode=opcode, in_signed=x.signed, out_signed=y.signed, in_addr=x.addr,
        in_row_stride=x.w * x.c, in_pixel_stride=x.c, in_channel_stride=1, in_h=x.h, in_w=x.w,
        in_c=x.c, out_c=y.c, out_h=y.h, out_w=y.w, out_addr=y.addr, out_row_stride=y.w * y.c,
        out_pixel_stride=y.c, out_channel_stride=1, kernel_h=1, kernel_w=1, stride_h=1, stride_w=1,
        dilation_h=1, dilation_w=1, clamp_lo=clamp[0], clamp_hi=clamp[1],
    )  # fmt: skip


def _windows(b: _Builder, x: _Tensor) -> tuple[dict[str, int], int, int]:
    """Random kernel, stride, dilation and pads, and the output height and width they give."""
    kernel = [1 + b.below(min(4, size + 2)) for size in (x.h, x.w)]
    stride = [1 + b.below(3) for _ in range(2)]
    dilation = [1 + b.below(2) if k > 1 else 1 for k in kernel]
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    before = [b.below(e) for e in extent]
    after = [b.below(e) for e in extent]
    sizes = []
    for axis, size in enumerate((x.h, x.w)):
        short = extent[axis] - (size + before[axis] + after[axis])
        after[axis] += max(0, short)
        sizes.append((size + before[axis] + after[axis] - extent[axis]) // stride[axis] + 1)
    fields = {
        "kernel_h": kernel[0], "kernel_w": kernel[1], "stride_h": stride[0],
        "stride_w": stride[1], "dilation_h": dilation[0], "dilation_w": dilation[1],
        "pad_top": before[0], "pad_left": before[1], "pad_value": b.below(256),
    }  # fmt: skip
    return fields, sizes[0], sizes[1]


def _add_columns(b: _Builder, count: int, scale: float) -> int:
    """Column records whose multipliers lie around `scale`, powers of two among them."""
    base = len(b.columns)
    for _ in range(count):
        m = b.pick(1 << 15, int(b.rng.integers(1 << 15, 1 << 16)), (1 << 16) - 1)
        k = int(np.clip(round(15 - np.log2(scale)) + b.below(4), 1, 47))
        b.columns.append(Column(int(b.rng.integers(-2000, 2000)), m, k))
    return base


def _mvm(b: _Builder, x: _Tensor) -> _Tensor:
    fields, out_h, out_w = _windows(b, x)
    taps = fields["kernel_h"] * fields["kernel_w"]
    rule = b.pick(*Rule)
    stage = b.pick(*Stage)
    encoding = b.pick(
        Encoding.DIRECT, Encoding.PN, Encoding.OFFSET if x.signed else Encoding.DIRECT
    )
    depthwise = b.below(3) == 0
    out_c = x.c if depthwise else _out_channels(b)
    y = b.tensor(out_h, out_w, out_c, b.below(2))
    d = replace(
        _base(b, Opcode.MVM, x, y), **fields, rule=rule, stage=stage, encoding=encoding,
        converter_bits=b.pick(4, 8, 8, 12), tile_base=len(b.tiles),
        in_zp=b.below(100) - 50 if encoding == Encoding.PN else 0, out_zp=b.below(60) - 30,
    )  # fmt: skip
    if stage == Stage.SHIFT:
        d = replace(d, shift=b.below(9))
    else:
        d = replace(d, column_base=_add_columns(b, out_c, 0.01 if rule == Rule.LOSSLESS else 0.5))
    if depthwise:
        _block_diagonal(b, d, x, taps)
    else:
        _dense(b, d, x, out_c, taps)
    b.program.append(replace(d, n_tiles=len(b.tiles) - d.tile_base))
    return y


def _out_channels(b: _Builder) -> int:
    return int(b.pick(*b.widths)) + b.pick(0, *b.widths) if b.widths else 1 + b.below(9)


def _dense(b: _Builder, d: Descriptor, x: _Tensor, out_c: int, taps: int) -> None:
    """Column groups of random width, each cut into random row tiles."""
    first_c = 0
    while first_c < out_c:
        n_cols = 1 + b.below(out_c - first_c)
        if b.widths:
            n_cols = min(b.pick(*b.widths), out_c - first_c)
        k = 0
        while k < taps * x.c:
            n_rows = 1 + b.below(taps * x.c - k)
            last = int(k + n_rows == taps * x.c)
            tile = Tile(
                first=int(k == 0), last=last, n_rows=n_rows, n_cols=n_cols, k_first=k,
                in_c_count=x.c, out_c_first=first_c,
            )  # fmt: skip
            _add_tile(b, d, tile, None)
            k += n_rows
        first_c += n_cols


def _block_diagonal(b: _Builder, d: Descriptor, x: _Tensor, taps: int) -> None:
    """A depthwise layer on the array, in tiles of random groups of channels."""
    channel = 0
    while channel < x.c:
        count = 1 + b.below(x.c - channel)
        if b.widths:
            count = min(b.pick(*b.widths), x.c - channel)
        tile = Tile(
            first=1, last=1, n_rows=taps * count, n_cols=count, in_c_first=channel,
            in_c_count=count, out_c_first=channel,
        )  # fmt: skip
        mask = np.tile(np.eye(count, dtype=bool), (taps, 1))
        _add_tile(b, d, tile, mask)
        channel += count


def _add_tile(b: _Builder, d: Descriptor, tile: Tile, mask: Any) -> None:
    """Random cells; PN halves are mirrored half of the time."""
    repeats = b.pick(0, 0, 1, 2)
    cells = b.rng.integers(-128, 128, (1 + repeats, tile.n_rows, tile.n_cols))
    if mask is not None:
        cells = np.where(mask, cells, 0)
    if d.encoding == Encoding.PN:
        mirrored = np.clip(-cells, -128, 127)
        cells = np.clip(cells, -127, 127) if b.below(2) else cells
        cells = np.concatenate([cells, mirrored], axis=1)
    n_bias = b.pick(0, 1, 3)
    bias = b.rng.integers(-128, 128, (n_bias, tile.n_cols))
    gain = b.below(5) + (8 if d.rule == Rule.WTM2101 else 6)
    done = replace(
        tile, repeats=repeats, n_bias_rows=n_bias, gain=gain, align=b.pick(0, 0, 3, 8),
        cells=len(b.weights),
    )  # fmt: skip
    b.tiles.append(done)
    b.weights += cells.astype(np.int8).tobytes() + bias.astype(np.int8).tobytes()


def _dwconv(b: _Builder, x: _Tensor) -> _Tensor:
    fields, out_h, out_w = _windows(b, x)
    y = b.tensor(out_h, out_w, x.c, b.below(2))
    d = replace(
        _base(b, Opcode.DWCONV, x, y), **fields, out_zp=b.below(60) - 30,
        weight_base=len(b.vector_weights), column_base=_add_columns(b, x.c, 0.02),
    )  # fmt: skip
    size = fields["kernel_h"] * fields["kernel_w"] * x.c
    b.vector_weights += b.rng.integers(-128, 128, size).astype(np.int8).tobytes()
    b.program.append(d)
    return y


def _maxpool(b: _Builder, x: _Tensor) -> _Tensor:
    fields, out_h, out_w = _windows(b, x)
    fields["pad_value"] = 0
    y = b.tensor(out_h, out_w, x.c, x.signed)
    b.program.append(replace(_base(b, Opcode.MAXPOOL, x, y), **fields))
    return y


def _avgpool(b: _Builder, x: _Tensor) -> _Tensor:
    fields, out_h, out_w = _windows(b, x)
    fields["pad_value"] = 0
    fields["dilation_h"] = fields["dilation_w"] = 1
    y = b.tensor(out_h, out_w, x.c, b.below(2))
    area = fields["kernel_h"] * fields["kernel_w"]
    d = replace(
        _base(b, Opcode.AVGPOOL, x, y), **fields, in_zp=b.below(256) - 128,
        out_zp=b.below(100) - 50,
        column_base=_add_columns(b, area + 1, 1 / area),
    )  # fmt: skip
    b.columns[d.column_base :] = [replace(c, bias=0) for c in b.columns[d.column_base :]]
    b.program.append(d)
    return y


def _table(b: _Builder, x: _Tensor) -> _Tensor:
    y = b.tensor(x.h, x.w, x.c, b.below(2))
    d = replace(_base(b, Opcode.TABLE, x, y), use_table=1, table=len(b.tables) // 256)
    b.tables += b.rng.integers(0, 256, 256).astype(np.uint8).tobytes()
    b.program.append(d)
    return y


def _copy(b: _Builder, x: _Tensor) -> _Tensor:
    """A padded copy, a crop, or a transpose."""
    if b.below(2):
        y = b.tensor(x.c, x.h, x.w, x.signed)
        d = replace(
            _base(b, Opcode.COPY, x, y), in_row_stride=1, in_pixel_stride=x.w * x.c,
            in_channel_stride=x.c, in_h=x.c, in_w=x.h, in_c=x.w,
        )  # fmt: skip
    else:
        top, left = b.below(4) - 1, b.below(4) - 1
        y = b.tensor(x.h + 1 + b.below(2), x.w + 1 + b.below(2), x.c, x.signed)
        d = replace(_base(b, Opcode.COPY, x, y), pad_top=top, pad_left=left, pad_value=b.below(256))
    b.program.append(d)
    return y


def _binary(b: _Builder, x: _Tensor) -> _Tensor:
    """ADD or MUL of a tensor with itself seen through other zero points."""
    y = b.tensor(x.h, x.w, x.c, b.below(2))
    opcode = b.pick(Opcode.ADD, Opcode.MUL)
    d = replace(
        _base(b, opcode, x, y), in2_signed=x.signed, in2_addr=x.addr, in2_row_stride=x.w * x.c,
        in2_pixel_stride=x.c, in_zp=b.below(256) - 128, in2_zp=b.below(256) - 128,
        out_zp=b.below(100) - 50, multiplier_a=int(b.rng.integers(0, 1 << 16)),
        multiplier_b=int(b.rng.integers(0, 1 << 16)) if opcode == Opcode.ADD else 0,
        shift=14 + b.below(10),
    )  # fmt: skip
    b.program.append(d)
    return y


def _softmax(b: _Builder, x: _Tensor) -> _Tensor:
    y = b.tensor(x.h, x.w, x.c, b.below(2))
    zero_point, hi = (-128, 127) if y.signed else (0, 255)
    d = replace(
        _base(b, Opcode.FIRMWARE, x, y), argument=len(b.tables) // 256, out_zp=zero_point,
        clamp_lo=zero_point, clamp_hi=hi,
    )  # fmt: skip
    b.tables += softmax_table(b.pick(0.01, 0.1, 0.5)).astype("<u2").tobytes()
    b.program.append(d)
    return y


def _arg_max(b: _Builder, x: _Tensor) -> _Tensor:
    y = b.tensor(x.h, x.w, 1, 0)
    b.program.append(replace(_base(b, Opcode.FIRMWARE, x, y), function=Function.ARGMAX))
    return y


def _update(b: _Builder, x: _Tensor) -> _Tensor:
    """Gates and what comes in are the tensor's bytes, the state a copy of some of them."""
    size = x.h * x.w * x.c
    if size < 3:
        return _arg_max(b, x)
    c = 1 + b.below(size // 3)
    gates, state, y = _reshaped(x, 2, 1, c), b.tensor(2, 1, c, 1), b.tensor(2, 1, c, 1)
    b.program.append(_base(b, Opcode.COPY, gates, state))
    d = replace(
        _base(b, Opcode.FIRMWARE, gates, y), function=Function.UPDATE, in2_signed=x.signed,
        in2_addr=x.addr + 2 * c, in2_row_stride=c, in2_pixel_stride=c,
        argument=state.addr, in_zp=b.below(256) - 128, in2_zp=b.below(256) - 128,
        multiplier_a=int(b.rng.integers(0, 1 << 16)), multiplier_b=int(b.rng.integers(0, 1 << 16)),
        shift=b.pick(8, 16, 24),
    )  # fmt: skip
    b.program.append(d)
    return y


def _reshaped(t: _Tensor, h: int, w: int, c: int) -> _Tensor:
    """The first h * w * c bytes of a tensor."""
    return _Tensor(t.addr, h, w, c, t.signed)
