"""Recurrent layers, and models that treat their batch of 1 as an axis like any other."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.runtime import compile_model, decode_outputs, encode_inputs

RNG = np.random.default_rng(9)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(op, directions=1, n_in=5, size=6, *, steps=4, states=True, **attrs):
    """Nodes, inputs and constants of one recurrent layer on a sequence (steps, 1, n_in)."""
    rows = GATES[op] * size
    constants = {
        "w": 0.5 * RNG.normal(size=(directions, rows, n_in)),
        "r": 0.5 * RNG.normal(size=(directions, rows, size)),
        "b": 0.3 * RNG.normal(size=(directions, 2 * rows)),
    }
    names = ["x", "w", "r", "b", ""]
    inputs = {"x": (steps, 1, n_in)}
    for name in (("h", "c") if op == "LSTM" else ("h",)) if states else ():
        names.append(name)
        inputs[name] = (directions, 1, size)
    outputs = ["y", "yh", "yc"] if op == "LSTM" else ["y", "yh"]
    return [make_node(op, names, outputs, hidden_size=size, **attrs)], inputs, constants, outputs


VARIANTS = [
    ("LSTM", 1, {}),
    ("LSTM", 1, {"direction": "reverse"}),
    ("LSTM", 2, {"direction": "bidirectional"}),
    ("LSTM", 1, {"activations": ["HardSigmoid", "Relu", "Tanh"]}),
    ("LSTM", 1, {"clip": 0.7}),
    ("GRU", 1, {}),
    ("GRU", 1, {"linear_before_reset": 1}),
    ("GRU", 2, {"direction": "bidirectional", "linear_before_reset": 1}),
    ("RNN", 1, {}),
    ("RNN", 1, {"activations": ["Relu"]}),
]


def whole_model(build, nodes, inputs, constants, outputs):
    """A model whose inputs have the given shapes, batch axes and all."""
    model = build(nodes, inputs, constants, outputs=outputs, opset=14)
    for info in model.graph.input:
        del info.type.tensor_type.shape.dim[0]
    return model


@pytest.fixture
def saved(tmp_path):
    import onnx

    from tests.unit.frontend.conftest import build

    def save(*args):
        path = tmp_path / "model.onnx"
        onnx.save(whole_model(build, *args), path)
        return path

    return save


def compare(path, feeds, run):
    session = onnxruntime.InferenceSession(path)
    want = [session.run(None, {k: v[i] for k, v in feeds.items()}) for i in range(8)]
    for index, got in enumerate(run):
        due = np.stack([sample[index] for sample in want]).reshape(got.shape)
        yield got, due


@pytest.mark.parametrize(("op", "directions", "attrs"), VARIANTS)
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("states", [False, True])
def test_a_layer_computes_what_onnxruntime_does(saved, op, directions, attrs, steps, states):
    from norcim.frontend import import_onnx
    from tests.unit.frontend.conftest import run_graph

    nodes, inputs, constants, outputs = layer(op, directions, steps=steps, states=states, **attrs)
    path = saved(nodes, inputs, constants, outputs)
    graph = import_onnx(path)
    feeds = {k: RNG.normal(size=(8, *shape)).astype(np.float32) for k, shape in inputs.items()}
    shaped = {p.tensor: feeds[p.name].reshape(8, *p.shape) for p in graph.inputs}
    for got, want in compare(path, feeds, run_graph(graph, shaped)):
        np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("op", GATES)
def test_a_layer_on_a_chip_keeps_its_values(saved, op):
    nodes, inputs, constants, outputs = layer(op)
    path = saved(nodes, inputs, constants, outputs)
    feeds = {k: RNG.normal(size=(64, *shape)).astype(np.float32) for k, shape in inputs.items()}
    content = compile_model(path, load_chip("nor1"), feeds)
    found = decode_outputs(content, Emulator(content).run(encode_inputs(content, feeds)))
    for got, want in compare(path, feeds, [v[:8] for v in found.values()]):
        error = np.square(got - want).sum() / np.square(want).sum()
        assert error < 10**-2.2


def test_a_slow_cell_keeps_its_sum_over_many_steps(saved):
    """Forget gates near 1 over 48 steps: with 8 bits of state this network reached 27.9 dB."""
    rng = np.random.default_rng(3)
    weights = {"w": 0.5 * rng.normal(size=(1, 32, 5)), "r": 0.2 * rng.normal(size=(1, 32, 8))}
    bias = np.zeros((1, 64))
    bias[0, 16:24] = 3.5
    nodes, inputs, _, _ = layer("LSTM", size=8, steps=48, states=False)
    path = saved(nodes, inputs, {**weights, "b": bias}, ["y"])
    x = rng.normal(size=(1000, 48, 1, 5)).astype(np.float32)
    content = compile_model(path, load_chip("digital"), {"x": x})
    found = decode_outputs(content, Emulator(content).run(encode_inputs(content, {"x": x[:8]})))
    [(got, want)] = compare(path, {"x": x}, list(found.values()))
    assert np.square(got - want).sum() / np.square(want).sum() < 10**-2.95


@pytest.mark.parametrize(
    ("attrs", "text"),
    [({"input_forget": 1}, "input_forget"), ({"activations": ["Affine"] * 3}, "Affine")],
)
def test_variants_that_are_refused(saved, attrs, text):
    from norcim.frontend import import_onnx

    nodes, inputs, constants, outputs = layer("LSTM", **attrs)
    with pytest.raises(NorcimError, match=text):
        import_onnx(saved(nodes, inputs, constants, outputs))


MOVED = {
    "transposed": [make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), ("t", "y")],
    "joined": [make_node("Reshape", ["x", "flat"], ["t"]), ("t", "y")],
    "softmax": [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("Softmax", ["t"], ["y"], axis=0),
    ],
    "reduced": [make_node("ReduceMean", ["x"], ["y"], axes=[0, 1], keepdims=0)],
    "sliced": [
        make_node("Squeeze", ["x", "zero"], ["t"]),
        make_node("Slice", ["t", "zero", "two"], ["s"]),
        make_node("Gemm", ["s", "m"], ["y"]),
    ],
    "split": [
        make_node("Squeeze", ["x", "zero"], ["t"]),
        make_node("Split", ["t"], ["p", "q"], axis=0),
        make_node("Concat", ["q", "p"], ["y"], axis=0),
    ],
    "flattened": [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("Flatten", ["t"], ["y"], axis=1),
    ],
    "shape": [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("Shape", ["t"], ["n"]),
        make_node("Reshape", ["x", "n"], ["y"]),
    ],
    "padded": [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("Pad", ["t", "pads"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", MOVED)
def test_a_batch_of_one_is_an_axis_like_any_other(saved, name):
    from norcim.frontend import import_onnx
    from tests.unit.frontend.conftest import run_graph

    nodes = [
        make_node("Relu", [node[0]], [node[1]]) if isinstance(node, tuple) else node
        for node in MOVED[name]
    ]
    constants = {
        "flat": np.array([8, 3]), "zero": np.array([0]), "two": np.array([2]),
        "m": RNG.normal(size=(6, 3)), "pads": np.array([1, 0, 0, 0, 0, 2]),
    }  # fmt: skip
    path = saved(nodes, {"x": (1, 4, 6)}, constants, ["y"])
    graph = import_onnx(path)
    x = RNG.normal(size=(8, 1, 4, 6)).astype(np.float32)
    [port] = graph.inputs
    for got, want in compare(path, {"x": x}, run_graph(graph, {"x": x.reshape(8, *port.shape)})):
        np.testing.assert_allclose(got, want, atol=1e-5)
