"""The converter stage against norcim.arith."""

from __future__ import annotations

import numpy as np
import pytest

from norcim import arith
from norcim.spec.program import Rule
from norcim_overlay.npu.converter import Converter
from tests.conformance.vectors import ACC_EDGES, make_vectors
from tests.overlay.npu.stream import stream

N_RANDOM = 1500


def thinned(vectors: dict[str, np.ndarray], n: int, n_random: int) -> dict[str, np.ndarray]:
    """A seeded draw of n of the directed vectors, and all of the random ones."""
    total = len(vectors["gain"] if "gain" in vectors else next(iter(vectors.values())))
    directed = total - n_random
    rng = np.random.default_rng(1)
    chosen = np.sort(rng.permutation(directed)[:n])
    chosen = np.concatenate([chosen, np.arange(directed, total)])
    return {name: values[chosen] for name, values in vectors.items()}


def check(rule: Rule, v: dict[str, np.ndarray]) -> None:
    bits = v.get("bits", np.full(len(v["acc"]), 8))
    gain = v.get("gain", np.zeros(len(v["acc"]), np.int64))
    inputs = {"acc": v["acc"], "gain": gain, "bits": bits, "rule": np.full(len(bits), rule)}
    got = stream(Converter(), Converter.LATENCY, inputs, ("code", "saturated"))
    for i, (acc, g, b) in enumerate(zip(v["acc"], gain, bits, strict=True)):
        case = f"acc {acc}, gain {g}, bits {b}"
        assert got["code"][i] == int(arith.convert(acc, rule, int(g), int(b))), case
        assert got["saturated"][i] == arith.count_saturated(acc, rule, int(g), int(b)), case


@pytest.mark.parametrize(
    "n_directed", [4000, pytest.param(10**9, marks=pytest.mark.slow)], ids=["some", "all"]
)
@pytest.mark.parametrize("rule", [Rule.LINEAR, Rule.WTM2101])
def test_vectors_give_the_golden_codes(rule: Rule, n_directed: int) -> None:
    vectors = make_vectors(rule.name.lower(), N_RANDOM)
    check(rule, thinned(vectors, n_directed, N_RANDOM))


def test_the_two_roundings_of_wtm2101_are_not_one() -> None:
    acc = np.array([-33, -160, -161, 160, 161, -129, -128, 127, 128, 191, 192])
    got = stream(
        Converter(),
        Converter.LATENCY,
        {"acc": acc, "gain": np.full(11, 8), "rule": np.full(11, int(Rule.WTM2101))},
        ("code",),
    )
    assert got["code"][:3].tolist() == [0, 0, 0]  # one rounding of -161 / 256 would give -1
    assert got["code"].tolist() == arith.convert(acc, Rule.WTM2101, 8).tolist()


def test_halves_go_up() -> None:
    acc = np.array([-96, -32, -33, 31, 32, 95, 96])
    inputs = {"acc": acc, "gain": np.full(7, 6), "bits": np.full(7, 8), "rule": np.full(7, 2)}
    got = stream(Converter(), Converter.LATENCY, inputs, ("code",))
    assert got["code"].tolist() == [-1, 0, -1, 0, 1, 1, 2]


def test_lossless_passes_the_sum_and_never_saturates() -> None:
    check(Rule.LOSSLESS, {"acc": np.array(ACC_EDGES), "gain": np.arange(len(ACC_EDGES))})
