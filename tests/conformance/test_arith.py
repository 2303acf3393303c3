"""`norcim.arith` against plain integers: worked facts, directed edges, a million random vectors."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from norcim import arith
from norcim.errors import NorcimError
from norcim.spec.program import Encoding, Rule
from tests.conformance import plain
from tests.conformance.vectors import Ints, Vectors, make_vectors

N_RANDOM = 1_000_000
N_PLAIN = 20_000


def _golden(op: str, v: Vectors) -> Ints:
    """What `norcim.arith` gives for vectors of one operation."""
    if op == "linear":
        return arith.convert(v["acc"], Rule.LINEAR, v["gain"], v["bits"])  # type: ignore[arg-type]
    if op == "wtm2101":
        return arith.convert(v["acc"], Rule.WTM2101, v["gain"])  # type: ignore[arg-type]
    if op == "requantise":
        return arith.requantise(v["s"], v["m"], v["k"], v["zp"], v["lo"], v["hi"])  # type: ignore[arg-type]
    if op == "shift_codes":
        return arith.shift_codes(v["s"], v["shift"], v["zp"], v["lo"], v["hi"])  # type: ignore[arg-type]
    zps: Any = (v["zp_a"], v["zp_b"])
    rest: Any = (v["k"], v["zp"], v["lo"], v["hi"])
    if op == "add":
        multipliers: Any = (v["m_a"], v["m_b"])
        return arith.add(v["a"], v["b"], zps, multipliers, *rest)
    return arith.multiply(v["a"], v["b"], zps, v["m"], *rest)  # type: ignore[arg-type]


PLAIN: dict[str, Callable[..., int]] = {
    "linear": plain.convert_linear,
    "wtm2101": plain.convert_wtm2101,
    "requantise": plain.requantise,
    "shift_codes": plain.shift_codes,
    "add": plain.add,
    "multiply": plain.multiply,
}


def _half_up(numerator: Ints, denominator: Ints) -> Ints:
    """Vectorised by division: (2 n + d) // (2 d)."""
    return np.floor_divide(2 * numerator + denominator, 2 * denominator)


def _by_division(op: str, v: Vectors) -> Ints:
    """The same operations once more, vectorised, by division: for the million."""
    if op == "linear":
        half = 2 ** (v["bits"] - 1)
        return np.minimum(np.maximum(_half_up(v["acc"], 2 ** v["gain"]), -half), half - 1)
    if op == "wtm2101":
        g = 2 ** v["gain"]
        towards_zero = (4 * v["acc"] - np.fmod(4 * v["acc"], g)) // g
        return np.minimum(np.maximum(np.floor_divide(towards_zero + 2, 4), -128), 127)
    if op == "shift_codes":
        value = _half_up(v["s"], 2 ** v["shift"])
    elif op == "requantise":
        value = _half_up(v["s"] * v["m"], 2 ** v["k"])
    elif op == "add":
        total = (v["a"] - v["zp_a"]) * v["m_a"] + (v["b"] - v["zp_b"]) * v["m_b"]
        value = _half_up(total, 2 ** v["k"])
    else:
        value = _half_up((v["a"] - v["zp_a"]) * (v["b"] - v["zp_b"]) * v["m"], 2 ** v["k"])
    return np.minimum(np.maximum(value + v["zp"], v["lo"]), v["hi"])


def _check_plain(op: str, v: Vectors, got: Ints) -> None:
    rows = zip(*(values.tolist() for values in v.values()), strict=True)
    for row, value in zip(rows, got.tolist(), strict=True):
        assert value == PLAIN[op](*row), dict(zip(v, row, strict=True))


@pytest.mark.parametrize("op", PLAIN)
def test_directed_edges_and_random_cases_against_plain_integers(op: str) -> None:
    v = make_vectors(op, N_PLAIN)
    assert len(next(iter(v.values()))) > N_PLAIN + 4000
    _check_plain(op, v, _golden(op, v))


@pytest.mark.slow
@pytest.mark.parametrize("op", PLAIN)
def test_a_million_random_vectors(op: str) -> None:
    v = make_vectors(op, N_RANDOM, seed=99)
    np.testing.assert_array_equal(_golden(op, v), _by_division(op, v))


