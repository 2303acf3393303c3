"""The float32 forms are equal to the law wherever they claim to be, ties and edges included."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from norcim import arith
from norcim.arith.float32 import Rescale, friendly_multipliers, prove_rescale

Ints = npt.NDArray[np.int64]


def fast(rescale: Rescale, acc: Ints) -> Ints:
    """What the proven constants give, computed here in plain float32 numpy."""
    sums = acc.astype(np.float32)
    y = np.rint((sums + rescale.bias) * rescale.scale) + np.float32(rescale.zero_point)
    y = np.clip(y, rescale.lo, rescale.hi)
    for patch in rescale.patches:
        y[:, patch.column][sums[:, patch.column] == np.float32(patch.acc)] = patch.code
    return y.astype(np.int64)


@pytest.mark.parametrize("scale", [0.4, 0.03, 0.004, 0.0007])
@pytest.mark.parametrize(("zero_point", "lo", "hi"), [(0, 0, 255), (-128, -128, 127), (5, 0, 127)])
def test_every_sum_around_every_step_is_right(
    scale: float, zero_point: int, lo: int, hi: int
) -> None:
    rng = np.random.default_rng(int(scale * 1e6) + hi)
    pairs = [arith.encode_multiplier(scale * s) for s in rng.uniform(0.5, 1, 24)]
    pairs += [(1 << 15, pairs[0][1]), (49152, pairs[0][1])]  # exact ties occur here
    m, k = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    bias = rng.integers(-3000, 3000, len(m))
    bound = np.full(len(m), 1 << 21)
    rescale = prove_rescale(bias, m, k, zero_point, lo, hi, bound)
    assert rescale is not None
    y = np.arange(lo - 2, hi + 3)[:, None]
    centre = np.floor((y - zero_point - 0.5) * 2.0**k / m).astype(np.int64) - bias
    acc = np.concatenate([centre + d for d in range(-3, 4)])
    acc = np.clip(
        np.concatenate([acc, rng.integers(-(1 << 21), 1 << 21, (5000, len(m)))]), -bound, bound
    )
    expected = arith.requantise(acc + bias, m, k, zero_point, lo, hi)
    assert np.array_equal(fast(rescale, acc), expected)


def test_a_product_that_rounds_to_a_half_is_patched_or_avoided() -> None:
    # 0.00071: steps are close to float32's resolution, so plain constants fail in some columns.
    rng = np.random.default_rng(1)
    pairs = [arith.encode_multiplier(0.00071 * s) for s in rng.uniform(0.5, 1, 64)]
    m, k = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    zeros, bound = np.zeros(64, np.int64), np.full(64, 1 << 20)
    rescale = prove_rescale(zeros, m, k, 0, 0, 255, bound)
    assert rescale is not None
    assert rescale.patches
    for patch in rescale.patches:
        column = patch.column
        law = arith.requantise(int(patch.acc), m[column], k[column], 0, 0, 255)
        assert law == patch.code
        plain = np.float32(patch.acc) * np.ldexp(np.float32(m[column]), -int(k[column]))
        assert abs(plain - np.rint(plain)) == 0.5


def test_sums_beyond_24_bits_have_no_float32_form() -> None:
    one = np.array([1], np.int64)
    assert prove_rescale(0 * one, one << 15, one * 15, 0, 0, 255, one << 25) is None


def test_friendly_multipliers_need_no_patch_and_stay_within_two() -> None:
    rng = np.random.default_rng(2)
    pairs = [arith.encode_multiplier(0.003 * s) for s in rng.uniform(0.5, 1, 64)]
    m, k = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    bias, bound = rng.integers(-500, 500, 64), np.full(64, 1 << 18)
    chosen = friendly_multipliers(bias, m, k, 0, 0, 255, bound)
    assert np.abs(chosen - m).max() <= 2
    before = prove_rescale(bias, m, k, 0, 0, 255, bound)
    after = prove_rescale(bias, chosen, k, 0, 0, 255, bound)
    assert before is not None
    assert after is not None
    assert len(after.patches) < len(before.patches)


def test_multiples_of_a_step_are_proven_on_their_lattice_only() -> None:
    # Codes shifted left by 8: 256 sums in all, so even a small scale needs no patch.
    m, k = (np.array([v], np.int64) for v in arith.encode_multiplier(0.9 / 256))
    bias, bound = np.array([37], np.int64), np.array([128 << 8], np.int64)
    rescale = prove_rescale(bias, m, k, 0, 0, 255, bound, step=256)
    assert rescale is not None
    assert not rescale.patches
    acc = (np.arange(-128, 128) << 8)[:, None]
    assert np.array_equal(fast(rescale, acc), arith.requantise(acc + bias, m, k, 0, 0, 255))
