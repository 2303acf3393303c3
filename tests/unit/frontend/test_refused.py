"""What is not imported: its error id, its exit code, what the message names."""

from __future__ import annotations

import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.helper import make_node

from norcim.errors import NorcimError
from norcim.frontend import import_onnx
from norcim.frontend.builder import MAX_ELEMENTS

W = np.ones((5, 3, 3, 3), np.float32)


def refused(act, *args, **kwargs):
    with pytest.raises(NorcimError) as caught:
        act(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\n", "Keras"),
        (b"PK\x03\x04....", "zip"),
        (b"\x80\x02}q\x00", "pickle"),
        (b"\x1c\x00\x00\x00TFL3....", "TensorFlow Lite"),
        (b'{"model": 1}', "text"),
        (b"\xff\xd8\xff\xe0....", "unknown data"),
    ],
)
def test_a_file_that_is_not_onnx(tmp_path, data, text):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    error = refused(import_onnx, path)
    assert error.id == "NC-E0201"
    assert text in error.got


def test_a_missing_file(tmp_path):
    assert refused(import_onnx, tmp_path / "none.onnx").id == "NC-E0201"


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file(save, part):
    nodes = [make_node("Conv", ["x", "w"], ["c"]), make_node("Relu", ["c"], ["y"])]
    path = save(nodes, {"x": (3, 8, 8)}, {"w": W})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert refused(import_onnx, path).id == "NC-E0202"


def test_flipped_bytes_never_end_in_a_traceback(save):
    nodes = [make_node("Conv", ["x", "w"], ["c"]), make_node("Flatten", ["c"], ["y"])]
    path = save(nodes, {"x": (3, 4, 4)}, {"w": W[:1]})
    data = path.read_bytes()
    ids = set()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            import_onnx(path)
        except NorcimError as error:
            ids.add(error.id)
    assert {"NC-E0202", "NC-E0203"} <= ids
    assert all(name.startswith("NC-E02") for name in ids)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([make_node("Relu", ["nothing"], ["y"])], "nothing writes"),
        ([make_node("Relu", ["x"], ["x"])], "written already"),
        ([make_node("Conv", ["x", "w"], ["y"], strides=[0, 1])], "strides"),
        ([make_node("Conv", ["x", "w"], ["y"], group=2)], "does not fit"),
        ([make_node("Conv", ["x", "w"], ["y"], auto_pad="HALF")], "auto_pad"),
        ([make_node("Transpose", ["x"], ["y"], perm=[0, 1, 1, 2])], "perm"),
        ([make_node("Squeeze", ["x"], ["y"], axes=[1])], "axes"),
        ([make_node("Relu", ["x"], ["z"])], "nothing writes"),
    ],
)
def test_a_graph_that_contradicts_itself(imported, nodes, text):
    outputs = ["y"] if nodes[-1].output[0] == "z" else ()
    error = refused(imported, nodes, {"x": (3, 8, 8)}, {"w": W}, opset=12, outputs=outputs)
    assert error.id == "NC-E0202"
    assert text in error.got


def test_unsupported_operations_are_reported_together(imported):
    nodes = [
        make_node("LSTM", ["x", "w", "w"], ["a"], name="memory", hidden_size=4),
        make_node("Relu", ["a"], ["b"]),
        make_node("Mystery", ["b"], ["c"], name="odd", domain="com.vendor"),
        make_node("NonZero", ["c"], ["y"], name="join"),
        make_node("Unique", ["x"], ["z"], name="larger"),
    ]
    error = refused(imported, nodes, {"x": (3, 8)}, {"w": W})
    assert (error.id, error.exit_code) == ("NC-E0203", 3)
    assert error.where == (
        "LSTM memory: an input of shape (1, 3, 8); "
        "com.vendor:Mystery odd; NonZero join; Unique larger"
    )
    assert "4 operations" in error.what
    assert "LSTM memory: an input of shape (1, 3, 8) -> run it with a batch of 1" in error.fix


