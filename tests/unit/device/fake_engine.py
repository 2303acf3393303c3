"""An engine that computes nothing: it answers the known-answer test from the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from norcim.emulator import Counters
from norcim.image import ImageContent


class FakeEngine:
    """Answers every sample with the image's first known answer."""

    def __init__(self, content: ImageContent) -> None:
        self._answer = np.frombuffer(content.kat_output, np.uint8)
        self._port = next(port for port in content.ports if port.is_output)
        self._n = 0

    def run(self, inputs: Sequence[Any], *, counters: bool = False) -> list[Any]:
        self._n = len(inputs[0])
        port = self._port
        shape = (self._n, port.h, port.w, port.c)
        return [np.resize(self._answer, shape)]

    def step(self, index: int, memory: Any) -> None:
        memory[...] = index

    @property
    def counters(self) -> tuple[Counters, ...]:
        return (Counters(0, self._n, 0, 0),)


class WrongEngine(FakeEngine):
    """As a device with a fault in one lane: one bit of the answer is wrong."""

    def run(self, inputs: Sequence[Any], *, counters: bool = False) -> list[Any]:
        outputs = super().run(inputs, counters=counters)
        outputs[0][0, 0, 0, 1] ^= 4
        return outputs
