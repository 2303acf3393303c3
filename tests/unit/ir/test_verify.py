"""Each rule of the IR, broken once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from norcim.errors import NorcimError
from norcim.ir import OPS, Graph, Op, Port, QParams, Tensor, WeightCodes, verify

CONV = {
    "stride": (1, 1),
    "dilation": (1, 1),
    "pads": (0, 0, 0, 0),
    "groups": 1,
    "clamp": (0.0, np.inf),
}
WEIGHT = np.ones((1, 1, 3, 2), np.float32)


def small(**changes):
    """x (4, 4, 3) -> conv -> c (4, 4, 2) -> softmax -> y; `changes` are of the conv."""
    conv = replace(
        Op("conv", "layer", ("x",), "c", CONV, WEIGHT, np.zeros(2, np.float32)), **changes
    )
    tensors = [Tensor("x", (4, 4, 3)), Tensor("c", (4, 4, 2)), Tensor("y", (4, 4, 2))]
    return Graph(
        "small",
        (Port("x", (3, 4, 4), (1, 2, 0)),),
        (Port("y", (2, 4, 4), (1, 2, 0)),),
        {tensor.name: tensor for tensor in tensors},
        (conv, Op("softmax", "probabilities", ("c",), "y")),
    )


def fault(graph):
    with pytest.raises(NorcimError) as caught:
        verify(graph)
    return caught.value


def with_tensor(graph, tensor):
    return replace(graph, tensors={**graph.tensors, tensor.name: tensor})


def test_a_legal_graph_is_returned():
    graph = small()
    assert verify(graph) is graph


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({"kind": "magic"}, "NC-E0211"),
        ({"attrs": {**CONV, "extra": 1}}, "NC-E0211"),
        ({"attrs": {k: v for k, v in CONV.items() if k != "pads"}}, "NC-E0211"),
        ({"attrs": {**CONV, "clamp": (1.0, 0.0)}}, "NC-E0211"),
        ({"attrs": {**CONV, "clamp": (np.nan, 0.0)}}, "NC-E0211"),
        ({"attrs": {**CONV, "stride": (0, 1)}}, "NC-E0211"),
        ({"attrs": {**CONV, "pads": (0, -1, 0, 0)}}, "NC-E0211"),
        ({"attrs": {**CONV, "pads": (1, 0, 0, 0)}}, "NC-E0212"),
        ({"attrs": {**CONV, "groups": 2}}, "NC-E0212"),
        ({"inputs": ("x", "x")}, "NC-E0211"),
        ({"inputs": ("y",)}, "NC-E0210"),
        ({"output": "x"}, "NC-E0210"),
        ({"output": "new"}, "NC-E0210"),
        ({"weight": None}, "NC-E0213"),
        ({"weight": WEIGHT.astype(np.float64)}, "NC-E0213"),
        ({"weight": WEIGHT[:, :, :2]}, "NC-E0212"),
        ({"bias": np.zeros(3, np.float32)}, "NC-E0212"),
        ({"weight": WEIGHT * np.nan}, "NC-E0214"),
        ({"bias": np.array([0, np.inf], np.float32)}, "NC-E0214"),
        ({"weight_codes": WeightCodes(np.ones((1, 1, 3, 1), np.int8), np.ones(2))}, "NC-E0213"),
        ({"weight_codes": WeightCodes(np.ones((1, 1, 3, 2), np.int8), np.ones(1))}, "NC-E0213"),
        ({"weight_codes": WeightCodes(np.ones((1, 1, 3, 2), np.int8), np.zeros(2))}, "NC-E0215"),
    ],
)
def test_an_illegal_operation_is_named(changes, id):
    error = fault(small(**changes))
    assert error.id == id
    assert "layer" in error.where


@pytest.mark.parametrize(
    ("change", "id"),
    [
        (lambda g: with_tensor(g, Tensor("c", (4, 4, 3))), "NC-E0212"),
        (lambda g: with_tensor(g, Tensor("spare", (1, 1, 1))), "NC-E0210"),
        (lambda g: with_tensor(g, Tensor("c", (4, 4, 2), QParams(0.0, 0, True))), "NC-E0215"),
        (lambda g: with_tensor(g, Tensor("c", (4, 4, 2), QParams(1.0, 128, True))), "NC-E0215"),
        (lambda g: with_tensor(g, Tensor("c", (4, 4, 2), QParams(1.0, -1, False))), "NC-E0215"),
        (lambda g: replace(g, ops=g.ops[::-1]), "NC-E0210"),
        (lambda g: replace(g, ops=g.ops + g.ops[:1]), "NC-E0210"),
        (lambda g: replace(g, outputs=(Port("z", (2,), (0,)),)), "NC-E0210"),
        (lambda g: replace(g, inputs=(Port("x", (3, 4), (0, 1)),)), "NC-E0210"),
        (lambda g: replace(g, inputs=(Port("x", (48,), (1,)),)), "NC-E0210"),
        (lambda g: replace(g, inputs=(Port("x", (48,), (0,), "int8"),)), "NC-E0210"),
        (lambda g: replace(g, inputs=(Port("x", (48,), (0,), "int4"),)), "NC-E0210"),
    ],
)
def test_an_illegal_graph(change, id):
    assert fault(change(small())).id == id


def test_an_unknown_table_function():
    attrs = {"function": "mystery", "alpha": 0.0, "beta": 0.0}
    graph = small()
    table = Op("table", "odd", ("c",), "y", attrs)
    assert fault(replace(graph, ops=(graph.ops[0], table))).id == "NC-E0211"


def test_a_kernel_larger_than_its_input():
    attrs = {"kernel": (5, 5), "stride": (1, 1), "pads": (0, 0, 0, 0), "count_include_pad": False}
    graph = with_tensor(small(), Tensor("y", (0, 0, 2)))
    pool = Op("avgpool", "pool", ("c",), "y", attrs)
    assert fault(replace(graph, ops=(graph.ops[0], pool))).id == "NC-E0212"


def test_every_operation_says_what_it_does():
    for name, kind in OPS.items():
        assert kind.doc.endswith("."), name
        assert kind.n_inputs in (0, 1, 2, 3), name
