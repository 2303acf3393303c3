"""Equalisation changes ranges, never the function."""

from __future__ import annotations

import math

import numpy as np
import pytest

from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Graph, Op, Port, Tensor
from norcim.quantise.equalise import equalise


def two_convs(groups: int, clamp: tuple[float, float] | None) -> Graph:
    rng = np.random.default_rng(3)
    c = 8
    first = rng.normal(size=(1, 1, 4, c)) * np.geomspace(0.01, 10, c)
    second = rng.normal(size=(3, 3, c // groups, 8))
    base = {"stride": (1, 1), "dilation": (1, 1)}
    ops = (
        Op("conv", "a", ("x",), "t", {**base, "pads": (0,) * 4, "groups": 1, "clamp": clamp},
           first.astype(np.float32), np.full(c, 0.001, np.float32)),
        Op("conv", "b", ("t",), "y", {**base, "pads": (1,) * 4, "groups": groups, "clamp": None},
           second.astype(np.float32), None),
    )  # fmt: skip
    shapes = {"x": (5, 4, 4), "t": (5, 4, c), "y": (5, 4, 8)}
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    ports = Port("x", (4, 5, 4), (1, 2, 0)), Port("y", (8, 5, 4), (1, 2, 0))
    return Graph("g", (ports[0],), (ports[1],), tensors, ops)


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("per_column", [True, False])
def test_the_network_stays_the_same_and_ranges_come_closer(groups: int, per_column: bool) -> None:
    graph = two_convs(groups, (0.0, math.inf))
    x = {"x": np.random.default_rng(0).normal(size=(20, 5, 4, 4)).astype(np.float32)}
    before = evaluate(graph, x)
    level, quarters = equalise(graph, before, per_column)
    after = evaluate(level, x)
    assert np.allclose(before["y"], after["y"], rtol=1e-4, atol=1e-4)

    def spread(values: np.ndarray) -> float:
        peaks = np.abs(values).max(axis=(0, 1, 2))
        return float(peaks.max() / peaks.min())

    assert spread(after["t"]) < 0.5 * spread(before["t"])
    factor = 2.0 ** (np.array(quarters["t"]) / 4)
    assert np.allclose(after["t"], before["t"] * factor, rtol=1e-5)


@pytest.mark.parametrize("clamp", [(0.0, 6.0), (-1.0, 1.0)])
def test_a_clamp_that_scaling_would_move_is_left_alone(clamp: tuple[float, float]) -> None:
    graph = two_convs(1, clamp)
    x = {"x": np.ones((2, 5, 4, 4), np.float32)}
    level, quarters = equalise(graph, evaluate(graph, x), True)
    assert level.ops == graph.ops
    assert not quarters