@pytest.mark.parametrize("op", PLAIN)
def test_vectors_hold_ties_and_both_clamps(op: str) -> None:
    """A vector set that never meets a tie or a clamp would prove little."""
    v = make_vectors(op, 0)
    got = _golden(op, v)
    lo, hi = v.get("lo", got.min()), v.get("hi", got.max())
    assert np.count_nonzero(got == lo) > 50
    assert np.count_nonzero(got == hi) > 50
    numerator, denominator = _ratio(op, v)
    tie = (2 * numerator) % denominator == 0
    tie &= numerator % denominator != 0
    assert np.count_nonzero(tie & (numerator > 0)) > 50
    assert np.count_nonzero(tie & (numerator < 0)) > 50


def _ratio(op: str, v: Vectors) -> tuple[Ints, Ints]:
    """What is rounded, as numerator and denominator."""
    if op in ("linear", "wtm2101"):
        return v["acc"], 2 ** v["gain"]
    if op == "shift_codes":
        return v["s"], 2 ** v["shift"]
    if op == "requantise":
        return v["s"] * v["m"], 2 ** v["k"]
    if op == "add":
        total = (v["a"] - v["zp_a"]) * v["m_a"] + (v["b"] - v["zp_b"]) * v["m_b"]
        return total, 2 ** v["k"]
    return (v["a"] - v["zp_a"]) * (v["b"] - v["zp_b"]) * v["m"], 2 ** v["k"]


def test_vectors_are_the_same_each_time() -> None:
    first, second = make_vectors("add", 1000), make_vectors("add", 1000)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


# --- worked facts: computed by hand, not by any code ---


@pytest.mark.parametrize(
    ("acc", "code"),
    [
        (0, 0),
        (127, 0),  # 4 * 127 / 256 = 1.98 -> 1; (1 + 2) / 4 = 0.75 -> 0
        (128, 1),  # exact half: 2 -> 4 / 4 = 1
        (-128, 0),  # exact half: -2 -> 0 / 4 = 0
        (-129, 0),  # -2.02 -> -2 -> 0; one rounding would give -1
        (-160, 0),  # -0.625; one rounding would give -1
        (-191, 0),  # -2.98 -> -2 -> 0
        (-192, -1),  # -3 -> -1 / 4 -> -1
        (-256, -1),
        (-448, -2),  # -7 -> -5 / 4 = -1.25 -> -2
        (-447, -1),  # -6.98 -> -6 -> -4 / 4 = -1
        (32639, 127),
        (32640, 127),  # 510 -> 512 / 4 = 128, clamped
        (-32895, -128),  # -513.98 -> -513 -> -511 / 4 -> -128
        (-32896, -128),  # -514 -> -512 / 4 = -128
        (-32960, -128),  # -515 -> -513 / 4 -> -129, clamped
        (2**31 - 1, 127),
        (-(2**31), -128),
    ],
)
def test_wtm2101_rule_at_g_256(acc: int, code: int) -> None:
    assert arith.convert(acc, Rule.WTM2101, 8) == code


def test_wtm2101_rule_is_not_one_rounding() -> None:
    accs = np.arange(-1000, 1000)
    differ = arith.convert(accs, Rule.WTM2101, 8) != arith.convert(accs, Rule.LINEAR, 8, 8)
    assert differ.any()
    assert (accs[differ] < 0).all()


@pytest.mark.parametrize(
    ("acc", "gain", "bits", "code"),
    [
        (7, 0, 8, 7),
        (4, 3, 8, 1),  # 0.5 up
        (-4, 3, 8, 0),  # -0.5 up
        (-5, 3, 8, -1),
        (-12, 3, 8, -1),  # -1.5 up
        (1020, 3, 8, 127),  # 127.5 -> 128, clamped
        (-1028, 3, 8, -128),  # -128.5 -> -128
        (-1029, 3, 8, -128),  # -129, clamped
        (1, 1, 2, 1),
        (3, 1, 2, 1),
        (-7, 1, 2, -2),
        (2**31 - 1, 16, 16, 32767),
        (2**31 - 1, 30, 16, 2),
    ],
)
def test_linear_rule(acc: int, gain: int, bits: int, code: int) -> None:
    assert arith.convert(acc, Rule.LINEAR, gain, bits) == code


def test_lossless_rule_keeps_every_sum() -> None:
    accs = [-(2**31), -1, 0, 2**31 - 1]
    assert arith.convert(accs, Rule.LOSSLESS, 5).tolist() == accs
    assert arith.count_saturated(accs, Rule.LOSSLESS) == 0


