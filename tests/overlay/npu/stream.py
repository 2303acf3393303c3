"""Runs vectors through a pipelined component in Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.sim import Simulator


def stream(
    component: Any, latency: int, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    """One vector a cycle in, what comes out `latency` cycles later.

    inputs   arrays of the same length by the name of the component's member
    outputs  names of the members to record
    """
    n = len(next(iter(inputs.values())))
    columns = [(getattr(component, name), values.tolist()) for name, values in inputs.items()]
    watched = [getattr(component, name) for name in outputs]
    found: list[list[int]] = [[] for _ in watched]

    async def testbench(ctx: Any) -> None:
        for cycle in range(n + latency):
            if cycle < n:
                for signal, values in columns:
                    ctx.set(signal, values[cycle])
            if cycle >= latency:
                for signal, values in zip(watched, found, strict=True):
                    values.append(ctx.get(signal))
            await ctx.tick()

    simulate(component, testbench)
    return {name: np.array(values) for name, values in zip(outputs, found, strict=True)}


def simulate(component: Any, testbench: Any, *, clock: bool = True) -> None:
    """Run a test bench to its end at a clock of 1 MHz, or without one."""
    simulator = Simulator(component)
    if clock:
        simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
