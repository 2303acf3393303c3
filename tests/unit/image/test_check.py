"""The semantic check: one fault at a time, then thousands of random ones."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from norcim.errors import NorcimError
from norcim.image import ImageContent, build_image, check_program, describe_image, read_image
from norcim.spec.program import Column, Descriptor, Function, Opcode, Rule, Stage
from tests.conformance.programs import random_program
from tests.unit.image.reseal import reseal
from tests.unit.image.sample import sample_content

MVM, DEPTHWISE, POOL, LOOKUP, SUM, SOFTMAX, COPY, LARGEST, END = range(9)


def _with_descriptor(index: int, **changes: Any) -> ImageContent:
    program = list(sample_content().program)
    program[index] = replace(program[index], **changes)
    return sample_content(program=tuple(program))


def _with_tile(index: int, **changes: Any) -> ImageContent:
    tiles = list(sample_content().tiles)
    tiles[index] = replace(tiles[index], **changes)
    return sample_content(tiles=tuple(tiles))


def _with_column(index: int, **changes: Any) -> ImageContent:
    columns = list(sample_content().columns)
    columns[index] = replace(columns[index], **changes)
    return sample_content(columns=tuple(columns))


def _with_port(index: int, **changes: Any) -> ImageContent:
    ports = list(sample_content().ports)
    ports[index] = replace(ports[index], **changes)
    return sample_content(ports=tuple(ports))


def test_sample_is_legal() -> None:
    check_program(sample_content())


@pytest.mark.parametrize(
    ("make", "index", "changes", "id"),
    [
        (_with_descriptor, MVM, {"opcode": 77}, "NC-E0540"),
        (_with_descriptor, MVM, {"opcode": Opcode.END}, "NC-E0540"),
        (_with_descriptor, END, {"opcode": Opcode.COPY}, "NC-E0540"),
        (_with_descriptor, MVM, {"stage": 2}, "NC-E0541"),
        (_with_descriptor, MVM, {"encoding": 3}, "NC-E0541"),
        (_with_descriptor, MVM, {"encoding": 1, "in_signed": 0}, "NC-E0541"),
        (_with_descriptor, MVM, {"rule": 3}, "NC-E0541"),
        (_with_descriptor, MVM, {"converter_bits": 1}, "NC-E0541"),
        (_with_descriptor, MVM, {"converter_bits": 17}, "NC-E0541"),
        (_with_descriptor, SOFTMAX, {"function": 9}, "NC-E0541"),
        *[(_with_descriptor, MVM, {name: 0}, "NC-E0542") for name in (
            "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h",
            "stride_w", "dilation_h", "dilation_w", "in_channel_stride", "out_channel_stride")],
        (_with_descriptor, DEPTHWISE, {"in_c": 3}, "NC-E0542"),
        (_with_descriptor, LOOKUP, {"in_h": 2}, "NC-E0542"),
        (_with_descriptor, COPY, {"kernel_h": 0}, "NC-E0542"),
        (_with_descriptor, POOL, {"kernel_h": 65535, "kernel_w": 65535}, "NC-E0542"),
        (_with_descriptor, MVM, {"stride_h": 65535, "stride_w": 65535}, "NC-E0542"),
        (_with_descriptor, POOL, {"dilation_h": 65535, "dilation_w": 65535}, "NC-E0542"),
        (_with_descriptor, COPY, {"pad_top": 32767, "pad_left": 32767}, "NC-E0542"),
        (_with_descriptor, MVM, {"in_addr": 97}, "NC-E0543"),
        (_with_descriptor, MVM, {"in_addr": 2**32 - 1}, "NC-E0543"),
        (_with_descriptor, MVM, {"in_row_stride": 41}, "NC-E0543"),
        (_with_descriptor, MVM, {"in_row_stride": 2**32 - 1}, "NC-E0543"),
        (_with_descriptor, MVM, {"out_addr": 65}, "NC-E0543"),
        (_with_descriptor, MVM, {"out_pixel_stride": 3}, "NC-E0543"),
        (_with_descriptor, MVM, {"out_row_stride": 0}, "NC-E0543"),
        (_with_descriptor, SUM, {"in2_addr": 125}, "NC-E0543"),
        (_with_descriptor, COPY, {"in_channel_stride": 2}, "NC-E0543"),
        (_with_descriptor, COPY, {"in_h": 999, "in_row_stride": 0}, "NC-E0543"),
        (_with_descriptor, MVM, {"n_tiles": 0}, "NC-E0544"),
        (_with_descriptor, MVM, {"n_tiles": 4}, "NC-E0544"),
        (_with_descriptor, MVM, {"n_tiles": 2}, "NC-E0544"),
        (_with_descriptor, MVM, {"tile_base": 1}, "NC-E0544"),
        (_with_descriptor, MVM, {"tile_base": 2**32 - 1}, "NC-E0544"),
        (_with_tile, 0, {"first": 0}, "NC-E0544"),
        (_with_tile, 0, {"last": 1}, "NC-E0544"),
        (_with_tile, 1, {"first": 1}, "NC-E0544"),
        (_with_tile, 1, {"n_cols": 2}, "NC-E0544"),
        (_with_tile, 2, {"last": 0}, "NC-E0544"),
        (_with_tile, 2, {"out_c_first": 2}, "NC-E0544"),
        (_with_tile, 2, {"out_c_first": 4}, "NC-E0544"),
        (_with_tile, 1, {"n_rows": 9}, "NC-E0544"),
        (_with_tile, 1, {"k_first": 11}, "NC-E0544"),
        (_with_tile, 0, {"in_c_first": 1}, "NC-E0544"),
        (_with_tile, 0, {"in_c_count": 0}, "NC-E0544"),
        (_with_tile, 0, {"n_rows": 0}, "NC-E0544"),
        (_with_tile, 0, {"gain": 31}, "NC-E0544"),
        (_with_tile, 1, {"align": 25}, "NC-E0544"),
        (_with_column, 0, {"shift": 0}, "NC-E0545"),
        (_with_column, 0, {"shift": 48}, "NC-E0545"),
        (_with_column, 3, {"multiplier": 32767}, "NC-E0545"),
        (_with_descriptor, MVM, {"column_base": 6}, "NC-E0545"),
        (_with_descriptor, DEPTHWISE, {"column_base": 6}, "NC-E0545"),
        (_with_descriptor, POOL, {"column_base": 9}, "NC-E0545"),
        (_with_descriptor, POOL, {"pad_top": 1}, "NC-E0545"),
        (_with_descriptor, LOOKUP, {"table": 2}, "NC-E0546"),
        (_with_descriptor, LOOKUP, {"use_table": 0}, "NC-E0546"),
        (_with_descriptor, DEPTHWISE, {"table": 2}, "NC-E0546"),
        (_with_descriptor, SOFTMAX, {"argument": 1}, "NC-E0546"),
        (_with_descriptor, SOFTMAX, {"argument": 2**32 - 1}, "NC-E0546"),
        (_with_descriptor, DEPTHWISE, {"weight_base": 1}, "NC-E0547"),
        (_with_tile, 2, {"cells": 112}, "NC-E0547"),
        (_with_tile, 2, {"n_bias_rows": 1}, "NC-E0547"),
        (_with_tile, 2, {"repeats": 1}, "NC-E0547"),
        (_with_port, 0, {"addr": 97}, "NC-E0543"),
        (_with_port, 0, {"c": 0}, "NC-E0548"),
        (_with_port, 0, {"is_output": 1}, "NC-E0548"),
        (_with_port, 0, {"scale": 0}, "NC-E0548"),
        (_with_port, 0, {"scale": 0x7F800000}, "NC-E0548"),
        (_with_port, 0, {"scale": 0x7FC00000}, "NC-E0548"),
        (_with_port, 0, {"scale": 0xBF800000}, "NC-E0548"),
        (_with_port, 0, {"zero_point": 128}, "NC-E0548"),
        (_with_port, 0, {"h": 3}, "NC-E0549"),
        (_with_column, 0, {"bias": 2**31 - 1}, "NC-E0550"),
        (_with_column, 4, {"bias": -(2**31)}, "NC-E0550"),
        (_with_tile, 1, {"align": 24}, "NC-E0550"),
        (_with_descriptor, MVM, {"clamp_lo": -129}, "NC-E0551"),
        (_with_descriptor, MVM, {"clamp_hi": 128}, "NC-E0551"),
        (_with_descriptor, MVM, {"clamp_lo": 5, "clamp_hi": 4}, "NC-E0551"),
        (_with_descriptor, DEPTHWISE, {"clamp_hi": 128}, "NC-E0551"),
        (_with_descriptor, MVM, {"in_zp": 256}, "NC-E0551"),
        (_with_descriptor, MVM, {"stage": Stage.SHIFT, "shift": 31}, "NC-E0551"),
        (_with_descriptor, SUM, {"shift": 0}, "NC-E0551"),
        (_with_descriptor, SUM, {"shift": 48}, "NC-E0551"),
        (_with_descriptor, SOFTMAX, {"out_zp": -129}, "NC-E0551"),
    ],
)  # fmt: skip
def test_one_fault(
    make: Callable[..., ImageContent], index: int, changes: dict[str, Any], id: str
) -> None:
    with pytest.raises(NorcimError) as caught:
        check_program(make(index, **changes))
    assert caught.value.id == id
    if make is _with_descriptor and changes.get("opcode") is None:
        assert f"descriptor {index} (" in caught.value.where


def test_align_at_the_edge_of_32_bits() -> None:
    """A 16-bit converter gives |code| <= 2^15; shifted by 15 it leaves room for one tile only."""
    content = _with_descriptor(MVM, converter_bits=16)
    tiles = tuple(replace(tile, align=15) for tile in content.tiles)
    check_program(replace(content, tiles=tuple(replace(t, align=14) for t in tiles)))
    with pytest.raises(NorcimError, match="NC-E0550"):
        check_program(replace(content, tiles=tiles))


def test_sum_is_bounded_where_no_column_is_added() -> None:
    """Stage SHIFT: two tiles of 2^15 << 15 reach 2^31."""
    content = _with_descriptor(MVM, converter_bits=16, stage=Stage.SHIFT)
    check_program(replace(content, tiles=tuple(replace(t, align=14) for t in content.tiles)))
    with pytest.raises(NorcimError, match="NC-E0550"):
        check_program(replace(content, tiles=tuple(replace(t, align=15) for t in content.tiles)))


def test_lossless_sum_is_bounded_by_its_rows() -> None:
    """10 + 8 PN rows of at most 383 * 128, and one bias row of 128 * 128, fit easily."""
    content = _with_descriptor(MVM, rule=Rule.LOSSLESS, converter_bits=0)
    check_program(content)
    largest = (10 * 383 * 128 + 128 * 128) + 2 * (8 * 383 * 128)
    room = 2**31 - 1 - largest
    columns = [replace(column, bias=0) for column in content.columns]
    check_program(replace(content, columns=(Column(room, 40000, 20), *columns[1:])))
    with pytest.raises(NorcimError, match="NC-E0550"):
        check_program(replace(content, columns=(Column(room + 1, 40000, 20), *columns[1:])))


def test_average_pool_needs_a_column_for_each_number_of_missing_taps() -> None:
    """2 x 2 windows with one row of padding miss two taps in the first row: records 8, 9, 10."""
    content = _with_descriptor(POOL, pad_top=1)
    columns = (*content.columns, *content.columns[:2])
    check_program(replace(content, columns=columns))
    with pytest.raises(NorcimError, match="NC-E0545"):
        check_program(replace(content, columns=columns[:-1]))


def test_dilated_window_can_step_over_a_narrow_input() -> None:
    """Taps at y - 1 and y + 1 of an input of height 1: both missing, though y is inside."""
    changes = {"in_h": 1, "in_w": 1, "kernel_h": 2, "kernel_w": 1, "dilation_h": 2, "pad_top": 1}
    content = _with_descriptor(POOL, **changes)
    with pytest.raises(NorcimError, match="NC-E0545"):
        check_program(content)
    check_program(replace(content, columns=(*content.columns, *content.columns[:2])))


def _firmware_program(function: int) -> ImageContent:
    """A random program whose step `index` is the firmware's function."""
    for seed in range(100):
        content = random_program(seed, firmware=True)[0]
        if any(d.opcode == Opcode.FIRMWARE and d.function == function for d in content.program):
            return replace(content, activation_bytes=content.activation_bytes + 9999)
    raise AssertionError("no such program")


