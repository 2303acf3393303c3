"""Every field of every record does on the NPU what it does on the golden executor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from norcim.emulator.reference import execute
from norcim.image.model import ImageContent
from norcim.spec.error_codes import DeviceError
from norcim.spec.program import Column, Descriptor, Encoding, Opcode, Rule, Stage, Tile
from norcim.spec.record import bit_fields
from norcim_overlay.npu.macro import Sizes
from norcim_overlay.sim.interpreted import InterpretedBench
from norcim_overlay.sim.program import load_program, run_program

SIZES = Sizes(8, 4, 1 << 9, 1 << 9, 1 << 9, 8)
N_BYTES = 400
BASE = Descriptor(
    in_addr=10, in_row_stride=16, in_pixel_stride=3, in_channel_stride=1, in_h=3, in_w=4, in_c=3,
    in2_addr=90, in2_row_stride=16, in2_pixel_stride=3, out_addr=200, out_row_stride=20,
    out_pixel_stride=4, out_channel_stride=1, out_h=3, out_w=4, out_c=3, kernel_h=1, kernel_w=1,
    stride_h=1, stride_w=1, dilation_h=1, dilation_w=1, clamp_lo=-128, clamp_hi=127, in_signed=1,
)  # fmt: skip
WINDOW = {"kernel_h": 2, "kernel_w": 2, "pad_top": 1, "pad_left": 1, "pad_value": 77}
MVM = replace(
    BASE, **WINDOW, opcode=Opcode.MVM, rule=Rule.LINEAR, converter_bits=8, n_tiles=1, out_c=2,
)  # fmt: skip
TILE = Tile(first=1, last=1, gain=8, n_rows=12, n_cols=2, in_c_count=3, cells=16)
HALVES = (replace(TILE, last=0, n_rows=6), replace(TILE, first=0, n_rows=6, k_first=6, cells=40))
SIDES = (replace(TILE, n_cols=1), replace(TILE, n_cols=1, out_c_first=1, cells=40))
DWCONV = replace(BASE, **WINDOW, opcode=Opcode.DWCONV)
COPY = replace(BASE, opcode=Opcode.COPY)
MAXPOOL = replace(BASE, **WINDOW, opcode=Opcode.MAXPOOL)
ADD = replace(BASE, opcode=Opcode.ADD, multiplier_a=3000, multiplier_b=2000, shift=12, in2_signed=1)
TABLE = replace(BASE, opcode=Opcode.TABLE, use_table=1)


@dataclass(frozen=True)
class Change:
    """A step with its tiles and columns, and what changes: fields of the step or of tiles."""

    step: Descriptor
    changes: dict[str, int] = field(default_factory=dict)
    tiles: tuple[Tile, ...] = (TILE,)
    new_tiles: tuple[Tile, ...] | None = None
    new_column: dict[str, int] = field(default_factory=dict)


def tiles(base: tuple[Tile, ...], **changes: int) -> tuple[Tile, ...]:
    return tuple(replace(tile, **changes) for tile in base)


DESCRIPTOR = {
    "opcode": Change(ADD, {"opcode": Opcode.MUL}),
    "stage": Change(MVM, {"stage": Stage.SHIFT, "shift": 1}),
    "encoding": Change(MVM, {"encoding": Encoding.OFFSET}),
    "rule": Change(MVM, {"rule": Rule.WTM2101}),
    "in_signed": Change(MVM, {"in_signed": 0}),
    "in2_signed": Change(ADD, {"in2_signed": 0}),
    "use_table": Change(MVM, {"use_table": 1}),
    "converter_bits": Change(MVM, {"converter_bits": 5}),
    "n_tiles": Change(replace(MVM, n_tiles=2), {"n_tiles": 1}, (TILE, replace(TILE, cells=70))),
    **{name: Change(MVM, {name: value}) for name, value in {
        "in_addr": 11, "in_row_stride": 17, "in_pixel_stride": 4, "in_h": 2, "in_w": 3, "out_h": 2,
        "out_w": 3, "out_addr": 201, "out_row_stride": 21, "out_pixel_stride": 5, "stride_h": 2,
        "stride_w": 2, "dilation_h": 2, "dilation_w": 2, "pad_top": 0, "pad_left": -1,
        "pad_value": 200, "out_zp": 5, "clamp_lo": -3, "clamp_hi": 4, "column_base": 1,
    }.items()},
    "kernel_h": Change(MAXPOOL, {"kernel_h": 1}),
    "kernel_w": Change(MAXPOOL, {"kernel_w": 3}),
    "in_c": Change(DWCONV, {"in_c": 2, "out_c": 2}),
    "out_c": Change(MAXPOOL, {"in_c": 2, "out_c": 2}),
    "in_channel_stride": Change(COPY, {"in_channel_stride": 2}),
    "out_channel_stride": Change(
        replace(COPY, out_pixel_stride=8, out_row_stride=40), {"out_channel_stride": 2}
    ),
    "in_zp": Change(ADD, {"in_zp": 9}),
    "in2_addr": Change(ADD, {"in2_addr": 91}),
    "in2_row_stride": Change(ADD, {"in2_row_stride": 15}),
    "in2_pixel_stride": Change(ADD, {"in2_pixel_stride": 4}),
    "in2_zp": Change(ADD, {"in2_zp": -9}),
    "multiplier_a": Change(ADD, {"multiplier_a": 60000}),
    "multiplier_b": Change(ADD, {"multiplier_b": 0}),
    "shift": Change(ADD, {"shift": 11}),
    "table": Change(TABLE, {"table": 1}),
    "tile_base": Change(MVM, {"tile_base": 1}, (TILE, replace(TILE, cells=70))),
    "weight_base": Change(DWCONV, {"weight_base": 1}),
}  # fmt: skip
TILES = {
    "gain": Change(MVM, new_tiles=tiles((TILE,), gain=7)),
    "align": Change(MVM, new_tiles=tiles((TILE,), align=1)),
    "first": Change(
        replace(MVM, n_tiles=2), tiles=HALVES, new_tiles=(HALVES[0], replace(HALVES[1], first=1))
    ),
    "last": Change(replace(MVM, n_tiles=2), tiles=HALVES, new_tiles=tiles(HALVES, first=1, last=1)),
    "n_rows": Change(MVM, new_tiles=tiles((TILE,), n_rows=7)),
    "n_cols": Change(MVM, {"out_c": 1}, new_tiles=tiles((TILE,), n_cols=1)),
    "k_first": Change(
        MVM, tiles=tiles((TILE,), n_rows=4), new_tiles=tiles((TILE,), n_rows=4, k_first=5)
    ),
    "in_c_first": Change(
        MVM, tiles=tiles((TILE,), n_rows=4, in_c_count=2),
        new_tiles=tiles((TILE,), n_rows=4, in_c_count=2, in_c_first=1),
    ),
    "in_c_count": Change(
        MVM, tiles=tiles((TILE,), n_rows=4), new_tiles=tiles((TILE,), n_rows=4, in_c_count=1)
    ),
    "out_c_first": Change(
        replace(MVM, n_tiles=2), tiles=SIDES,
        new_tiles=(replace(SIDES[0], out_c_first=1), replace(SIDES[1], out_c_first=0)),
    ),
    "n_bias_rows": Change(MVM, new_tiles=tiles((TILE,), n_bias_rows=1)),
    "cells": Change(MVM, new_tiles=tiles((TILE,), cells=17)),
    "repeats": Change(MVM, new_tiles=tiles((TILE,), repeats=1)),
}  # fmt: skip
COLUMNS = {
    name: Change(MVM, new_column={name: value})
    for name, value in {"bias": 9, "multiplier": 65535, "shift": 14}.items()
}
WITHOUT_EFFECT = {
    Descriptor: {"layer", "out_signed", "function", "argument"},  # the image's, the firmware's
    Tile: {"array", "row", "col", "bias_row"},  # where cells lie in an analog array
    Column: set(),
}
CHANGES = {Descriptor: DESCRIPTOR, Tile: TILES, Column: COLUMNS}


@pytest.mark.parametrize("record", CHANGES)
def test_every_field_is_here(record: type) -> None:
    names = {item.name for item in bit_fields(record)}
    assert names == set(CHANGES[record]) | WITHOUT_EFFECT[record]


def image(step: Descriptor, step_tiles: tuple[Tile, ...], column: dict[str, int]) -> ImageContent:
    rng = np.random.default_rng(7)
    columns = [Column(b, m, 15) for b, m in ((2, 40000), (-3, 50000), (0, 33000), (4, 60000))]
    columns[0] = replace(columns[0], **column)
    weights, vector_weights, tables = (
        rng.integers(-128, 128, n).astype(np.int8).tobytes() for n in (200, 40, 512)
    )
    return ImageContent(
        "fields", "", N_BYTES, (step, Descriptor()), step_tiles, tuple(columns), (), weights,
        vector_weights, tables, b"", b"", {},
    )  # fmt: skip


def run_both(bench: InterpretedBench, content: ImageContent) -> np.ndarray:
    """The memory after the step, which has to be the golden one."""
    memory = np.random.default_rng(8).integers(0, 256, N_BYTES).astype(np.uint8)
    golden = memory[None].copy()
    execute(content.program[0], content, golden)
    load_program(bench, content)
    ran = run_program(bench, content, memory, watchdog=20_000)
    assert (ran.error, ran.done) == (DeviceError.OK, True)
    assert np.array_equal(memory, golden[0])
    return memory


@pytest.fixture(scope="module")
def bench() -> InterpretedBench:
    return InterpretedBench(SIZES)


@pytest.mark.parametrize(
    ("record", "name"), [(r, n) for r, changes in CHANGES.items() for n in changes],
    ids=lambda x: getattr(x, "__name__", x),
)  # fmt: skip
def test_a_field_changes_the_result_as_on_the_golden_executor(
    bench: InterpretedBench, record: type, name: str
) -> None:
    change = CHANGES[record][name]
    before = run_both(bench, image(change.step, change.tiles, {}))
    step = replace(change.step, **change.changes)
    after = run_both(bench, image(step, change.new_tiles or change.tiles, change.new_column))
    assert not np.array_equal(before, after)


def test_the_fields_of_image_and_placement_change_nothing(bench: InterpretedBench) -> None:
    before = run_both(bench, image(MVM, (TILE,), {}))
    step = replace(MVM, layer=3, out_signed=1, function=1, argument=9)
    moved = replace(TILE, array=1, row=50, col=60, bias_row=2)
    assert np.array_equal(before, run_both(bench, image(step, (moved,), {})))
