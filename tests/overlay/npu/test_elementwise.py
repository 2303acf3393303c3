"""ADD and MUL: what lanes and digital stage give together, against norcim.arith."""

from __future__ import annotations

import numpy as np
import pytest

from norcim import arith
from norcim_overlay.npu.mac_lanes import Factor
from tests.overlay.npu.test_mac_lanes import N_LANES, Work
from tests.overlay.npu.test_requantise import drawn, run

AMOUNTS = [300, pytest.param(10**9, marks=pytest.mark.slow)]


def codes(value: int) -> tuple[list[int], int]:
    """A code in all lanes, and whether it has to be int8."""
    return [value] * N_LANES, int(value < 0)


@pytest.mark.parametrize("n_directed", AMOUNTS, ids=["some", "all"])
def test_add(n_directed: int) -> None:
    cases = drawn("add", "a b zp_a zp_b m_a m_b k zp lo hi", n_directed)
    work = Work({"factor": int(Factor.CONSTANT)})
    for a, b, zp_a, zp_b, m_a, m_b, *_ in cases:
        (first, signed), (second, signed_too) = codes(a), codes(b)
        work.add(first, first=1, zero_point=zp_a, constant=m_a, is_signed=signed)
        work.add(second, last=1, zero_point=zp_b, constant=m_b, is_signed=signed_too)
    sums = [row[0] for row in work.run()]
    got = run([(s, 0, 1, *case[6:]) for s, case in zip(sums, cases, strict=True)])
    for case, code in zip(cases, got, strict=True):
        a, b, zp_a, zp_b, m_a, m_b, k, zp, lo, hi = case
        assert code == int(arith.add(a, b, (zp_a, zp_b), (m_a, m_b), k, zp, lo, hi)), f"{case}"


@pytest.mark.parametrize("n_directed", AMOUNTS, ids=["some", "all"])
def test_multiply(n_directed: int) -> None:
    cases = drawn("multiply", "a b zp_a zp_b m k zp lo hi", n_directed)
    work = Work({"factor": int(Factor.HELD)})
    for a, b, zp_a, zp_b, *_ in cases:
        (first, signed), (second, signed_too) = codes(a), codes(b)
        work.add(first, first=1, hold=1, zero_point=zp_a, is_signed=signed)
        work.add(second, first=1, last=1, zero_point=zp_b, is_signed=signed_too)
    sums = [row[0] for row in work.run()]
    got = run([(s, 0, *case[4:]) for s, case in zip(sums, cases, strict=True)])
    for case, code in zip(cases, got, strict=True):
        a, b, zp_a, zp_b, m, k, zp, lo, hi = case
        assert code == int(arith.multiply(a, b, (zp_a, zp_b), m, k, zp, lo, hi)), f"{case}"


def test_halves_of_a_sum_go_up() -> None:
    sums = [1, -1, 3, -3]  # k = 1
    assert np.array_equal(run([(s, 0, 1, 1, 0, -128, 127) for s in sums]), [1, 0, 2, -1])