@pytest.mark.parametrize(
    ("function", "changes", "id"),
    [
        (Function.ARGMAX, {"out_c": 2, "out_pixel_stride": 2, "out_row_stride": 99}, "NC-E0542"),
        (Function.ARGMAX, {"out_signed": 1}, "NC-E0551"),
        (Function.ARGMAX, {"clamp_hi": -1}, "NC-E0551"),
        (Function.UPDATE, {"in2_addr": 2**32 - 1}, "NC-E0543"),
        (Function.UPDATE, {"shift": 0}, "NC-E0551"),
        (Function.UPDATE, {"shift": 48}, "NC-E0551"),
        (Function.UPDATE, {"out_addr": "in_addr"}, "NC-E0543"),
        (Function.UPDATE, {"argument": 2**32 - 1}, "NC-E0543"),
        (Function.UPDATE, {"argument": "out_addr"}, "NC-E0543"),
        (Function.UPDATE, {"out_signed": 0, "clamp_lo": 0}, "NC-E0551"),
        (Function.UPDATE, {"in_h": 1, "out_h": 1}, "NC-E0542"),
    ],
)
def test_one_fault_in_a_firmware_step(function: int, changes: dict[str, Any], id: str) -> None:
    content = _firmware_program(function)
    check_program(content)
    index = next(
        i for i, d in enumerate(content.program)
        if d.opcode == Opcode.FIRMWARE and d.function == function
    )  # fmt: skip
    d = content.program[index]
    values = {n: getattr(d, v) if isinstance(v, str) else v for n, v in changes.items()}
    program = (*content.program[:index], replace(d, **values), *content.program[index + 1 :])
    with pytest.raises(NorcimError) as caught:
        check_program(replace(content, program=program))
    assert caught.value.id == id


