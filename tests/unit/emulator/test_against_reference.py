"""The fast emulator gives the golden executor's bits on random legal programs."""

from __future__ import annotations

import numpy as np
import pytest

from norcim.emulator import Emulator
from norcim.emulator.reference import execute
from norcim.emulator.regions import output_region, port_region
from norcim.image.check import check_program
from norcim.image.model import ImageContent
from norcim.spec.program import Encoding, Opcode, Rule, Stage
from tests.conformance.programs import random_program

SEEDS = range(240)


def golden(
    content: ImageContent, inputs: list[np.ndarray]
) -> tuple[dict[int, np.ndarray], list[int]]:
    """Every descriptor's output bytes and saturated conversions."""
    memory = np.full((len(inputs[0]), content.activation_bytes), 0xA5, np.uint8)
    for port, codes in zip(content.ports, inputs, strict=False):
        port_region(port).view(memory)[...] = codes
    outputs, saturated = {}, []
    for index, d in enumerate(content.program[:-1]):
        saturated.append(execute(d, content, memory))
        outputs[index] = output_region(d).view(memory).copy()
    return outputs, saturated


@pytest.mark.parametrize("first", range(0, len(SEEDS), 40))
@pytest.mark.parametrize("firmware", [False, True])
def test_random_programs_give_the_golden_bits(first: int, firmware: bool) -> None:
    for seed in SEEDS[first : first + (10 if firmware else 40)]:
        content, inputs = random_program(seed, firmware=firmware)
        check_program(content)
        expected, saturated = golden(content, inputs)
        emulator = Emulator(content)
        got = emulator.run_layers(inputs)
        for index, bytes_ in expected.items():
            opcode = Opcode(content.program[index].opcode).name
            assert np.array_equal(got[index], bytes_), f"seed {seed}, descriptor {index}: {opcode}"
        [final] = emulator.run(inputs, counters=True)
        last = expected[len(content.program) - 2]
        assert np.array_equal(final, last.reshape(final.shape)), f"seed {seed}"
        assert [c.saturated for c in emulator.counters] == saturated, f"seed {seed}"


def test_the_random_programs_cover_the_program_format() -> None:
    steps = [d for seed in SEEDS for d in random_program(seed)[0].program]
    tiles = [t for seed in SEEDS for t in random_program(seed)[0].tiles]
    mvms = [d for d in steps if d.opcode == Opcode.MVM]
    assert {d.opcode for d in steps} == set(Opcode)
    assert {d.rule for d in mvms} == set(Rule)
    assert {d.encoding for d in mvms} == set(Encoding)
    assert {d.stage for d in mvms} == set(Stage)
    assert any(not t.first for t in tiles)
    assert any(t.repeats for t in tiles)


def test_batch_size_chunks_and_threads_do_not_change_the_bits() -> None:
    content, _ = random_program(7)
    port = content.ports[0]
    codes = np.random.default_rng(0).integers(0, 256, (37, port.h, port.w, port.c), np.uint8)
    [whole] = Emulator(content).run([codes])
    [threaded] = Emulator(content, n_threads=2).run([codes])
    single = [Emulator(content).run([codes[i : i + 1]])[0] for i in range(0, 37, 6)]
    assert np.array_equal(whole, threaded)
    assert np.array_equal(whole[::6], np.concatenate(single))


def test_a_run_does_not_depend_on_the_run_before() -> None:
    content, inputs = random_program(11)
    emulator = Emulator(content)
    [before] = emulator.run(inputs)
    emulator.run([255 - inputs[0]])
    [after] = emulator.run(inputs)
    assert np.array_equal(before, after)
