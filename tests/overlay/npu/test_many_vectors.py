"""A hundred thousand random vectors and all directed ones through every block of the data path."""

from __future__ import annotations

import numpy as np
import pytest

from norcim import arith
from norcim.spec.program import BIAS_DRIVE, Encoding, Rule
from norcim_overlay.npu.converter import Converter
from norcim_overlay.npu.requantise import Requantise
from norcim_overlay.npu.table import Table
from norcim_overlay.npu.vector_memory import VectorMemory
from tests.conformance.vectors import make_vectors
from tests.overlay.npu.blocks import BlockBench

N_RANDOM = 100_000

pytestmark = pytest.mark.slow


def later(values: np.ndarray, latency: int) -> np.ndarray:
    """Inputs with `latency` further cycles behind them."""
    return np.concatenate([values, np.repeat(values[-1:], latency, axis=0)])


def same(found: np.ndarray, expected: np.ndarray, **case: np.ndarray) -> None:
    """Fails with the first vector that differs."""
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        i = wrong[0]
        where = ", ".join(f"{name} {values[i]}" for name, values in case.items())
        pytest.fail(f"{len(wrong)} differ; {i}: {where}: {found[i]}, not {expected[i]}")


def test_encoder(bench: BlockBench) -> None:
    rng = np.random.default_rng(1)
    code, zero_point = rng.integers(-128, 256, (2, 2 * N_RANDOM))
    edges = np.array([(c, z) for c in (-128, -1, 0, 127, 128, 255) for z in (-128, 0, 127, 255)])
    code, zero_point = (np.append(a, b) for a, b in zip((code, zero_point), edges.T, strict=True))
    negative, bias = rng.integers(0, 2, len(code)), rng.random(len(code)) < 0.05
    for encoding in Encoding:
        rows = arith.encode_rows(code[:, None], encoding, zero_point[:, None])
        chosen = np.where(negative & (encoding == Encoding.PN), rows[:, -1], rows[:, 0])
        got = bench.run(
            "encoder", code=code, zero_point=zero_point, negative=negative, bias=bias,
            encoding=int(encoding),
        )  # fmt: skip
        same(got["drive"], np.where(bias, BIAS_DRIVE, chosen), code=code, zp=zero_point)


@pytest.mark.parametrize("rule", list(Rule))
def test_converter(bench: BlockBench, rule: Rule) -> None:
    v = make_vectors("linear" if rule == Rule.LOSSLESS else rule.name.lower(), N_RANDOM)
    acc, gain, bits = v["acc"], v["gain"], v.get("bits", np.full(len(v["acc"]), 8))
    n = Converter.LATENCY
    got = bench.run(
        "converter", acc=later(acc, n), gain=later(gain, n), bits=later(bits, n), rule=int(rule)
    )
    code, saturated = got["code"][n:], got["saturated"][n:]
    expected = np.empty_like(acc)
    for g, b in np.unique(np.stack([gain, bits]), axis=1).T.tolist():
        group = (gain == g) & (bits == b)
        expected[group] = arith.convert(acc[group], rule, g, b)
        ends = (expected[group].min(), expected[group].max())
        assert saturated[group].sum() == arith.count_saturated(acc[group], rule, g, b), (g, b)
        assert np.isin(code[group][saturated[group] == 1], ends).all(), (g, b)
    same(code, expected, acc=acc, gain=gain, bits=bits)


