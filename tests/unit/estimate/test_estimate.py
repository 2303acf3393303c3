"""Worked numbers for the estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from norcim.analysis.estimate import estimate
from norcim.chips import Chip, load_chip
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Encoding, Opcode, Tile


def content_of(*program: Descriptor, tiles: tuple[Tile, ...] = (), **meta: Any) -> ImageContent:
    return ImageContent(
        chip="wtm2101",
        chip_hash="",
        activation_bytes=0,
        program=(*program, Descriptor(opcode=Opcode.END)),
        tiles=tiles,
        columns=(),
        ports=(),
        weights=b"",
        vector_weights=b"",
        tables=b"",
        kat_input=b"",
        kat_output=b"",
        meta=meta,
    )


@pytest.fixture(scope="module")
def full_array() -> Chip:
    """wtm2101 without descriptor set-up, so that an MVM is only its conversions."""
    chip = load_chip("wtm2101")
    return replace(chip, timing=replace(chip.timing, descriptor_cycles=0))


def test_full_half_array_gives_the_published_throughput_and_power(full_array: Chip) -> None:
    # 896 x 896, 16 converters, 14 cycles a group at 24 MHz: 56 groups * 14 / 24e6 = 32.67 us.
    # 2 * 896 * 896 / 32.67 us = 49.2 GOPS; the energies below are worked by hand.
    step = Descriptor(opcode=Opcode.MVM, n_tiles=1, out_h=1, out_w=1, out_c=896)
    found = estimate(content_of(step, tiles=(Tile(n_rows=896, n_cols=896),)), full_array)
    assert found.counts.n_macs == 802_816
    assert found.counts.n_cycles == 784
    assert found.latency_s == pytest.approx(32.667e-6, rel=1e-4)
    assert 2 * found.counts.n_macs / found.latency_s == pytest.approx(49.2e9, rel=2e-3)
    assert found.energy.adc_j == pytest.approx(9.014e-9, rel=1e-3)
    assert found.energy.dac_j == pytest.approx(70.25e-9, rel=1e-3)
    assert found.energy.cells_j == pytest.approx(22.48e-9, rel=1e-3)
    assert found.energy.digital_j == pytest.approx(3.763e-9, rel=1e-3)
    assert found.energy.static_j == pytest.approx(55.53e-9, rel=1e-3)
    assert found.energy_per_mac_j == pytest.approx(0.2006e-12, rel=1e-3)
    assert found.power_w == pytest.approx(4.93e-3, rel=2e-3)


def test_positions_and_row_tiles_multiply_but_descriptors_do_not() -> None:
    # Two tiles of 17 columns: 2 groups of 14 cycles each, 10 positions, one set-up of 256.
    step = Descriptor(opcode=Opcode.MVM, n_tiles=2, out_h=2, out_w=5, out_c=17)
    tiles = (Tile(n_rows=100, n_cols=17), Tile(n_rows=50, n_cols=17))
    found = estimate(content_of(step, tiles=tiles), load_chip("wtm2101"))
    assert found.counts.n_cycles == 10 * 2 * (2 * 14) + 256
    assert found.counts.n_conversions == 10 * 34
    assert found.counts.n_array_macs == 10 * 17 * 150
    assert found.counts.n_positions == 10
    assert found.counts.n_bytes == 10 * (100 + 34 + 50 + 34)


def test_split_rows_and_bias_rows_cost_wordlines_but_no_macs() -> None:
    chip = load_chip("nor1")
    tile = Tile(n_rows=64, n_cols=16)
    direct = Descriptor(opcode=Opcode.MVM, n_tiles=1, out_h=1, out_w=1)
    plain = estimate(content_of(direct, tiles=(tile,)), chip)
    pn = replace(direct, encoding=Encoding.PN)
    doubled = estimate(content_of(pn, tiles=(replace(tile, n_bias_rows=16),)), chip)
    assert doubled.counts.n_macs == plain.counts.n_macs == 1024
    assert doubled.energy.dac_j == pytest.approx(plain.energy.dac_j * 144 / 64)
    assert doubled.latency_s == plain.latency_s


def test_repeated_rows_cost_wordlines_but_no_macs() -> None:
    step = Descriptor(opcode=Opcode.MVM, n_tiles=1, out_h=1, out_w=1)
    tile = Tile(n_rows=64, n_cols=16)
    once = estimate(content_of(step, tiles=(tile,)), load_chip("nor1"))
    twice = estimate(content_of(step, tiles=(replace(tile, repeats=1),)), load_chip("nor1"))
    assert twice.counts.n_macs == once.counts.n_macs
    assert twice.energy.cells_j == pytest.approx(2 * once.energy.cells_j)


def test_chip_without_converters_computes_on_its_lanes() -> None:
    # 100 wordlines x 64 columns on 64 lanes: 100 cycles, then 64 of set-up.
    step = Descriptor(opcode=Opcode.MVM, n_tiles=1, out_h=1, out_w=1)
    chip = load_chip("overlay")
    found = estimate(content_of(step, tiles=(Tile(n_rows=100, n_cols=64),)), chip)
    assert found.counts.n_cycles == 164
    assert found.energy.adc_j == found.energy.dac_j == found.energy.cells_j == 0
    # 6,400 MACs of 10 pJ, 64 steps of 5 pJ, 228 bytes of 5 pJ
    assert found.energy.digital_j == pytest.approx(64e-9 + 0.32e-9 + 1.14e-9)


@pytest.mark.parametrize(
    ("opcode", "macs", "steps", "n_bytes"),
    [
        (Opcode.DWCONV, 360, 40, 760),
        (Opcode.ADD, 0, 40, 120),
        (Opcode.MUL, 0, 40, 120),
        (Opcode.MAXPOOL, 0, 360, 400),
        (Opcode.AVGPOOL, 0, 360, 400),
        (Opcode.TABLE, 0, 40, 80),
        (Opcode.COPY, 0, 40, 80),
        (Opcode.FIRMWARE, 0, 120, 160),
    ],
)
def test_vector_path_counts(opcode: Opcode, macs: int, steps: int, n_bytes: int) -> None:
    step = Descriptor(opcode=opcode, out_h=2, out_w=2, out_c=10, kernel_h=3, kernel_w=3)
    counts = estimate(content_of(step), load_chip("nor1")).counts
    assert (counts.n_vector_macs, counts.n_vector_steps, counts.n_bytes) == (macs, steps, n_bytes)
    assert counts.n_cycles == 64 + -(-(macs or steps) // 64)


def test_descriptors_of_one_layer_are_summed_under_its_name() -> None:
    first = Descriptor(opcode=Opcode.ADD, layer=0, out_h=1, out_w=1, out_c=8)
    second = Descriptor(opcode=Opcode.TABLE, layer=1, out_h=1, out_w=1, out_c=8)
    third = replace(second, opcode=Opcode.COPY)
    found = estimate(
        content_of(first, second, third, layers=[{"name": "sum"}, {"name": "act"}]),
        load_chip("nor1"),
    )
    assert [layer.name for layer in found.layers] == ["sum", "act"]
    assert found.layers[1].opcodes == ("TABLE", "COPY")
    assert found.counts.n_vector_steps == 24
    assert found.latency_s == pytest.approx(sum(layer.latency_s for layer in found.layers))


def test_empty_program_takes_nothing() -> None:
    found = estimate(content_of(), load_chip("nor1"))
    assert found.layers == ()
    assert found.energy.total_j == found.energy_per_mac_j == found.power_w == 0


def test_layer_without_a_name_gets_a_number() -> None:
    step = Descriptor(opcode=Opcode.COPY, layer=3, out_h=1, out_w=1, out_c=1)
    assert estimate(content_of(step), load_chip("nor1")).layers[0].name == "layer 3"