def test_saturations_are_counted_where_the_code_is_clipped_only() -> None:
    accs = [-1029, -1028, 0, 1019, 1020]  # -128.625, -128.5, 0, 127.375, 127.5 at 2^3
    assert arith.count_saturated(accs, Rule.LINEAR, 3, 8) == 2
    assert arith.count_saturated([32639, 32640, -32896, -32960], Rule.WTM2101, 8) == 2


@pytest.mark.parametrize("op", ["linear", "wtm2101"])
def test_saturation_count_against_plain_integers(op: str) -> None:
    v = make_vectors(op, 2000)
    rows = list(zip(*(values.tolist() for values in v.values()), strict=True))[::7]
    for row in rows:
        if op == "linear":
            acc, gain, bits = row
            code, half = plain.round_half_up(acc, 2**gain), 2 ** (bits - 1)
            got = arith.count_saturated(acc, Rule.LINEAR, gain, bits)
        else:
            acc, gain = row
            code, half = plain.unclamped_wtm2101(acc, gain), 128
            got = arith.count_saturated(acc, Rule.WTM2101, gain)
        assert got == (not -half <= code <= half - 1), row


def test_unknown_rule_and_encoding_are_refused() -> None:
    with pytest.raises(NorcimError, match="NC-E0901"):
        arith.convert(0, 3)
    with pytest.raises(NorcimError, match="NC-E0902"):
        arith.encode_rows([0], 3)


@pytest.mark.parametrize(
    ("s", "m", "k", "zp", "y"),
    [
        (5, 32768, 15, 0, 5),  # identity
        (-(2**31), 32768, 15, 0, -32768),
        (1, 32768, 16, 0, 1),  # 0.5 up
        (-1, 32768, 16, 0, 0),  # -0.5 up
        (-3, 32768, 16, 0, -1),  # -1.5 up
        (-3, 32769, 16, 0, -2),  # just below
        (1, 65535, 17, 0, 0),  # just below a half
        (1, 32768, 16, -7, -6),  # the zero point comes after the shift
        (2**31 - 1, 65535, 47, 0, 1),
        (-(2**31), 65535, 47, 0, -1),
        (2**31 - 1, 32768, 47, 0, 0),  # 2^46 - 2^15 under a half of 2^47
        (-(2**31), 32768, 47, 0, 0),  # exactly -1/2, up
    ],
)
def test_requantise(s: int, m: int, k: int, zp: int, y: int) -> None:
    assert arith.requantise(s, m, k, zp, -32768, 32767) == y


def test_requantise_per_column() -> None:
    y = arith.requantise([[10, 10], [-10, -10]], [32768, 65535], [15, 17], 1, -5, 9)
    assert y.tolist() == [[9, 6], [-5, -4]]


def test_align_is_a_left_shift_of_either_sign() -> None:
    assert arith.align_codes([-128, -1, 0, 127], 3).tolist() == [-1024, -8, 0, 1016]


def test_encode_direct_and_offset() -> None:
    assert arith.encode_rows([0, 200, 255], Encoding.DIRECT).tolist() == [0, 200, 255]
    assert arith.encode_rows([-128, 0, 127], Encoding.OFFSET).tolist() == [0, 128, 255]


def test_encode_pn_worked() -> None:
    assert arith.encode_rows([-128, -3, 5], Encoding.PN, -3).tolist() == [0, 0, 8, 125, 0, 0]


def test_encode_pn_for_every_code_and_zero_point() -> None:
    codes = list(range(-128, 128))
    for zp in range(-128, 128):
        assert arith.encode_rows(codes, Encoding.PN, zp).tolist() == plain.encode_pn(codes, zp)


