"""The float executor: worked values, chunks, what is kept, fake quantisation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from norcim.errors import NorcimError
from norcim.ir import Graph, Op, Port, QParams, Tensor, evaluate, from_tensor, to_tensor
from norcim.ir.functions import TABLE_FUNCTIONS
from norcim.ir.graph import Shape


def chain(shape: Shape, *steps: tuple[Op, Shape]) -> Graph:
    """A graph of operations one after the other, tensors t0, t1, ..."""
    tensors = {"t0": Tensor("t0", shape)}
    ops = []
    for index, (op, out) in enumerate(steps):
        tensors[f"t{index + 1}"] = Tensor(f"t{index + 1}", out)
        ops.append(replace(op, inputs=(f"t{index}",), output=f"t{index + 1}"))
    last = f"t{len(steps)}"

    def port(name):
        size = int(np.prod(tensors[name].shape))
        return Port(name, (size,), (0,))

    return Graph("chain", (port("t0"),), (port(last),), tensors, tuple(ops))


def op(kind, weight=None, bias=None, **attrs):
    return Op(kind, kind, (), "", attrs, weight, bias)


def conv(weight, groups=1, clamp=None, **attrs):
    base = {"stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0)}
    array = np.asarray(weight, np.float32)
    return op("conv", array, groups=groups, clamp=clamp, **{**base, **attrs})


def run(graph, x, **kwargs):
    return evaluate(graph, {"t0": np.asarray(x, np.float32)}, **kwargs)


def test_a_matrix_product_with_a_clamp():
    graph = chain((1, 1, 2), (conv([[[[1, -1], [2, 3]]]], clamp=(0.0, math.inf)), (1, 1, 2)))
    got = run(graph, np.array([[[[1, 1]]], [[[5, 1]]]]))["t1"]
    assert got.reshape(2, 2).tolist() == [[3, 2], [7, 0]]


def test_a_depthwise_conv_with_two_outputs_a_channel():
    weight = np.array([[[[1, 10, 100, 1000]]]])
    graph = chain((1, 1, 2), (conv(weight, groups=2), (1, 1, 4)))
    assert run(graph, [[[[2, 3]]]])["t1"].reshape(-1).tolist() == [2, 20, 300, 3000]


def test_padding_of_an_average_does_not_count_unless_told():
    for include, want in ((False, [1.0, 1.0]), (True, [0.5, 0.5])):
        attrs = {"kernel": (2, 1), "stride": (2, 1), "pads": (1, 0, 1, 0)}
        graph = chain((2, 1, 1), (op("avgpool", count_include_pad=include, **attrs), (2, 1, 1)))
        assert run(graph, [[[[1.0]], [[1.0]]]])["t1"].reshape(-1).tolist() == want


def test_padding_never_wins_a_maximum():
    attrs = {"kernel": (2, 2), "stride": (1, 1), "dilation": (1, 1), "pads": (1, 1, 0, 0)}
    graph = chain((1, 1, 1), (op("maxpool", **attrs), (1, 1, 1)))
    assert run(graph, [[[[-7.0]]]])["t1"].reshape(-1).tolist() == [-7.0]


def test_a_large_batch_in_chunks_is_the_same_as_one_by_one():
    weight = np.random.default_rng(0).normal(size=(3, 3, 8, 16))
    graph = chain((16, 16, 8), (conv(weight, pads=(1, 1, 1, 1)), (16, 16, 16)))
    x = np.random.default_rng(1).normal(size=(70, 16, 16, 8)).astype(np.float32)
    whole = run(graph, x)["t1"]
    for index in (0, 13, 14, 69):
        single = run(graph, x[index : index + 1])["t1"][0]
        np.testing.assert_allclose(whole[index], single, rtol=1e-4, atol=1e-5)


def test_what_is_kept():
    graph = chain((1, 1, 4), (op("clip", clamp=(0.0, 6.0)), (1, 1, 4)), (op("softmax"), (1, 1, 4)))
    x = np.zeros((2, 1, 1, 4))
    assert set(run(graph, x)) == {"t0", "t1", "t2"}
    assert set(run(graph, x, keep=["t1"])) == {"t1"}
    assert run(graph, x, keep=[]) == {}


def test_an_empty_batch():
    graph = chain((1, 1, 4), (op("softmax"), (1, 1, 4)))
    assert run(graph, np.zeros((0, 1, 1, 4)))["t1"].shape == (0, 1, 1, 4)


def test_the_inputs_are_left_alone():
    graph = chain((1, 1, 2), (op("clip", clamp=(0.0, 1.0)), (1, 1, 2)))
    x = np.array([[[[-5.0, 5.0]]]], np.float32)
    run(graph, x)
    assert x.reshape(-1).tolist() == [-5.0, 5.0]


def test_fake_quantisation_rounds_half_to_even_and_saturates():
    graph = chain((1, 1, 5), (op("clip", clamp=None), (1, 1, 5)))
    graph.tensors["t1"] = replace(graph.tensors["t1"], qparams=QParams(0.5, 10, False))
    x = [[[[0.25, 0.75, -4.9, -100.0, 1000.0]]]]
    got = run(graph, x, fake_quantise=True)["t1"].reshape(-1)
    assert got.tolist() == [0.0, 1.0, -5.0, -5.0, 122.5]
    assert run(graph, x)["t1"].reshape(-1)[0] == 0.25


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"t0": np.zeros((2, 1, 1, 3), np.float32)},
        {"t0": np.zeros((1, 1, 4), np.float32)},
    ],
)
def test_inputs_of_the_wrong_shape(inputs):
    graph = chain((1, 1, 4), (op("softmax"), (1, 1, 4)))
    with pytest.raises(NorcimError) as caught:
        evaluate(graph, inputs)
    assert caught.value.id == "NC-E0216"


def test_a_tensor_that_is_not_there():
    graph = chain((1, 1, 4), (op("softmax"), (1, 1, 4)))
    with pytest.raises(NorcimError, match="no tensor 'other'"):
        run(graph, np.zeros((1, 1, 1, 4)), keep=["other"])


@pytest.mark.parametrize(
    ("name", "x", "parameters", "want"),
    [
        ("sigmoid", 0.0, (0, 0), 0.5),
        ("sigmoid", -1000.0, (0, 0), 0.0),
        ("tanh", 0.5, (0, 0), math.tanh(0.5)),
        ("leaky_relu", -2.0, (0.1, 0), -0.2),
        ("leaky_relu", 2.0, (0.1, 0), 2.0),
        ("hard_sigmoid", 1.0, (0.2, 0.5), 0.7),
        ("hard_swish", 1.0, (0, 0), 2 / 3),
        ("silu", 1.0, (0, 0), 1 / (1 + math.exp(-1))),
        ("elu", -1.0, (0.5, 0), 0.5 * (math.exp(-1) - 1)),
        ("softplus", 1000.0, (0, 0), 1000.0),
    ],
)
def test_table_functions(name, x, parameters, want):
    got = TABLE_FUNCTIONS[name](np.array([x]), *parameters)
    np.testing.assert_allclose(got, [want], rtol=1e-12, atol=1e-300)


def test_arrays_to_tensors_and_back():
    port = Port("x", (3, 4, 5), (1, 2, 0))
    array = np.arange(120, dtype=np.int8).reshape(2, 3, 4, 5)
    tensor = to_tensor(port, (4, 5, 3), array)
    assert tensor[1, 2, 3, 0] == array[1, 0, 2, 3]
    np.testing.assert_array_equal(from_tensor(port, tensor), array)
