"""PLL settings and the reset that waits for the clock."""

import pytest
from amaranth.sim import Simulator

from norcim_overlay.boards.clocks import VCO_HIGHEST, VCO_LOWEST, Reset, pll_dividers

N_CYCLES = 10


@pytest.mark.parametrize("out_hz", [25_000_000, 37_500_000, 50_000_000, 62_500_000, 75_000_000])
def test_pll_makes_the_clock_exactly(out_hz):
    d = pll_dividers(25_000_000, out_hz)
    assert 25_000_000 * d.feedback == out_hz * d.reference
    assert VCO_LOWEST <= out_hz * d.output <= VCO_HIGHEST


@pytest.mark.parametrize(
    ("out_hz", "dividers"), [(37_500_000, (2, 3, 16)), (50_000_000, (1, 2, 12))]
)
def test_dividers_are_those_of_ecppll(out_hz, dividers):
    d = pll_dividers(25_000_000, out_hz)
    assert (d.reference, d.feedback, d.output) == dividers


def test_clock_that_cannot_be_made():
    with pytest.raises(ValueError, match="no PLL setting"):
        pll_dividers(25_000_000, 60_000_000)


def run_reset(script):
    """The reset's value after each cycle of a script of (ready, request)."""
    dut, seen = Reset(N_CYCLES), []

    async def bench(ctx):
        for ready, request in script:
            ctx.set(dut.ready, ready)
            ctx.set(dut.request, request)
            await ctx.tick()
            seen.append(ctx.get(dut.rst))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return seen


def test_reset_lasts_until_the_clock_was_steady_long_enough():
    waiting = [(0, 0)] * 5
    seen = run_reset(waiting + [(1, 0)] * 30)
    assert all(seen[: 5 + N_CYCLES])
    assert not any(seen[5 + N_CYCLES + 4 :])


def test_losing_the_clock_resets_again():
    seen = run_reset([(1, 0)] * 30 + [(0, 0)] + [(1, 0)] * 30)
    assert not seen[29]
    assert sum(seen[30:]) >= N_CYCLES
    assert not seen[-1]


def test_request_gives_a_reset_of_its_own_length():
    seen = run_reset([(1, 0)] * 30 + [(1, 1)] + [(1, 0)] * 30)
    assert not seen[29]
    assert sum(seen[30:]) == N_CYCLES
    assert not seen[-1]
