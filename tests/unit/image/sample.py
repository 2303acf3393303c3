"""A small legal image in which every section holds something, to be damaged by the tests."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np

from norcim.emulator import reference
from norcim.image import ImageContent, join_networks
from norcim.spec.program import Column, Descriptor, Encoding, Opcode, Port, Rule, Tile

ONE = struct.unpack("<I", struct.pack("<f", 0.5))[0]

# Activation memory: 0 input 4x4x2 (32 bytes), 32 MVM output 4x4x4 (64), 96 depthwise output 2x2x4
# (16), 112 pooled 1x1x4, 116 table output, 120 sum, 124 softmax.
MVM = Descriptor(
    opcode=Opcode.MVM, rule=Rule.LINEAR, encoding=Encoding.PN, in_signed=1, out_signed=1,
    converter_bits=8, n_tiles=3, in_row_stride=8, in_pixel_stride=2, in_channel_stride=1,
    in_h=4, in_w=4, in_c=2, out_c=4, out_h=4, out_w=4, out_addr=32, out_row_stride=16,
    out_pixel_stride=4, out_channel_stride=1, kernel_h=3, kernel_w=3, stride_h=1, stride_w=1,
    dilation_h=1, dilation_w=1, pad_top=1, pad_left=1, in_zp=-3, pad_value=253,
    clamp_lo=-128, clamp_hi=127,
)  # fmt: skip
DEPTHWISE = Descriptor(
    opcode=Opcode.DWCONV, layer=1, in_signed=1, out_signed=1, in_addr=32, in_row_stride=16,
    in_pixel_stride=4, in_channel_stride=1, in_h=4, in_w=4, in_c=4, out_c=4, out_h=2, out_w=2,
    out_addr=96, out_row_stride=8, out_pixel_stride=4, out_channel_stride=1, kernel_h=2,
    kernel_w=2, stride_h=2, stride_w=2, dilation_h=1, dilation_w=1, clamp_lo=-128, clamp_hi=127,
    use_table=1, column_base=4,
)  # fmt: skip
POOL = Descriptor(
    opcode=Opcode.AVGPOOL, layer=2, in_signed=1, out_signed=1, in_addr=96, in_row_stride=8,
    in_pixel_stride=4, in_channel_stride=1, in_h=2, in_w=2, in_c=4, out_c=4, out_h=1, out_w=1,
    out_addr=112, out_row_stride=4, out_pixel_stride=4, out_channel_stride=1, kernel_h=2,
    kernel_w=2, stride_h=1, stride_w=1, dilation_h=1, dilation_w=1, clamp_lo=-128, clamp_hi=127,
    column_base=8,
)  # fmt: skip
POINT = {
    "in_signed": 1, "out_signed": 1, "in_addr": 112, "in_row_stride": 4, "in_pixel_stride": 4,
    "in_channel_stride": 1, "in_h": 1, "in_w": 1, "in_c": 4, "out_c": 4, "out_h": 1, "out_w": 1,
    "out_row_stride": 4, "out_pixel_stride": 4, "out_channel_stride": 1,
}  # fmt: skip
LOOKUP = Descriptor(opcode=Opcode.TABLE, layer=3, use_table=1, out_addr=116, table=1, **POINT)
SUM = Descriptor(
    opcode=Opcode.ADD, layer=4, out_addr=120, in2_addr=116, in2_row_stride=4, in2_pixel_stride=4,
    in2_signed=1, multiplier_a=32768, multiplier_b=32768, shift=16, clamp_lo=-128, clamp_hi=127,
    **POINT,
)  # fmt: skip
SOFTMAX = Descriptor(
    opcode=Opcode.FIRMWARE, layer=5, out_addr=124, clamp_lo=-128, clamp_hi=127, out_zp=-128, **POINT
)
COPY = Descriptor(
    opcode=Opcode.COPY, layer=6, kernel_h=1, kernel_w=1, out_addr=112, stride_h=1, stride_w=1,
    **{**POINT, "in_addr": 124},
)  # fmt: skip
LARGEST = Descriptor(
    opcode=Opcode.MAXPOOL, layer=7, out_addr=116, kernel_h=1, kernel_w=1, stride_h=1, stride_w=1,
    dilation_h=1, dilation_w=1, clamp_lo=-128, clamp_hi=127, **POINT,
)  # fmt: skip

TILES = (
    Tile(first=1, gain=3, col=200, n_rows=10, n_cols=3, in_c_count=2, n_bias_rows=1),
    Tile(
        last=1, gain=2, align=1, row=20, col=200, n_rows=8, n_cols=3, k_first=10, in_c_count=2,
        cells=63,
    ),
    Tile(
        first=1, last=1, gain=2, col=210, n_rows=9, n_cols=1, in_c_first=1, in_c_count=1,
        out_c_first=3, cells=111,
    ),
)  # fmt: skip


def sample_content(**changes: Any) -> ImageContent:
    """A legal image's content: MVM with a row split and a channel window, then one of each op."""
    values: dict[str, Any] = {
        "chip": "nor1",
        "chip_hash": "5a" * 32,
        "activation_bytes": 128,
        "program": (
            MVM, DEPTHWISE, POOL, LOOKUP, SUM, SOFTMAX, COPY, LARGEST, Descriptor(layer=8),
        ),
        "tiles": TILES,
        "columns": tuple(Column(bias=9 - i, multiplier=40000 + i, shift=20) for i in range(9)),
        "ports": (
            Port(signed=1, zero_point=-3, scale=ONE, row_stride=8, pixel_stride=2, h=4, w=4, c=2),
            Port(
                is_output=1, signed=1, scale=ONE, addr=116, row_stride=4, pixel_stride=4, h=1, w=1,
                c=4,
            ),
        ),
        "weights": bytes((i * 37) & 0xFF for i in range(129)),
        "vector_weights": bytes((i * 11) & 0xFF for i in range(16)),
        "tables": bytes(range(255, -1, -1)) + bytes(range(256)),
        "kat_input": bytes((i * 5) & 0xFF for i in range(64)),
        "kat_output": bytes.fromhex("c2c2bdc0c1c1bdc1"),
        "meta": {"name": "sample", "labels": ["yes", "no", "ü"], "accuracy": 0.75, "layers": []},
    }  # fmt: skip
    return ImageContent(**{**values, **changes})


def second_content() -> ImageContent:
    """Another network for the same arrays: a moved copy with other weights, columns and tables."""
    first = sample_content()
    content = replace(
        first,
        activation_bytes=132,
        tiles=tuple(replace(tile, row=tile.row + 40) for tile in TILES),
        columns=tuple(replace(column, multiplier=33000) for column in first.columns),
        ports=(first.ports[0], replace(first.ports[1], addr=120)),
        weights=first.weights[::-1],
        vector_weights=first.vector_weights[::-1],
        tables=bytes(i * 7 & 0xFF for i in range(1, 256 + 1)) + bytes(range(255, -1, -1)),
        meta={"name": "second", "layers": []},
    )
    memory = np.zeros((1, content.activation_bytes), np.uint8)
    answers = b""
    for at in (0, 32):
        memory[0, :32] = np.frombuffer(content.kat_input[at : at + 32], np.uint8)
        for step in content.program[:-1]:
            reference.execute(step, content, memory)
        answers += memory[0, 120:124].tobytes()
    return replace(content, kat_output=answers)


def two_networks() -> ImageContent:
    """One image with the sample and the second network."""
    return join_networks((sample_content(), second_content()))