def test_unsupported_variants_are_reported_together(imported):
    nodes = [
        make_node("Pad", ["x", "p"], ["a"], name="mirror", mode="reflection"),
        make_node("Conv", ["x", "v"], ["b"], name="volume"),
        make_node("Add", ["a", "b"], ["y"], name="sum"),
    ]
    constants = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.ones((2, 3, 1, 1, 1))}
    error = refused(imported, nodes, {"x": (3, 8, 8)}, constants)
    assert error.id == "NC-E0203"
    assert "Pad mirror: mode 'reflection'" in error.where
    assert "Conv volume: 3-D" in error.where
    assert "sum" not in error.where


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (make_node("Reshape", ["x", "mix"], ["y"]), "per sample"),
        (make_node("Flatten", ["x"], ["y"], axis=2), "flattens the batch"),
        (make_node("ReduceMean", ["x"], ["y"], axes=[0]), "reduces over the batch"),
        (make_node("Softmax", ["x"], ["y"], axis=0), "over the batch"),
        (make_node("Pow", ["x", "x"], ["y"]), "power of two activations"),
        (make_node("Cast", ["x"], ["y"], to=TensorProto.INT64), "a cast to int64"),
        (make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2]), "indices"),
        (make_node("Add", ["x", "large"], ["y"]), "enlarges"),
        (make_node("Add", ["x", "deep"], ["y"]), "enlarges"),
        (make_node("MatMul", ["x", "stack"], ["y"]), "a matrix a sample"),
        (make_node("Concat", ["x", "x"], ["y"], axis=0), "along the batch"),
        (make_node("Split", ["x"], ["y", "z"], axis=0), "along the batch"),
        (make_node("Gather", ["x", "k"], ["y"], axis=0), "along the batch"),
        (make_node("Where", ["x", "x", "x"], ["y"]), "on constants only"),
        (make_node("Gemm", ["x", "square"], ["y"], transA=1), "across the batch"),
        (make_node("Conv", ["x", "w"], ["y"], pads=[-1, 0, 0, 0]), "negative pads"),
    ],
)
def test_variants_that_are_not_supported(imported, node, text):
    constants = {
        "w": W,
        "k": np.ones((1,), np.int64),
        "square": np.ones((8, 8), np.float32),
        "mix": np.array([-1, 4]),
        "large": np.ones((2, 3, 8, 8), np.float32),
        "deep": np.ones((1, 1, 1, 1, 1), np.float32),
        "stack": np.ones((1, 1, 1, 8, 4), np.float32),
    }
    error = refused(imported, [node], {"x": (3, 8, 8)}, constants, opset=13)
    assert (error.id, error.exit_code) == ("NC-E0203", 3)
    assert text in error.where


def test_an_average_pool_window_that_spills_over_its_pads_is_refused(imported):
    attrs = {"kernel_shape": [4, 4], "strides": [3, 3], "ceil_mode": 1, "count_include_pad": 1}
    node = make_node("AveragePool", ["x"], ["y"], pads=[1, 1, 0, 0], **attrs)
    assert "ceil_mode" in refused(imported, [node], {"x": (3, 8, 8)}).where


def test_arithmetic_with_the_batch_size_is_refused(imported):
    nodes = [
        make_node("Shape", ["x"], ["s"]),
        make_node("ReduceProd", ["s"], ["p"], keepdims=1),
        make_node("Reshape", ["x", "p"], ["y"]),
    ]
    assert "batch size" in refused(imported, nodes, {"x": (3, 8)}).where


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((12, -1), "N"), ((-1, -1), 4), ((3, 4, 1), "N")],
)
def test_a_reshape_that_loses_the_batch(imported, shape, batch):
    node = make_node("Reshape", ["x", "s"], ["y"])
    error = refused(imported, [node], {"x": (3, 4)}, {"s": np.array(shape)}, batch=batch)
    assert error.id == "NC-E0203"
    assert "per sample to" in error.where


