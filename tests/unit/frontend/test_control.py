"""If, Loop and Scan in place, inputs of fixed shape or value, ArgMax."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node

from norcim.errors import NorcimError
from norcim.frontend import Fixed, import_onnx, share_fixed
from tests.unit.frontend.conftest import build, run_graph, run_reference

RNG = np.random.default_rng(4)


def info(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes, inputs, outputs, constants=None):
    arrays = (constants or {}).items()
    return helper.make_graph(
        nodes, "body", inputs, outputs, [numpy_helper.from_array(a, n) for n, a in arrays]
    )


def constant(name, array):
    return make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(array)))


def whole(model, **shapes):
    """The same model with inputs of exactly these shapes, batch and all."""
    for value in model.graph.input:
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in shapes[value.name]:
            if isinstance(size, int):
                shape.dim.add().dim_value = size
            else:
                shape.dim.add().dim_param = size
    return model


def agrees(tmp_path, model, feeds, fixed=None):
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    graph = import_onnx(path, fixed or Fixed())
    ports = {port.name or port.tensor: port for port in graph.inputs}
    given = {port.tensor: feeds[n].reshape(-1, *port.shape) for n, port in ports.items()}
    for got, want in zip(run_graph(graph, given), run_reference(model, feeds), strict=True):
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-4, atol=1e-5)
    return graph


def branching(condition):
    """y is x + 1 in one branch and relu(3 x) in the other; both use the name t."""
    yes = body([make_node("Add", ["x", "one"], ["t"])], [], [info("t")], {"one": np.float32([1])})
    no = body(
        [make_node("Mul", ["x", "k"], ["t"]), make_node("Relu", ["t"], ["u"])], [], [info("u")],
        {"k": np.float32([3])},
    )  # fmt: skip
    nodes = [*condition, make_node("If", ["c"], ["t"], then_branch=yes, else_branch=no)]
    return [*nodes, make_node("Neg", ["t"], ["y"])]


@pytest.mark.parametrize("channels", [4, 5])
def test_a_condition_on_a_shape_takes_one_branch(tmp_path, channels):
    """And what a branch writes may have the name that the If itself writes."""
    condition = [
        make_node("Shape", ["x"], ["s"]), constant("axis", np.int64(1)),
        make_node("Gather", ["s", "axis"], ["n"]), constant("four", np.int64(4)),
        make_node("Equal", ["n", "four"], ["c"]),
    ]  # fmt: skip
    model = build(branching(condition), {"x": (channels,)})
    feeds = {"x": RNG.normal(size=(3, channels)).astype(np.float32)}
    graph = agrees(tmp_path, model, feeds)
    assert ["If" in op.kind for op in graph.ops].count(True) == 0


@pytest.mark.parametrize("rate", [8000, 16000])
def test_an_input_fixed_to_a_value_chooses_a_branch(tmp_path, rate):
    condition = [constant("k", np.int64(16000)), make_node("Equal", ["sr", "k"], ["c"])]
    model = build(branching(condition), {"x": (4,), "sr": ()}, types={"sr": TensorProto.INT64})
    whole(model, x=("N", 4), sr=())
    feeds = {"x": RNG.normal(size=(3, 4)).astype(np.float32), "sr": np.array(rate)}
    agrees(tmp_path, model, feeds, Fixed(values={"sr": (float(rate),)}))


def test_a_branch_in_a_branch_sees_both_graphs_around_it(tmp_path):
    inner = body([make_node("Add", ["x", "a"], ["r"])], [], [info("r")])
    other = body([make_node("Identity", ["x"], ["r"])], [], [info("r")])
    outer = body(
        [make_node("Mul", ["x", "x"], ["a"]),
         make_node("If", ["c"], ["q"], then_branch=inner, else_branch=other)],
        [], [info("q")],
    )  # fmt: skip
    nodes = [constant("c", np.bool_(True))]
    nodes.append(make_node("If", ["c"], ["y"], then_branch=outer, else_branch=other))
    feeds = {"x": RNG.normal(size=(3, 4)).astype(np.float32)}
    agrees(tmp_path, build(nodes, {"x": (4,)}), feeds)


def test_a_loop_of_constant_turns_is_unrolled(tmp_path):
    """Carried value, turn number, stacked outputs."""
    turn = body(
        [make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
         make_node("Mul", ["h", "k"], ["g"]), make_node("Add", ["g", "f"], ["h2"]),
         make_node("Identity", ["go"], ["go2"]), make_node("Tanh", ["h2"], ["o"])],
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h", [1, 4])],
        [info("go2", [], TensorProto.BOOL), info("h2", [1, 4]), info("o", [1, 4])],
        {"k": np.float32([0.5])},
    )  # fmt: skip
    nodes = [constant("m", np.int64(3)), constant("go", np.bool_(True))]
    nodes.append(make_node("Loop", ["m", "go", "x"], ["h", "stack"], body=turn))
    model = whole(build(nodes, {"x": (4,)}, outputs=["h", "stack"]), x=(1, 4))
    agrees(tmp_path, model, {"x": RNG.normal(size=(1, 4)).astype(np.float32)})


def scan_rnn(reverse=0, steps=5, size=4):
    """h = tanh(x w + h r), time first; all h stacked."""
    step = body(
        [make_node("MatMul", ["xt", "w"], ["a"]), make_node("MatMul", ["h", "r"], ["b"]),
         make_node("Add", ["a", "b"], ["s"]), make_node("Tanh", ["s"], ["h2"]),
         make_node("Identity", ["h2"], ["o"])],
        [info("h", [1, size]), info("xt", [1, 3])], [info("h2", [1, size]), info("o", [1, size])],
    )  # fmt: skip
    node = make_node(
        "Scan", ["h0", "x"], ["last", "all"], num_scan_inputs=1, body=step,
        scan_input_directions=[reverse], scan_output_directions=[reverse],
    )  # fmt: skip
    constants = {"w": RNG.normal(size=(3, size)), "r": 0.4 * RNG.normal(size=(size, size))}
    model = build([node], {"x": (), "h0": ()}, constants, outputs=["last", "all"])
    return whole(model, x=(steps, 1, 3), h0=(1, size))


@pytest.mark.parametrize("reverse", [0, 1])
def test_a_scan_is_unrolled_over_its_axis(tmp_path, reverse):
    feeds = {
        "x": RNG.normal(size=(5, 1, 3)).astype(np.float32),
        "h0": RNG.normal(size=(1, 4)).astype(np.float32),
    }
    agrees(tmp_path, scan_rnn(reverse), feeds)


def test_an_open_length_is_fixed(tmp_path):
    nodes = [make_node("Conv", ["x", "w"], ["y"], strides=[2])]
    model = build(nodes, {"x": (2, "samples")}, {"w": RNG.normal(size=(3, 2, 4))}, batch="n")
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    with pytest.raises(NorcimError) as refusal:
        import_onnx(path)
    assert refusal.value.id == "NC-E0205"
    feeds = {"x": RNG.normal(size=(1, 2, 12)).astype(np.float32)}
    agrees(tmp_path, model, feeds, Fixed({"x": (1, 2, 12)}))


@pytest.mark.parametrize(
    ("fixed", "got"),
    [
        (Fixed({"z": (1, 4)}), "no input of that name"),
        (Fixed({"x": (1, 5)}), "shape 1,5"),
        (Fixed({"x": (1, 4, 1)}), "shape 1,4,1"),
        (Fixed({"x": (0, 4)}), "shape 0,4"),
        (Fixed(values={"x": (1.0, 2.0)}), "2 values"),
        (Fixed(values={"n": (1.5,)}), "1.5"),
        (Fixed(values={"n": (float("nan"),)}), "1 values"),
    ],
)
def test_what_cannot_be_fixed(tmp_path, fixed, got):
    nodes = [make_node("Mul", ["x", "n"], ["y"])]
    model = build(nodes, {"x": (4,), "n": (4,)}, types={"n": TensorProto.INT64})
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    with pytest.raises(NorcimError) as refusal:
        import_onnx(path, fixed)
    assert (refusal.value.id, refusal.value.got) == ("NC-E0217", got)


def test_of_several_models_each_takes_what_names_its_inputs(tmp_path):
    paths = []
    for name in ("a", "b"):
        model = build([make_node("Mul", [name, "n"], ["y"])], {name: ("t",), "n": (4,)})
        paths.append(tmp_path / f"{name}.onnx")
        onnx.save(model, paths[-1])
    fixed = Fixed({"b": (1, 4)}, {"n": (2.0,)})
    found = share_fixed(paths, fixed)
    assert found == [Fixed(values={"n": (2.0,)}), fixed]
    with pytest.raises(NorcimError) as refusal:
        share_fixed(paths, Fixed({"c": (1, 4)}))
    assert (refusal.value.id, refusal.value.expected) == ("NC-E0217", "a, n, b")


def test_a_condition_on_values_is_refused_with_its_reason(tmp_path):
    nodes = branching([make_node("Sign", ["x"], ["c"])])
    path = tmp_path / "model.onnx"
    onnx.save(build(nodes, {"x": (4,)}), path)
    with pytest.raises(NorcimError) as refusal:
        import_onnx(path)
    assert refusal.value.id == "NC-E0203"
    assert "condition is computed from the input's values" in str(refusal.value.where)


def test_a_loop_that_never_ends_is_refused(tmp_path):
    turn = body(
        [make_node("Identity", ["go"], ["go2"]), make_node("Identity", ["h"], ["h2"])],
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h")],
        [info("go2", [], TensorProto.BOOL), info("h2")],
    )  # fmt: skip
    nodes = [constant("go", np.bool_(True)), make_node("Loop", ["", "go", "x"], ["y"], body=turn)]
    path = tmp_path / "model.onnx"
    onnx.save(build(nodes, {"x": (4,)}), path)
    with pytest.raises(NorcimError) as refusal:
        import_onnx(path)
    assert "turns" in str(refusal.value.where)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_arg_max(tmp_path, axis, keepdims):
    nodes = [make_node("ArgMax", ["x"], ["y"], axis=axis, keepdims=keepdims)]
    model = build(nodes, {"x": (5, 7)}, types={"y": TensorProto.INT64})
    feeds = {"x": RNG.integers(-3, 4, (3, 5, 7)).astype(np.float32)}  # with equal ones
    agrees(tmp_path, model, feeds)


def test_a_scan_without_its_input_is_damaged(tmp_path):
    turn = body([make_node("Identity", ["h"], ["h2"])], [info("h"), info("x")], [info("h2")])
    nodes = [make_node("Scan", ["x", ""], ["y"], body=turn, num_scan_inputs=1)]
    path = tmp_path / "model.onnx"
    onnx.save(build(nodes, {"x": (4,)}), path)
    with pytest.raises(NorcimError) as refusal:
        import_onnx(path)
    assert refusal.value.id == "NC-E0202"


def test_a_state_of_zeros_for_any_batch(tmp_path):
    """As PyTorch exports a GRU whose batch is open."""
    nodes = [
        make_node("Shape", ["x"], ["s"]), constant("axis", np.int64([0])),
        make_node("Gather", ["s", "axis"], ["n"]), constant("one", np.int64([1])),
        constant("size", np.int64([4])), make_node("Concat", ["one", "n", "size"], ["hs"], axis=0),
        make_node("ConstantOfShape", ["hs"], ["h"]),
        make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        make_node("GRU", ["xt", "w", "r", "", "", "h"], ["yt"], hidden_size=4),
        make_node("Squeeze", ["yt", "one"], ["yq"]),
        make_node("Transpose", ["yq"], ["y"], perm=[1, 0, 2]),
    ]  # fmt: skip
    constants = {"w": RNG.normal(size=(1, 12, 3)), "r": RNG.normal(size=(1, 12, 4))}
    model = build(nodes, {"x": (5, 3)}, constants, batch="n", opset=14)
    agrees(tmp_path, model, {"x": RNG.normal(size=(1, 5, 3)).astype(np.float32)})
