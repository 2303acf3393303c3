"""The digital stage against norcim.arith."""

from __future__ import annotations

import numpy as np
import pytest

from norcim import arith
from norcim_overlay.npu.requantise import Requantise
from tests.conformance.vectors import make_vectors
from tests.overlay.npu.stream import simulate

N_RANDOM = 1500


def run(cases: list[tuple[int, ...]]) -> list[int]:
    """(s, bias, m, k, zp, lo, hi) to codes; zero point and clamp are steady in the pipeline."""
    stage = Requantise()
    codes = []

    async def testbench(ctx: object) -> None:
        stages = {"total": 0, "bias": 0, "multiplier": 0, "shift": 0, "zero_point": -2, "lo": -1}
        stages["hi"] = stages["lo"]
        for i in range(len(cases) + Requantise.LATENCY):
            for place, (name, stage_index) in enumerate(stages.items()):
                case = i - stage_index % Requantise.LATENCY
                if 0 <= case < len(cases):
                    ctx.set(getattr(stage, name), cases[case][place])
            if i >= Requantise.LATENCY:
                codes.append(ctx.get(stage.code))
            await ctx.tick()

    simulate(stage, testbench)
    return codes


def drawn(op: str, names: str, n_directed: int) -> list[tuple[int, ...]]:
    """Directed cases, drawn with a seed if there are too many, and random ones."""
    vectors = make_vectors(op, N_RANDOM)
    rows = np.stack([vectors[name] for name in names.split()], axis=1)
    n = len(rows) - N_RANDOM
    chosen = np.sort(np.random.default_rng(2).permutation(n)[:n_directed])
    return [tuple(row) for row in np.concatenate([rows[chosen], rows[n:]]).tolist()]


AMOUNTS = [3000, pytest.param(10**9, marks=pytest.mark.slow)]


@pytest.mark.parametrize("n_directed", AMOUNTS, ids=["some", "all"])
def test_vectors_give_the_golden_codes(n_directed: int) -> None:
    cases = drawn("requantise", "s m k zp lo hi", n_directed)
    got = run([(s, 0, m, k, zp, lo, hi) for s, m, k, zp, lo, hi in cases])
    for case, code in zip(cases, got, strict=True):
        assert code == int(arith.requantise(*case)), f"s, m, k, zp, lo, hi = {case}"


@pytest.mark.parametrize("n_directed", AMOUNTS, ids=["some", "all"])
def test_the_shift_stage_is_a_multiplier_of_one(n_directed: int) -> None:
    cases = drawn("shift_codes", "s shift zp lo hi", n_directed)
    got = run([(s, 0, 1, k, zp, lo, hi) for s, k, zp, lo, hi in cases])
    for case, code in zip(cases, got, strict=True):
        assert code == int(arith.shift_codes(*case)), f"s, k, zp, lo, hi = {case}"


def test_the_bias_is_added_before_the_multiplier() -> None:
    cases = [
        (100, 27, 1 << 15, 15, 0, -32768, 32767),
        (-(2**31), 2**31 - 1, 1 << 15, 15, 0, -32768, 32767),
        (2**31 - 1, -(2**31), 65535, 16, 5, -128, 127),
        (5, -4, 1 << 15, 16, 0, -128, 127),  # 1/2 goes up
        (-5, 4, 1 << 15, 16, 0, -128, 127),  # so does -1/2
    ]
    assert run(cases) == [127, -1, 4, 1, 0]