def test_encodings_give_the_same_product() -> None:
    """x . w by offset encoding and by the p/n split, exactly."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(-128, 128, (50, 20)), rng.integers(-128, 128, (20, 6))
    due = (x + 3) @ w
    offset = arith.encode_rows(x, Encoding.OFFSET) @ w - 125 * w.sum(axis=0)
    split = arith.encode_rows(x, Encoding.PN, -3) @ np.concatenate([w, -w])
    np.testing.assert_array_equal(offset, due)
    np.testing.assert_array_equal(split, due)


def test_lookup_takes_the_code_as_an_unsigned_byte() -> None:
    table = np.arange(256, dtype=np.uint8)[::-1].copy()
    assert arith.lookup([-128, -1, 0, 127, 255], table).tolist() == [127, 0, 255, 128, 0]


def test_max_pool() -> None:
    windows = [[-128, -5, 127], [-128, -128, -128], [9, 9, 9]]
    inside = [[True, True, False], [False, True, False], [False] * 3]
    assert arith.max_pool(windows, inside).tolist() == [-5, -128, -32768]


def _random_windows(seed: int, n: int, size: int) -> tuple[list[list[int]], random.Random]:
    rng = random.Random(seed)
    return [[rng.choice((-128, 127, rng.randint(-128, 127))) for _ in range(size)]
            for _ in range(n)], rng  # fmt: skip


def test_max_pool_against_plain_integers() -> None:
    windows, rng = _random_windows(1, 2000, 9)
    inside = [[rng.random() < 0.7 for _ in window] for window in windows]
    due = [plain.max_pool(*case) for case in zip(windows, inside, strict=True)]
    assert arith.max_pool(windows, inside).tolist() == due


def test_average_pool_worked() -> None:
    """(1 + 2 - 2 + 2) / 4 = 0.75, / 2 -> 0.375; and a sum of 2 over 4 is an exact half: up."""
    m, k = 2**15, 17  # 1 / 4
    assert arith.average_pool([1, 2, -2, 2], 0, m, k, 0, -128, 127) == 1
    assert arith.average_pool([0, 0, 1, 1], 0, m, k, 0, -128, 127) == 1
    assert arith.average_pool([0, 0, -1, -1], 0, m, k, 0, -128, 127) == 0
    assert arith.average_pool([5, 5, 5, 5], 3, m, k, -10, -128, 127) == -8


def test_average_pool_against_plain_integers() -> None:
    windows, rng = _random_windows(2, 5000, 12)
    for zp_in in (-128, -1, 0, 127):
        m = [rng.choice((2**15, 2**16 - 1, rng.randrange(2**15, 2**16))) for _ in windows]
        k = [rng.randint(10, 25) for _ in windows]
        due = [plain.average_pool(codes, zp_in, *mk, 4, -128, 127)
               for codes, *mk in zip(windows, m, k, strict=True)]  # fmt: skip
        assert arith.average_pool(windows, zp_in, m, k, 4, -128, 127).tolist() == due


def test_average_of_equal_codes_is_that_code() -> None:
    """For every count up to 4,096: the reciprocal's error never moves an exact average."""
    for count in (*range(1, 130), 225, 1000, 4096):
        m, k = arith.encode_multiplier(1 / count)
        for code in (-128, -1, 1, 127):
            assert arith.requantise(code * count, m, k, 0, -128, 127) == code


def test_softmax_worked() -> None:
    table = arith.softmax_table(0.5)
    assert table[:3].tolist() == [65535, 39749, 24109]  # 65535 * exp(-1/2), exp(-1)
    assert arith.softmax([7], table, 0, 255).tolist() == [255]  # 256 is capped
    assert arith.softmax([3, 3], table, -128, 127).tolist() == [0, 0]
    assert arith.softmax([-128, 127], table, -128, 127).tolist() == [-128, 127]


