"""The whole NPU: random legal programs, and every error that stops a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norcim.analysis.estimate import estimate
from norcim.chips import load_chip
from norcim.image.model import ImageContent
from norcim.runtime import compile_model
from norcim.spec.error_codes import DeviceError
from norcim.spec.program import Descriptor, Encoding, Opcode, Rule, Stage, Tile
from norcim_overlay.npu.macro import Sizes, Store
from norcim_overlay.sim.interpreted import InterpretedBench
from norcim_overlay.sim.measure import SIZES, random_memory
from norcim_overlay.sim.program import load_program, run_program
from norcim_overlay.sim.toolchain import missing_packages
from norcim_overlay.sim.verilated import VerilatedBench
from tests.conformance.programs import random_program
from tests.overlay.npu.replay import replay

SMALL = Sizes(
    n_lanes=8,
    n_vector_lanes=4,
    n_activation_bytes=1 << 12,
    n_weight_bytes=1 << 13,
    n_record_words=1 << 10,
)
MEDIUM = replace(SMALL, n_weight_bytes=(1 << 12) + (1 << 10))
WIDTHS = (8, 16, 24, 32, 40, 64, 96)


@pytest.fixture(scope="module")
def interpreted() -> InterpretedBench:
    return InterpretedBench(SMALL)


SEEDS = (1, 2, 3, 8, 9, 10, 11, 12, 15, 18, 38, 48)  # short ones; the test below says what of


def test_the_interpreted_programs_have_every_opcode_and_option() -> None:
    images = [random_program(seed)[0] for seed in SEEDS]
    steps = [d for image in images for d in image.program]
    tiles = [t for image in images for t in image.tiles]
    mvms = [d for d in steps if d.opcode == Opcode.MVM]
    assert {d.opcode for d in steps} == set(Opcode)
    assert {d.encoding for d in mvms} == set(Encoding)
    assert {d.rule for d in mvms} == set(Rule)
    assert {d.stage for d in mvms} == set(Stage)
    assert any(d.in_channel_stride != 1 for d in steps if d.opcode == Opcode.COPY)
    for name in ("repeats", "n_bias_rows", "k_first", "align"):
        assert any(getattr(tile, name) for tile in tiles), name


@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs_leave_the_golden_memory(interpreted: InterpretedBench, seed: int) -> None:
    replay(interpreted, seed)


@pytest.fixture(scope="module", params=[MEDIUM, SIZES], ids=["8 lanes", "64 lanes"])
def verilated(request: pytest.FixtureRequest) -> Iterator[VerilatedBench]:
    if missing := missing_packages():
        message = f"not installed: {', '.join(missing)}; run: pip install 'norcim[dev]'"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with VerilatedBench(request.param) as bench:
        yield bench


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_a_thousand_random_programs(verilated: VerilatedBench, first: int) -> None:
    for seed in range(first, first + 250):
        replay(verilated, seed)


@pytest.mark.slow
def test_random_programs_with_tiles_that_share_lines(verilated: VerilatedBench) -> None:
    if verilated.sizes.n_lanes < max(WIDTHS[:-1]):
        pytest.skip("at 8 lanes, tiles of 1, 2 and 4 columns do in the thousand programs")
    for seed in range(150):
        replay(verilated, seed, WIDTHS)


@pytest.mark.slow
def test_the_latency_of_the_shipped_network_is_estimated_to_a_fifth(
    verilated: VerilatedBench,
) -> None:
    chip = load_chip("overlay")
    if verilated.sizes.n_lanes != chip.timing.lanes:
        pytest.skip("the chip file is that of 64 lanes")
    folder = Path(__file__).parents[3] / "models" / "kws"
    with np.load(folder / "calib.npz") as file:
        content = compile_model(folder / "kws.onnx", chip, {"features": file["x"]})
    load_program(verilated, content)
    verilated.clear_counts()
    assert run_program(verilated, content, random_memory(content), watchdog=3_000_000).done
    steps = range(len(content.program) - 1)
    n_cycles = sum(verilated.counts(index)["cycles"] for index in steps)
    assert estimate(content, chip).counts.n_cycles == pytest.approx(n_cycles, rel=0.2)


CONVOLUTION = Descriptor(
    opcode=Opcode.MVM, rule=2, converter_bits=8, stage=1, in_h=1, in_w=2, in_c=2, out_h=1, out_w=2,
    out_c=1, in_row_stride=4, in_pixel_stride=2, in_channel_stride=1, out_addr=8, out_row_stride=2,
    out_pixel_stride=1, out_channel_stride=1, kernel_h=1, kernel_w=1, stride_h=1, stride_w=1,
    dilation_h=1, dilation_w=1, n_tiles=1, clamp_lo=0, clamp_hi=255,
)  # fmt: skip
TILE = Tile(first=1, last=1, n_rows=2, n_cols=1, in_c_count=2)
COPY = replace(CONVOLUTION, opcode=Opcode.COPY, out_c=2, out_row_stride=4, out_pixel_stride=2)


def content(step: Descriptor, tile: Tile = TILE) -> ImageContent:
    """A good copy, the step, the end; 16 bytes of activations."""
    program = (COPY, step, Descriptor())
    return ImageContent(
        "test", "", 16, program, (tile,), (), (), b"\1\2", b"", b"", b"", b"", {}
    )  # fmt: skip


CASES: dict[str, tuple[Descriptor, Tile, DeviceError]] = {
    "opcode": (replace(CONVOLUTION, opcode=10), TILE, DeviceError.BAD_OPCODE),
    "opcode 255": (replace(CONVOLUTION, opcode=255), TILE, DeviceError.BAD_OPCODE),
    "encoding": (replace(CONVOLUTION, encoding=3), TILE, DeviceError.BAD_FIELD),
    "rule": (replace(CONVOLUTION, rule=3), TILE, DeviceError.BAD_FIELD),
    "stage": (replace(CONVOLUTION, stage=2), TILE, DeviceError.BAD_FIELD),
    "no output": (replace(CONVOLUTION, out_w=0), TILE, DeviceError.BAD_FIELD),
    "no kernel": (replace(CONVOLUTION, kernel_h=0), TILE, DeviceError.BAD_FIELD),
    "no tiles": (replace(CONVOLUTION, n_tiles=0), TILE, DeviceError.BAD_FIELD),
    "no rows": (CONVOLUTION, replace(TILE, n_rows=0), DeviceError.BAD_FIELD),
    "no channels": (CONVOLUTION, replace(TILE, in_c_count=0), DeviceError.BAD_FIELD),
    "start": (CONVOLUTION, replace(TILE, k_first=4), DeviceError.BAD_FIELD),
    "read": (replace(CONVOLUTION, in_addr=13), TILE, DeviceError.ADDRESS_RANGE),
    "read far": (replace(CONVOLUTION, in_addr=2**32 - 1), TILE, DeviceError.ADDRESS_RANGE),
    "store": (replace(CONVOLUTION, out_addr=15), TILE, DeviceError.ADDRESS_RANGE),
    "tile": (replace(CONVOLUTION, tile_base=1), TILE, DeviceError.TILE_RANGE),
    "column": (replace(CONVOLUTION, stage=0), TILE, DeviceError.TILE_RANGE),
    "average": (replace(COPY, opcode=Opcode.AVGPOOL), TILE, DeviceError.TILE_RANGE),
    "cells": (CONVOLUTION, replace(TILE, cells=1), DeviceError.WEIGHT_RANGE),
    "table": (replace(CONVOLUTION, use_table=1), TILE, DeviceError.TABLE_MISSING),
}


def run(bench: InterpretedBench, image: ImageContent, **options: int) -> Any:
    load_program(bench, image)
    return run_program(bench, image, np.arange(16, dtype=np.uint8), **options)


@pytest.mark.parametrize("name", CASES)
def test_an_error_stops_the_run_with_its_descriptor(
    interpreted: InterpretedBench, name: str
) -> None:
    step, tile, error = CASES[name]
    ran = run(interpreted, content(step, tile))
    assert (ran.error, ran.descriptor, ran.done) == (error, 1, False)


def test_the_same_step_without_an_error_runs_to_the_end(interpreted: InterpretedBench) -> None:
    ran = run(interpreted, content(CONVOLUTION))
    assert (ran.error, ran.descriptor, ran.done) == (DeviceError.OK, 2, True)
    assert interpreted.counts(1)["macs"] == 4
    assert interpreted.counts(1)["conversions"] == 2
    assert interpreted.read(Store.ACTIVATIONS, 8, 2).tolist() == [
        2,
        8,
    ]  # 0 * 1 + 1 * 2, 2 * 1 + 3 * 2


def test_the_watchdog_stops_a_run(interpreted: InterpretedBench) -> None:
    ran = run(
        interpreted, content(replace(CONVOLUTION, out_h=60_000, out_row_stride=0)), watchdog=400
    )
    assert ran.error == DeviceError.WATCHDOG
    assert ran.descriptor == 1
    assert 400 <= ran.n_cycles < 440


def test_a_program_without_an_end_stops_behind_its_last_descriptor(
    interpreted: InterpretedBench,
) -> None:
    image = content(CONVOLUTION)
    ran = run(interpreted, replace(image, program=image.program[:2]))
    assert (ran.error, ran.descriptor) == (DeviceError.BAD_OPCODE, 2)


def test_nothing_is_stored_outside_the_memory(interpreted: InterpretedBench) -> None:
    run(interpreted, content(replace(CONVOLUTION, out_addr=15)))
    assert interpreted.read(Store.ACTIVATIONS, 0, 8).tolist() == list(range(8))


@pytest.mark.slow
def test_the_verilated_bench_reads_what_it_wrote(verilated: VerilatedBench) -> None:
    rng = np.random.default_rng(3)
    contents = {store: rng.integers(0, 256, 1021, dtype=np.uint8) for store in Store}
    contents[Store.RECORDS] = contents[Store.RECORDS][:1020]
    for store, content in contents.items():
        verilated.write(store, 4, content)
    for store, content in contents.items():
        assert np.array_equal(verilated.read(store, 4, len(content)), content), store