@pytest.mark.parametrize("op", ["requantise", "shift_codes"])
def test_requantiser(bench: BlockBench, op: str) -> None:
    """One sum a cycle; the pipeline is left to empty where zero point or clamp change."""
    v = make_vectors(op, N_RANDOM)
    s, k, m = v["s"], v.get("k", v.get("shift")), v.get("m", np.ones_like(v["s"]))
    rng = np.random.default_rng(2)
    shared = np.stack([v["zp"], v["lo"], v["hi"]])
    first = len(s) - N_RANDOM
    shared[:, first:] = shared[:, first + rng.integers(0, 300, N_RANDOM)]
    bias = np.where(np.arange(len(s)) < first, 0, rng.integers(-(2**20), 2**20, len(s)))
    bias = np.where(abs(s - bias) < 2**31, bias, 0)
    order = np.lexsort(shared)
    changes = np.flatnonzero(np.any(np.diff(shared[:, order]), axis=0)) + 1
    n = Requantise.LATENCY
    gaps = np.zeros(len(s), np.int64)
    gaps[changes] = n
    at = np.arange(len(s)) + np.cumsum(gaps)
    source = order[np.searchsorted(at, np.arange(at[-1] + n + 1), side="right") - 1]
    got = bench.run(
        "requantise", total=(s - bias)[source], bias=bias[source], multiplier=m[source],
        shift=k[source], zero_point=shared[0][source], lo=shared[1][source], hi=shared[2][source],
    )  # fmt: skip
    found = np.empty_like(s)
    found[order] = got["code"][at + n]
    if op == "requantise":
        expected = arith.requantise(s, m, k, *shared)  # type: ignore[call-arg]
    else:
        half = (np.int64(1) << k) >> 1
        expected = np.clip(((s + half) >> k) + shared[0], shared[1], shared[2])
        for i in rng.integers(0, len(s), 2000):
            args = [int(x[i]) for x in (s, k, *shared)]
            assert arith.shift_codes(*args) == expected[i]
    same(found, expected, s=s, m=m, k=k, zp=shared[0], lo=shared[1], hi=shared[2])


def test_table(bench: BlockBench) -> None:
    rng = np.random.default_rng(3)
    entries = rng.integers(0, 256, 256).astype(np.uint8)
    index = np.concatenate([np.stack([np.arange(256), np.arange(256)[::-1]], 1),
                            rng.integers(0, 256, (N_RANDOM, 2))])  # fmt: skip
    zeros = np.zeros(len(index), np.int64)
    words = np.concatenate([entries.view("<u4").astype(np.int64), zeros])
    write = np.concatenate([np.ones(64, np.int64), zeros])
    place = np.concatenate([np.arange(64), zeros])
    index = later(np.concatenate([np.zeros((64, 2), np.int64), index]), Table.LATENCY)
    n = Table.LATENCY
    got = bench.run(
        "table", write=later(write, n), write_index=later(place, n), write_data=later(words, n),
        index__0=index[:, 0], index__1=index[:, 1],
    )  # fmt: skip
    for port in range(2):
        same(got[f"value.{port}"][64 + n :], arith.lookup(index[64:-n, port], entries))


def test_vector_memory(bench: BlockBench) -> None:
    """A random write and a random read each cycle, 8 banks, 4 bytes written at most."""
    rng, n_bytes, n = np.random.default_rng(4), 256, VectorMemory.LATENCY
    cycles = N_RANDOM + n_bytes // 4
    read = rng.integers(0, n_bytes, cycles)
    count = rng.integers(0, 5, cycles)
    addr = rng.integers(0, n_bytes - 4, cycles, endpoint=True)
    write, values = rng.random(cycles) < 0.7, rng.integers(0, 256, (cycles, 4))
    fill = n_bytes // 4
    addr[:fill], count[:fill], write[:fill] = 4 * np.arange(fill), 4, True
    got = bench.run(
        "memory", read_addr=later(read, n), write=write.repeat(1 + (np.arange(cycles) == cycles - 1)
        * n), write_addr=later(addr, n), write_count=later(count, n),
        **{f"write_data__{i}": later(values[:, i], n) for i in range(4)},
    )  # fmt: skip
    found = np.stack([got[f"read_data.{i}"][n:] for i in range(8)], 1)
    memory, compared = np.zeros(n_bytes, np.int64), 0
    for t in range(cycles):
        a, c, r = addr[t], count[t] * write[t], read[t]
        last = min(r + 8, n_bytes)
        apart = c == 0 or last <= a or a + c <= r
        if t >= fill and apart:  # what a read gives beside a write of the same byte is undefined
            compared += last - r
            assert np.array_equal(found[t, : last - r], memory[r:last]), f"cycle {t}, address {r}"
        memory[a : a + c] = values[t, :c]
    assert compared > 5 * N_RANDOM