@pytest.mark.parametrize("size", [1, 2, 3, 12, 1000])
def test_softmax_against_plain_integers(size: int) -> None:
    codes, _ = _random_windows(size, 20_000 // (size + 10), size)
    for scale, (zp, hi) in product((0.001, 0.07, 1.0), ((-128, 127), (0, 255))):
        table = arith.softmax_table(scale)
        due = [plain.softmax(row, table.tolist(), zp, hi) for row in codes]
        assert arith.softmax(codes, table, zp, hi).tolist() == due


@pytest.mark.slow
def test_a_million_softmax_values() -> None:
    """By quotient and remainder instead of one division."""
    rng = np.random.default_rng(3)
    codes = rng.integers(-128, 128, (N_RANDOM // 10, 10))
    table = arith.softmax_table(0.04)
    e = np.take(table, codes.max(axis=1)[:, None] - codes)
    total = e.sum(axis=1)[:, None]
    quotient, remainder = np.divmod(256 * e, total)
    due = np.minimum(quotient + (remainder + total // 2 >= total) - 128, 127)
    np.testing.assert_array_equal(arith.softmax(codes, table, -128, 127), due)


@pytest.mark.slow
def test_a_million_of_the_other_operations() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(-128, 128, (N_RANDOM, 4))
    inside = rng.random((N_RANDOM, 4)) < 0.8
    due = np.full(N_RANDOM, -32768)
    for index in range(4):
        due = np.where(inside[:, index] & (codes[:, index] > due), codes[:, index], due)
    np.testing.assert_array_equal(arith.max_pool(codes, inside), due)

    m, k = rng.integers(2**15, 2**16, N_RANDOM), rng.integers(1, 40, N_RANDOM)
    total = sum(codes[:, index] for index in range(4)) + 4 * 7
    due = np.clip(_half_up(total * m, 2**k) - 3, -128, 127)
    np.testing.assert_array_equal(arith.average_pool(codes, -7, m, k, -3, -128, 127), due)

    centred = codes - 11
    due = np.concatenate([centred * (centred > 0), -centred * (centred < 0)], axis=1)
    np.testing.assert_array_equal(arith.encode_rows(codes, Encoding.PN, 11), due)

    table = rng.integers(0, 256, 256).astype(np.uint8)
    np.testing.assert_array_equal(arith.lookup(codes, table), np.take(table, codes % 256))


def test_encode_multiplier_is_the_nearest() -> None:
    """|m / 2^k - scale| is at most half a step, and m has its top bit set."""
    rng = random.Random(8)
    scales = [rng.uniform(1, 2) * 2.0 ** rng.randint(-31, 13) for _ in range(5000)]
    for scale in (*scales, 1.0, 0.5, 1 / 3, 2.0**-32, 32767.0, 0.99999, 1 - 2**-53):
        m, k = arith.encode_multiplier(scale)
        assert 2**15 <= m < 2**16
        assert 1 <= k <= 47
        assert abs(Fraction(m, 2**k) - Fraction(scale)) <= Fraction(1, 2 ** (k + 1))


def test_encode_multiplier_at_its_ends() -> None:
    assert arith.encode_multiplier(1.0) == (32768, 15)
    assert arith.encode_multiplier(1e-30) == (32768, 47)
    assert arith.encode_multiplier(32767.9999) == (65535, 1)
    for scale in (0.0, -1.0, 32768.0, float("nan"), float("inf")):
        with pytest.raises(NorcimError, match="NC-E0401"):
            arith.encode_multiplier(scale)


def test_encode_shared_shift() -> None:
    assert arith.encode_shared_shift((1.0, 0.5)) == ((32768, 16384), 15)
    assert arith.encode_shared_shift((0.25, 1e-9)) == ((32768, 0), 17)
    rng = random.Random(9)
    for _ in range(2000):
        scales = (rng.uniform(1e-4, 4), rng.uniform(1e-4, 4))
        multipliers, k = arith.encode_shared_shift(scales)
        assert 2**15 <= max(multipliers) < 2**16
        for m, scale in zip(multipliers, scales, strict=True):
            assert abs(Fraction(m, 2**k) - Fraction(scale)) <= Fraction(1, 2 ** (k + 1))


def test_arg_max_takes_the_first_of_the_largest() -> None:
    assert arith.arg_max([[3, 7, 7], [-128, -128, -129]]).tolist() == [[1], [0]]


def test_update_against_plain_integers() -> None:
    """Random codes, and the edges: saturation at both ends, ties, the largest multipliers."""
    rng = np.random.default_rng(9)
    seen = set()
    for _ in range(500):
        c = 7
        gates, new = rng.integers(-128, 256, (2, c)), rng.integers(-128, 256, c)
        state = rng.integers(-128, 128, (2, c))
        multipliers = tuple(int(m) for m in rng.choice([0, 1, 128, 65535], 2))
        k = int(rng.choice([1, 8, 16, 24, 47]))
        found = arith.update(gates, new, state, (5, -9), (multipliers[0], multipliers[1]), k)
        for i in range(c):
            due = plain.update(
                int(gates[0, i]) - 5, int(gates[1, i]) - 5, int(new[i]) + 9,
                (int(state[0, i]), int(state[1, i])), (multipliers[0], multipliers[1]), k,
            )  # fmt: skip
            assert tuple(found[:, i]) == due
            seen.add(due)
    assert {(-128, 0), (127, 127)} <= seen


def test_a_state_is_split_and_joined_without_loss() -> None:
    values = np.arange(-32768, 32640)
    state = arith.split_state(values)
    assert np.array_equal(arith.join_state(state), values)
    assert state.min() == -128
    assert state.max() == 127
    assert np.abs(256 * state[0] - values).max() <= 128
