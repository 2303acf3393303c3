"""Conformance vectors of the integer operations: directed edges, then seeded random ones.

`make_vectors(op, n_random)` gives the inputs of one operation as int64 arrays by argument name,
one case an element. Expected outputs are what `norcim.arith` gives for them. The tests of the
emulator, of the gateware and of the C library all draw from here.

    python -m tests.conformance.vectors OP N_RANDOM FILE.npz     write them for another tool
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Vectors = dict[str, Ints]

SEED = 20240607
ACC_EDGES = (-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1)
MULTIPLIERS = (2**15, 2**15 + 1, 40503, 49152, 2**16 - 2, 2**16 - 1)
CLAMPS = ((-128, 127), (0, 255), (0, 127), (-128, -128), (255, 255), (-32768, 32767))
ZERO_POINTS = (-128, -1, 0, 1, 127, 255)
CODES = (-128, -127, -1, 0, 1, 126, 127, 128, 254, 255)


def _stack(names: str, rows: Iterable[tuple[int, ...]]) -> Vectors:
    """Rows of values as one array for each name, without repetitions."""
    table = np.array(sorted(set(rows)), np.int64)
    return dict(zip(names.split(), table.T, strict=True))


def _join(first: Vectors, second: Vectors) -> Vectors:
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def _clamps(rng: np.random.Generator, n: int) -> tuple[Ints, Ints]:
    """Random lo <= hi: mostly real code ranges, sometimes anything."""
    chosen = np.array(CLAMPS, np.int64)[rng.integers(0, len(CLAMPS), n)]
    pair = np.sort(rng.integers(-128, 256, (n, 2)), axis=1)
    odd = rng.random(n) < 0.3
    return np.where(odd, pair[:, 0], chosen[:, 0]), np.where(odd, pair[:, 1], chosen[:, 1])


def _sums(rng: np.random.Generator, n: int) -> Ints:
    """Random 32-bit sums, all magnitudes alike often."""
    size = rng.integers(1, 32, n)
    return rng.integers(-(2**31), 2**31, n) >> (31 - size)


def linear(rng: np.random.Generator, n: int) -> Vectors:
    """convert, rule LINEAR: acc, gain 0..30, bits 2..16. Every tie near 0 and near both clamps."""
    rows = []
    for gain, bits in product(range(31), (2, 3, 7, 8, 9, 12, 16)):
        step, hi = 1 << gain, (1 << (bits - 1)) - 1
        codes = {*range(-3, 4), *range(-hi - 3, -hi + 2), *range(hi - 2, hi + 3)}
        for code, offset in product(codes, (-1, 0, 1)):
            for acc in (code * step + offset, code * step + step // 2 + offset):
                if abs(acc) < 2**31:
                    rows.append((acc, gain, bits))
        rows += [(acc, gain, bits) for acc in ACC_EDGES]
    random = {"acc": _sums(rng, n), "gain": rng.integers(0, 31, n), "bits": rng.integers(2, 17, n)}
    return _join(_stack("acc gain bits", rows), random)


def wtm2101(rng: np.random.Generator, n: int) -> Vectors:
    """convert, rule WTM2101: acc, gain 2^8..2^13 (and 0..30). Every quarter step of the range."""
    rows = []
    for gain in range(31):
        quarters = range(-520, 521) if 8 <= gain <= 13 else (*range(-9, 10), *range(500, 521))
        for quarter, offset in product(quarters, (-1, 0, 1)):
            acc = (quarter << gain) // 4 + offset
            rows += [(value, gain) for value in (acc, -acc) if abs(value) < 2**31]
        rows += [(acc, gain) for acc in ACC_EDGES]
    random = {"acc": _sums(rng, n), "gain": rng.integers(0, 31, n)}
    return _join(_stack("acc gain", rows), random)


def requantise(rng: np.random.Generator, n: int) -> Vectors:
    """requantise: s, m, k 1..47, zp, lo, hi. Ties for every k, all extremes."""
    rows = []
    for m, k in product(MULTIPLIERS, range(1, 48)):
        ties = {(2 * odd + 1) << (k - 1 - shift) for odd in range(-2, 2) for shift in (0, 14, 15)
                if k - 1 >= shift}  # fmt: skip
        near = {int(x * 2**k / m) for x in (-128.5, -127.5, 127.5, 128.5, 254.5, 255.5)}
        sums = {tie + d for tie in ties | near for d in (-1, 0, 1)} | set(ACC_EDGES)
        for s in sums:
            if -(2**31) <= s < 2**31:
                lo, hi = CLAMPS[(m + k + s) % len(CLAMPS)]
                rows.append((s, m, k, ZERO_POINTS[(s + k) % len(ZERO_POINTS)], lo, hi))
                rows.append((s, m, k, 0, -32768, 32767))
    lo, hi = _clamps(rng, n)
    random = {"s": _sums(rng, n), "m": rng.integers(2**15, 2**16, n), "k": rng.integers(1, 48, n),
              "zp": rng.integers(-128, 256, n), "lo": lo, "hi": hi}  # fmt: skip
    return _join(_stack("s m k zp lo hi", rows), random)


def shift_codes(rng: np.random.Generator, n: int) -> Vectors:
    """shift_codes: s, shift 0..30, zp, lo, hi."""
    rows = []
    for shift, (lo, hi), zp in product(range(31), CLAMPS, ZERO_POINTS):
        step = 1 << shift
        for code in (-129, -128, -2, -1, 0, 1, 127, 128, 255):
            for s in (code * step - 1, code * step, code * step + step // 2 - 1,
                      code * step + step // 2):  # fmt: skip
                if abs(s) < 2**31:
                    rows.append((s, shift, zp, lo, hi))
    lo_hi = _clamps(rng, n)
    random = {"s": _sums(rng, n), "shift": rng.integers(0, 31, n),
              "zp": rng.integers(-128, 256, n), "lo": lo_hi[0], "hi": lo_hi[1]}  # fmt: skip
    return _join(_stack("s shift zp lo hi", rows), random)


def add(rng: np.random.Generator, n: int) -> Vectors:
    """add: codes a and b, zp_a, zp_b, m_a, m_b 0..65535, k 1..47, zp, lo, hi. Ties, both signs."""
    rows = []
    pairs = ((2**15, 2**15), (2**16 - 1, 0), (0, 2**16 - 1), (2**15, 1), (65535, 65535))
    for a, b, k in product(CODES, CODES, (1, 2, 15, 16, 17, 24, 31, 46, 47)):
        for m_a, m_b in pairs:
            zp_a, zp_b = ZERO_POINTS[(a + k) % 6], ZERO_POINTS[(b + k) % 6]
            lo, hi = CLAMPS[(a + b + k) % len(CLAMPS)]
            rows.append((a, b, zp_a, zp_b, m_a, m_b, k, ZERO_POINTS[(a + b) % 6], lo, hi))
            rows.append((a, b, 0, 0, m_a, m_b, k, 0, -32768, 32767))
    lo, hi = _clamps(rng, n)
    random = {"a": rng.integers(-128, 256, n), "b": rng.integers(-128, 256, n),
              "zp_a": rng.integers(-128, 256, n), "zp_b": rng.integers(-128, 256, n),
              "m_a": rng.integers(0, 2**16, n), "m_b": rng.integers(0, 2**16, n),
              "k": rng.integers(1, 48, n), "zp": rng.integers(-128, 256, n),
              "lo": lo, "hi": hi}  # fmt: skip
    return _join(_stack("a b zp_a zp_b m_a m_b k zp lo hi", rows), random)


def multiply(rng: np.random.Generator, n: int) -> Vectors:
    """multiply: codes a and b, zp_a, zp_b, m, k 1..47, zp, lo, hi. Ties of both signs."""
    rows = []
    for a, b, k, m in product(CODES, CODES, (1, 14, 15, 16, 17, 22, 23, 30, 47), MULTIPLIERS):
        zp_a, zp_b = ZERO_POINTS[(a + k) % 6], ZERO_POINTS[(b + m) % 6]
        lo, hi = CLAMPS[(a + b + k) % len(CLAMPS)]
        rows.append((a, b, zp_a, zp_b, m, k, ZERO_POINTS[(a + b) % 6], lo, hi))
        rows.append((a, b, 0, 0, m, k, 0, -32768, 32767))
    lo, hi = _clamps(rng, n)
    random = {"a": rng.integers(-128, 256, n), "b": rng.integers(-128, 256, n),
              "zp_a": rng.integers(-128, 256, n), "zp_b": rng.integers(-128, 256, n),
              "m": rng.integers(2**15, 2**16, n), "k": rng.integers(1, 48, n),
              "zp": rng.integers(-128, 256, n), "lo": lo, "hi": hi}  # fmt: skip
    return _join(_stack("a b zp_a zp_b m k zp lo hi", rows), random)


OPS: dict[str, Callable[[np.random.Generator, int], Vectors]] = {
    "linear": linear,
    "wtm2101": wtm2101,
    "requantise": requantise,
    "shift_codes": shift_codes,
    "add": add,
    "multiply": multiply,
}


def make_vectors(op: str, n_random: int, seed: int = SEED) -> Vectors:
    """Inputs of one operation: all directed cases, then `n_random` random ones."""
    return OPS[op](np.random.default_rng([seed, sorted(OPS).index(op)]), n_random)


if __name__ == "__main__":
    np.savez_compressed(
        sys.argv[3], allow_pickle=False, **make_vectors(sys.argv[1], int(sys.argv[2]))
    )
