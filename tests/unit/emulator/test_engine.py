"""Counters, batches and input checks of the emulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image import check_program
from norcim.image.model import ImageContent
from norcim.spec.program import Column, Descriptor, Opcode, Port, Rule, Tile

SCALE_ONE = 0x3F800000


def one_tile(rule: Rule, gain: int, weights: np.ndarray, bias: np.ndarray) -> ImageContent:
    """A (1, 1, n_rows) vector through one tile; the code is the output (multiplier 1)."""
    n_rows, n_cols = weights.shape
    d = Descriptor(
        opcode=Opcode.MVM, rule=rule, converter_bits=8, n_tiles=1, in_row_stride=n_rows,
        in_pixel_stride=n_rows, in_channel_stride=1, in_h=1, in_w=1, in_c=n_rows, out_c=n_cols,
        out_h=1, out_w=1, out_addr=n_rows, out_row_stride=n_cols, out_pixel_stride=n_cols,
        out_channel_stride=1, kernel_h=1, kernel_w=1, stride_h=1, stride_w=1, dilation_h=1,
        dilation_w=1, clamp_lo=-128, clamp_hi=127, out_signed=1,
    )  # fmt: skip
    tile = Tile(
        first=1, last=1, gain=gain, n_rows=n_rows, n_cols=n_cols, in_c_count=n_rows,
        n_bias_rows=len(bias),
    )  # fmt: skip
    ports = (
        Port(0, 0, 0, SCALE_ONE, 0, n_rows, n_rows, 1, 1, n_rows),
        Port(1, 1, 0, SCALE_ONE, n_rows, n_cols, n_cols, 1, 1, n_cols),
    )
    cells = weights.astype(np.int8).tobytes() + bias.astype(np.int8).tobytes()
    columns = (Column(0, 1 << 15, 15),) * n_cols
    program = (d, Descriptor(opcode=Opcode.END))
    return ImageContent(
        "t", "00" * 32, n_rows + n_cols, program, (tile,), columns, ports, cells, b"", b"", b"",
        b"", {},
    )  # fmt: skip


def run(content: ImageContent, codes: list[int]) -> list[int]:
    inputs = np.array(codes, np.uint8).reshape(1, 1, 1, -1)
    [out] = Emulator(content).run([inputs])
    return [int(v) for v in out.view(np.int8).reshape(-1)]


def test_the_vendor_rule_rounds_twice() -> None:
    # acc = -129, G = 256: 4 * acc / G = -2.016 -> trunc -2 -> (-2 + 2) >> 2 = 0; one rounding
    # of -0.504 would give -1.
    content = one_tile(Rule.WTM2101, 8, np.array([[-1]]), np.zeros((0, 1)))
    assert run(content, [129]) == [0]
    assert run(content, [128]) == [0]
    assert run(content, [193]) == [-1]  # trunc(-3.02) = -3; (-3 + 2) >> 2 = -1


def test_bias_rows_are_driven_with_128() -> None:
    content = one_tile(Rule.LINEAR, 7, np.zeros((2, 3)), np.array([[1, -2, 0], [1, 0, 3]]))
    assert run(content, [0, 0]) == [2, -2, 3]


def test_linear_conversion_rounds_exact_halves_up() -> None:
    content = one_tile(Rule.LINEAR, 1, np.array([[1, -1]]), np.zeros((0, 2)))
    assert run(content, [3]) == [2, -1]  # 1.5 -> 2, -1.5 -> -1


def test_counters_say_macs_conversions_and_saturation() -> None:
    weights = np.array([[100, 1], [100, 1]])
    content = one_tile(Rule.LINEAR, 4, weights, np.zeros((0, 2)))
    emulator = Emulator(content)
    codes = np.full((5, 1, 1, 2), 255, np.uint8)
    emulator.run([codes], counters=True)
    [counters] = emulator.counters
    # 200 * 255 / 16 = 3,187 saturates, 510 / 16 = 32 does not; five samples.
    assert (counters.macs, counters.conversions, counters.saturated) == (20, 10, 5)


def test_sums_past_24_bits_are_exact() -> None:
    # 700 rows of 255 * 127 = 22.7 million: past float32's exact range. 22,669,500 / 2^18 = 86.5
    # less one bias row: the last bit decides the rounding.
    weights = np.full((700, 1), 127)
    content = one_tile(Rule.LINEAR, 18, weights, np.zeros((0, 1)))
    exact = (700 * 127 * 255 + (1 << 17)) >> 18
    assert run(content, [255] * 700) == [exact]


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [np.zeros((1, 1, 1, 3), np.uint8)],
        [np.zeros((1, 1, 1, 2), np.int8)],
        [np.zeros((0, 1, 1, 2), np.uint8)],
    ],
)
def test_inputs_of_another_shape_are_refused(inputs: list[np.ndarray]) -> None:
    content = one_tile(Rule.LINEAR, 4, np.ones((2, 2)), np.zeros((0, 2)))
    with pytest.raises(NorcimError) as caught:
        Emulator(content).run(inputs)
    assert caught.value.id == "NC-E0904"


def test_an_output_within_its_own_input_is_refused() -> None:
    content = one_tile(Rule.LINEAR, 4, np.ones((4, 2)), np.zeros((0, 2)))
    step = replace(content.program[0], out_addr=2)
    with pytest.raises(NorcimError) as caught:
        check_program(replace(content, program=(step, content.program[1])))
    assert caught.value.id == "NC-E0543"
    assert "overlaps an input" in str(caught.value)