def test_softmax_table_that_would_divide_by_zero() -> None:
    with pytest.raises(NorcimError, match="NC-E0546"):
        check_program(sample_content(tables=bytes(512)))


def test_empty_program() -> None:
    with pytest.raises(NorcimError, match="NC-E0540"):
        check_program(sample_content(program=()))


def test_known_answers_cut_short() -> None:
    with pytest.raises(NorcimError, match="NC-E0549"):
        check_program(sample_content(kat_output=b"\0" * 4))


def test_many_descriptors_over_the_same_tiles_take_bounded_time() -> None:
    first = sample_content().program[0]
    program = (*[replace(first, n_tiles=3)] * 30_000, Descriptor())
    started = time.perf_counter()
    with pytest.raises(NorcimError, match="n_tiles"):
        check_program(sample_content(program=program))
    assert time.perf_counter() - started < 5


def test_reserved_bits_are_refused() -> None:
    image = build_image(sample_content())
    columns = describe_image(image)[2]
    changed = bytearray(image)
    changed[columns.offset + 8 + 7] = 1
    with pytest.raises(NorcimError, match="section COLUMNS, record 1"):
        read_image(reseal(bytes(changed)))


INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _mutate(image: bytes, rng: random.Random, first: int) -> bytes:
    """One to four changes from byte `first` on: bits, bytes or whole words, then good sums."""
    changed = bytearray(image)
    for _ in range(rng.randint(1, 4)):
        offset = rng.randrange(first, len(image) - 4)
        kind = rng.randrange(3)
        if kind == 0:
            changed[offset] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[offset] = rng.randrange(256)
        else:
            offset -= offset % 4
            changed[offset : offset + 4] = rng.choice(INTERESTING).to_bytes(4, "little")
    return bytes(changed)


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """Mutants of the sample with good sums."""
    rng = random.Random(seed)
    image = build_image(sample_content())
    sections = describe_image(image)
    for index in range(count):
        # Records most of the time, the whole file with its section table now and then.
        end = sections[4].offset if index % 5 else len(image)
        first = sections[0].offset if index % 7 else 192
        mutant = _mutate(image[:end], rng, first) + image[end:]
        yield reseal(mutant, sections=index % 11 != 0)


def _refusal(image: bytes) -> str:
    """Id of the error that reading gives, empty if the image is legal."""
    try:
        read_image(image)
    except NorcimError as error:
        return error.id if error.fix else "no fix is given"
    return ""


def test_mutants_raise_nothing_but_norcim_errors() -> None:
    started = time.perf_counter()
    found = Counter(_refusal(mutant) for mutant in mutants(20240501, 5000))
    assert all(refusal.startswith("NC-E05") for refusal in found if refusal)
    assert found[""] < 2000
    assert len(found) > 12  # most of the checks were reached
    assert time.perf_counter() - started < 120


def test_mutants_take_little_memory() -> None:
    images = list(mutants(3, 200))
    tracemalloc.start()
    for mutant in images:
        _refusal(mutant)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_raw_garbage_is_refused() -> None:
    rng = random.Random(7)
    for n_bytes in (0, 1, 4, 100, 351, 352, 4096):
        for _ in range(50):
            with pytest.raises(NorcimError):
                read_image(b"NCIM" + rng.randbytes(n_bytes))
