"""Tensors that live at the same time never share bytes; dead ones give theirs back."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import prod

import pytest

from norcim.chips import load_chip
from norcim.errors import NorcimError
from norcim.ir.graph import Graph, Op, Port, Tensor
from norcim.mapper.memory import plan_memory


def chain(sizes: list[int], extra: tuple[Op, ...] = ()) -> Graph:
    """Clips from tensor to tensor, t0 .. tn, sizes in channels."""
    tensors = {f"t{i}": Tensor(f"t{i}", (1, 1, c)) for i, c in enumerate(sizes)}
    ops = [
        Op("clip", f"op{i}", (f"t{i}",), f"t{i + 1}", {"clamp": None})
        for i in range(len(sizes) - 1)
    ]
    last = f"t{len(sizes) - 1}"
    ports = Port("t0", (sizes[0],), (0,)), Port(last, (sizes[-1],), (0,))
    return Graph("g", (ports[0],), (ports[1],), tensors, (*ops, *extra))


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    plan = plan_memory(chain([8, 800, 400, 800, 8]), load_chip("nor1"))
    assert plan.n_bytes == 1200


def test_live_tensors_do_not_overlap() -> None:
    graph = chain([100, 300, 50, 200, 100])
    skip = Op("add", "skip", ("t4", "t1"), "t5", {"clamp": None})
    tensors = {**graph.tensors, "t5": Tensor("t5", (1, 1, 300))}
    out = (Port("t5", (300,), (0,)),)
    graph = replace(graph, tensors=tensors, ops=(*graph.ops, skip), outputs=out)
    plan = plan_memory(graph, load_chip("nor1"))
    life = {"t0": (-1, 0), "t1": (0, 4), "t2": (1, 2), "t3": (2, 3), "t4": (3, 4), "t5": (4, 5)}
    for a, b in combinations(graph.tensors, 2):
        if life[a][0] <= life[b][1] and life[b][0] <= life[a][1]:
            end_a = plan.addr[a] + prod(graph.tensors[a].shape)
            end_b = plan.addr[b] + prod(graph.tensors[b].shape)
            assert end_a <= plan.addr[b] or end_b <= plan.addr[a], (a, b)


def test_a_reshape_shares_its_input_s_bytes() -> None:
    graph = chain([64, 64])
    reshape = Op("reshape", "flat", ("t1",), "t2")
    tensors = {**graph.tensors, "t2": Tensor("t2", (8, 8, 1))}
    graph = replace(
        graph, tensors=tensors, ops=(*graph.ops, reshape), outputs=(Port("t2", (64,), (0,)),)
    )
    plan = plan_memory(graph, load_chip("nor1"))
    assert plan.addr["t2"] == plan.addr["t1"]
    assert plan.n_bytes == 128


def test_too_much_names_the_layer_and_both_numbers() -> None:
    chip = load_chip("overlay")
    with pytest.raises(NorcimError) as caught:
        plan_memory(chain([1000, 65000, 65000, 65000, 10]), replace_memory(chip, 100_000))
    assert caught.value.id == "NC-E0304"
    assert "2 layers" in caught.value.where
    assert caught.value.where.index("op2 (130,000)") > caught.value.where.index("largest")
    assert "op1 (130,000)" in caught.value.where
    assert "op0" not in caught.value.where
    assert "130,000" in caught.value.got


def replace_memory(chip, n_bytes):  # type: ignore[no-untyped-def]
    return replace(chip, memories=replace(chip.memories, activation_bytes=n_bytes))