def test_a_reshape_that_moves_the_batch(imported):
    nodes = [
        make_node("Shape", ["x"], ["s"]),
        make_node("Slice", ["s", "zero", "one"], ["n"]),
        make_node("Concat", ["twelve", "n"], ["c"], axis=0),
        make_node("Reshape", ["x", "c"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "twelve": np.array([12])}
    assert "per sample to" in refused(imported, nodes, {"x": (3, 4)}, constants).where


def test_integer_inputs_that_nothing_dequantises(imported):
    types = {"x": TensorProto.INT8, "y": TensorProto.INT8}
    node = make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    assert "dequantises" in refused(imported, [node], {"x": (3, 8, 8)}, types=types).where


def test_an_output_that_does_not_depend_on_the_input(imported):
    nodes = [make_node("Relu", ["x"], ["z"]), make_node("Abs", ["k"], ["y"])]
    error = refused(imported, nodes, {"x": (3,)}, {"k": np.ones(3, np.float32)})
    assert error.id == "NC-E0203"


def test_an_old_opset(imported):
    error = refused(imported, [make_node("Relu", ["x"], ["y"])], {"x": (3,)}, opset=6)
    assert error.id == "NC-E0203"
    assert "opset 6" in error.what


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "node", [make_node("Conv", ["x", "w"], ["y"]), make_node("Mul", ["x", "w"], ["y"])]
)
def test_weights_that_are_not_numbers(imported, node, value):
    broken = np.ones((3, 3, 3, 3), np.float32) if node.op_type == "Conv" else np.ones((3, 8, 8))
    broken.reshape(-1)[4] = value
    error = refused(imported, [node], {"x": (3, 8, 8)}, {"w": broken})
    assert error.id == "NC-E0204"
    assert "1 of" in error.got


@pytest.mark.parametrize(
    ("dims", "text"),
    [((3, "height", 8), "'height'"), ((3, None, 8), "open"), ((0, 8), "dimension 1")],
)
def test_open_dimensions(imported, dims, text):
    error = refused(imported, [make_node("Relu", ["x"], ["y"])], {"x": dims})
    assert (error.id, error.exit_code) == ("NC-E0205", 3)
    assert text in error.got


def test_open_dimensions_and_operations_are_reported_together(imported):
    nodes = [make_node("Relu", ["x"], ["r"]), make_node("Unique", ["r"], ["y"], name="larger")]
    error = refused(imported, nodes, {"x": (3, "height", 8)})
    assert error.id == "NC-E0203"
    assert error.where == "Unique larger; input x: dimension 2 is 'height'"


def test_shapes_of_unknown_values_are_no_operations_of_their_own(imported):
    nodes = [
        make_node("Unique", ["x"], ["r"], name="larger"),
        make_node("Shape", ["r"], ["s"]),
        make_node("Gather", ["s", "k"], ["g"]),
        make_node("Concat", ["g", "k"], ["c"], axis=0),
        make_node("Reshape", ["r", "c"], ["y"]),
    ]
    error = refused(imported, nodes, {"x": (3, 8, 8)}, {"k": np.array([0])})
    assert error.where == "Unique larger"


def test_an_input_without_a_shape(tmp_path):
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "xy"]
    graph = helper.make_graph([make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert refused(import_onnx, tmp_path / "m.onnx").id == "NC-E0205"


def test_an_input_of_another_type(imported):
    types = {"x": TensorProto.INT64}
    error = refused(imported, [make_node("Relu", ["x"], ["y"])], {"x": (3,)}, types=types)
    assert error.id == "NC-E0203"
    assert "int64" in error.where


@pytest.mark.parametrize(
    "node",
    [
        make_node("ConstantOfShape", ["huge"], ["c"]),
        make_node("Expand", ["one", "huge"], ["c"]),
        make_node("Tile", ["one", "huge"], ["c"]),
        make_node("Range", ["zero", "many", "one0"], ["c"]),
        make_node("Pad", ["one", "wide"], ["c"]),
        make_node("Mul", ["column", "row"], ["c"]),
        make_node("MatMul", ["column", "row"], ["c"]),
        make_node("Gemm", ["column", "row"], ["c"]),
        make_node("Gather", ["row", "zeros"], ["c"], axis=0),
    ],
)
def test_the_budget_is_checked_before_anything_is_evaluated(imported, node):
    constants = {
        "huge": np.array([1 << 20, 1 << 20]),
        "one": np.ones((1, 1), np.float32),
        "one0": np.float32(1),
        "zero": np.float32(0),
        "many": np.float32(1e12),
        "wide": np.array([0, 1 << 40, 0, 0]),
        "column": np.ones((10_000, 1), np.float32),
        "row": np.ones((1, 10_000), np.float32),
        "zeros": np.zeros(10_000, np.int64),
    }
    nodes = [node, make_node("Add", ["x", "c"], ["y"])]
    error = refused(imported, nodes, {"x": (3,)}, constants)
    assert (error.id, error.exit_code) == ("NC-E0206", 3)


@pytest.mark.parametrize(
    "node",
    [
        make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 0, 1 << 30, 1 << 30]),
        make_node("Pad", ["x", "p"], ["y"]),
    ],
)
def test_huge_activations(imported, node):
    constants = {"p": np.array([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20])}
    assert refused(imported, [node], {"x": (3, 8, 8)}, constants).id == "NC-E0206"


