"""Whatever program the semantic check lets through, kernels and golden arithmetic agree on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from norcim.emulator import Emulator
from norcim.emulator.reference import execute
from norcim.emulator.regions import port_region
from norcim.errors import NorcimError
from norcim.image import ImageContent, read_image
from tests.unit.image.test_check import mutants


def _legal(seed: int, count: int) -> Iterator[ImageContent]:
    for image in mutants(seed, count):
        try:
            yield read_image(image)
        except NorcimError:
            continue


def test_kernels_agree_with_the_golden_arithmetic_on_legal_mutants() -> None:
    n_legal = 0
    for content in _legal(11, 1000):
        rng = np.random.default_rng(n_legal)
        memory = np.zeros((2, content.activation_bytes), np.uint8)
        inputs = []
        for port in content.ports:
            if not port.is_output:
                codes = rng.integers(0, 256, (2, port.h, port.w, port.c), np.uint8)
                port_region(port).view(memory)[...] = codes
                inputs.append(codes)
        for d in content.program[:-1]:
            execute(d, content, memory)
        outputs = [port_region(port).view(memory) for port in content.ports if port.is_output]
        for got, due in zip(Emulator(content).run(inputs), outputs, strict=True):
            np.testing.assert_array_equal(got, due)
        n_legal += 1
    assert n_legal > 150