def test_a_huge_input(imported):
    shape = (MAX_ELEMENTS, 2)
    assert refused(imported, [make_node("Relu", ["x"], ["y"])], {"x": shape}).id == "NC-E0206"


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname", "missing.bin", ""])
def test_external_data_outside_the_folder(tmp_path, location):
    (tmp_path / "outside.bin").write_bytes(struct.pack("<3f", 1, 2, 3))
    folder = tmp_path / "model"
    folder.mkdir()
    error = refused(import_onnx, _external(folder / "m.onnx", location))
    assert error.id == "NC-E0207"


def test_external_data_beside_the_model(tmp_path):
    (tmp_path / "weights.bin").write_bytes(struct.pack("<3f", 1, 2, 3))
    graph = import_onnx(_external(tmp_path / "m.onnx", "weights.bin"))
    assert graph.ops[0].weight.reshape(-1).tolist() == [1, 2, 3]


def _external(path, location):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]
    node = make_node("Mul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", infos[:1], infos[1:], [tensor])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_sparse_initialiser(tmp_path):
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]
    graph = helper.make_graph([make_node("Mul", ["x", "s"], ["y"])], "g", infos[:1], infos[1:])
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert refused(import_onnx, path).id == "NC-E0203"


def test_node_names_are_short(imported):
    long = "/".join(["block"] * 20)
    nodes = [
        make_node("Relu", ["x"], ["a"], name=f"first/thing;{long}/last;model/relu_7"),
        make_node("GlobalMaxPool", ["a"], ["b"], name=long),
        make_node("Tanh", ["b"], ["y"], name="z" * 100),
    ]
    graph = imported(nodes, {"x": (3, 2)})
    assert graph.ops[0].node == "model/relu_7"
    assert all(len(op.node) <= 60 for op in graph.ops)


def test_codes_that_come_out_without_parameters(imported):
    types = {"x": TensorProto.UINT8}
    nodes = [
        make_node("DequantizeLinear", ["x", "s"], ["r"]),
        make_node("Tile", ["x", "k"], ["t"]),
    ]
    constants = {"s": np.float32(0.1), "k": np.array([1, 2])}
    error = refused(imported, nodes[::-1], {"x": (3,)}, constants, types=types, outputs=["t"])
    assert error.id == "NC-E0203"
    assert "codes that nothing" in error.where


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_a_border_whose_positions_would_be_too_many_to_list(save, mode):
    """A border of a constant has no such limit; a list of positions could take any memory."""

    def padded(size, **attrs):
        nodes = [make_node("Pad", ["x", "p"], ["y"], name="border", **attrs)]
        return save(nodes, {"x": (size,)}, {"p": np.array([0, 1, 0, 2], np.int64)})

    error = refused(import_onnx, padded(65533, mode=mode))
    assert error.id == "NC-E0203"
    assert "border" in error.where
    assert "an axis of 65536" in error.where
    import_onnx(padded(65532, mode=mode))
    import_onnx(padded(65533))
