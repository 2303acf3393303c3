"""Operations that put elements together, take them apart, repeat or spread them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.frontend.moving import Loop, Span, merged, runs
from norcim.image import read_image
from norcim.image.build import build_image
from norcim.runtime import compile_model, decode_outputs, encode_inputs

RNG = np.random.default_rng(5)
I64 = np.int64
K = {
    "w": RNG.normal(size=(5, 3, 3, 3)).astype(np.float32),
    "pick": np.array([2, 0, 0, 1, -1], I64),
    "grid": np.array([[0, 1], [1, 2]], I64),
    "one": np.array(1, I64),
    "starts": np.array([1, -5], I64),
    "ends": np.array([100, -1], I64),
    "axes": np.array([2, 3], I64),
    "steps": np.array([2, 1], I64),
    "back": np.array([-1], I64),
    "far": np.array([-(2**63)], I64),
    "last": np.array([3], I64),
    "sizes": np.array([1, 2], I64),
    "wide": np.array([1, 3, 8, 8], I64),
    "twice": np.array([1, 1, 2, 3], I64),
    "pads": np.array([0, 0, 1, 2, 0, 0, 3, 1], I64),
    "mixed": np.array([0, 1, -2, 0, 0, 0, 1, 3], I64),
    "row": RNG.normal(size=(1, 1, 8, 8)).astype(np.float32),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "odd": np.array([1, 1, 1.5, 0.7], np.float32),
    "final": np.array([1, 3, 12, 4], I64),
}

CASES = {
    "concat_channels": ([make_node("Concat", ["x", "x"], ["y"], axis=1)], (3, 8, 8)),
    "concat_rows": ([make_node("Concat", ["x", "x"], ["y"], axis=-2)], (3, 8, 8)),
    "concat_vector": ([make_node("Concat", ["x", "x"], ["y"], axis=1)], (6,)),
    "concat_constant": ([make_node("Concat", ["x", "row"], ["y"], axis=1)], (3, 8, 8)),
    "split_even": (
        [make_node("Split", ["x"], ["a", "b"], axis=2), make_node("Add", ["a", "b"], ["y"])],
        (3, 8, 8),
    ),
    "split_sizes": (
        [
            make_node("Split", ["x", "sizes"], ["a", "b"], axis=1),
            make_node("Add", ["a", "b"], ["y"]),
        ],
        (3, 8, 8),
    ),
    "slice": ([make_node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"])], (3, 8, 8)),
    "slice_reversed": (
        [make_node("Slice", ["x", "back", "far", "last", "back"], ["y"])],
        (3, 8, 8),
    ),
    "gather": ([make_node("Gather", ["x", "pick"], ["y"], axis=1)], (3, 8, 8)),
    "gather_grid": ([make_node("Gather", ["x", "grid"], ["y"], axis=2)], (3, 8, 8)),
    "gather_one": ([make_node("Gather", ["x", "one"], ["y"], axis=1)], (3, 8, 8)),
    "expand": ([make_node("Expand", ["x", "wide"], ["y"])], (3, 1, 8)),
    "tile": ([make_node("Tile", ["x", "twice"], ["y"])], (3, 8, 8)),
    "broadcast": (
        [make_node("GlobalAveragePool", ["x"], ["g"]), make_node("Mul", ["x", "g"], ["y"])],
        (3, 8, 8),
    ),
    "depth_dcr": ([make_node("DepthToSpace", ["x"], ["y"], blocksize=2)], (12, 4, 5)),
    "depth_crd": ([make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD")], (12, 4, 5)),
    "space": ([make_node("SpaceToDepth", ["x"], ["y"], blocksize=2)], (3, 4, 8)),
    "pad_reflect": ([make_node("Pad", ["x", "pads"], ["y"], mode="reflect")], (3, 8, 8)),
    "pad_edge": ([make_node("Pad", ["x", "pads"], ["y"], mode="edge")], (3, 8, 8)),
    "pad_and_crop": ([make_node("Pad", ["x", "mixed"], ["y"])], (3, 8, 8)),
    "nearest": (
        [make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest")], (3, 8, 8),
    ),
    "nearest_asymmetric": (
        [
            make_node(
                "Resize", ["x", "", "scales"], ["y"], mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        ],
        (3, 8, 8),
    ),
    "bilinear": ([make_node("Resize", ["x", "", "scales"], ["y"], mode="linear")], (3, 8, 8)),
    "bilinear_odd": ([make_node("Resize", ["x", "", "odd"], ["y"], mode="linear")], (3, 8, 10)),
    "bilinear_sizes": (
        [make_node("Resize", ["x", "", "", "final"], ["y"], mode="linear",
                   coordinate_transformation_mode="align_corners")], (3, 8, 8),
    ),
    "cubic": ([make_node("Resize", ["x", "", "scales"], ["y"], mode="cubic")], (3, 8, 8)),
    "larger": (
        [make_node("Conv", ["x", "w"], ["c"]), make_node("Relu", ["c"], ["d"]),
         make_node("Max", ["c", "d"], ["y"])], (3, 8, 8),
    ),
    "smaller": (
        [make_node("Sigmoid", ["x"], ["c"]), make_node("Min", ["c", "x"], ["y"])], (3, 8, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_onnxruntime_does(agrees, name):
    nodes, shape = CASES[name]
    batch = 1 if name in ("concat_constant", "bilinear_sizes") else "N"
    agrees(nodes, {"x": shape}, K, opset=17, batch=batch)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chip", ["digital", "wtm2101"])
def test_the_image_gives_the_same_within_its_steps(save, name, chip):
    nodes, shape = CASES[name]
    path = save(nodes, {"x": shape}, K, opset=17)
    import onnxruntime

    x = RNG.normal(size=(16, *shape)).astype(np.float32)
    content = read_image(build_image(compile_model(path, load_chip(chip), {"x": x})))
    outputs = Emulator(content).run(encode_inputs(content, {"x": x}))
    [got] = decode_outputs(content, outputs).values()
    session = onnxruntime.InferenceSession(path)
    want = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])
    assert got.shape == want.shape
    error = 10 * np.log10(np.square(want).sum() / np.square(got - want).sum())
    assert error > (25 if chip == "digital" else 18)


UP = [
    ({"strides": [2, 2]}, (3, 4, 2, 2), (3, 5, 6)),
    ({"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, (3, 4, 3, 3), (3, 5, 6)),
    ({"strides": [3, 2], "pads": [0, 1, 2, 1]}, (4, 2, 3, 4), (4, 5, 6)),
    ({"strides": [2, 2], "dilations": [2, 1], "group": 2}, (4, 3, 3, 3), (4, 5, 6)),
    ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, (3, 4, 3, 3), (3, 5, 6)),
    ({"strides": [2, 2], "auto_pad": "SAME_LOWER"}, (3, 4, 3, 3), (3, 5, 6)),
    ({"strides": [2, 2], "output_shape": [10, 12]}, (3, 4, 3, 3), (3, 5, 6)),
    ({"strides": [3, 3], "pads": [2, 2, 2, 2]}, (3, 4, 2, 2), (3, 5, 6)),
    ({}, (3, 4, 3, 3), (3, 5, 6)),
    ({"strides": [2], "pads": [1, 1]}, (3, 4, 4), (3, 7)),
]


@pytest.mark.parametrize(("attrs", "weight", "shape"), UP)
def test_transposed_convolutions(agrees, attrs, weight, shape):
    node = make_node("ConvTranspose", ["x", "v", "b"], ["y"], **attrs)
    v = RNG.normal(size=weight).astype(np.float32)
    bias = RNG.normal(size=weight[1] * attrs.get("group", 1)).astype(np.float32)
    agrees([node], {"x": shape}, {"v": v, "b": bias})


@pytest.mark.parametrize(("opset", "op"), [(7, "Upsample"), (9, "Upsample"), (10, "Resize")])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_old_resizing(agrees, opset, op, mode):
    scales = [1.0, 1.0, 2.0, 3.0]
    if opset == 7:
        node = make_node(op, ["x"], ["y"], mode=mode, scales=scales)
    else:
        node = make_node(op, ["x", "s"], ["y"], mode=mode)
    agrees([node], {"x": (3, 4, 5)}, {"s": np.array(scales, np.float32)}, opset=opset)


def test_runs_find_equal_steps_and_repeats():
    assert runs([0, 1, 2, 3]) == [Span(0, 0, (Loop(4, 1, 1),))]
    assert runs([0, 0, 1, 1, 2, 2]) == [Span(0, 0, (Loop(3, 1, 2), Loop(2, 0, 1)))]
    assert runs([2, 1]) == [Span(2, 0, (Loop(1, 0, 1),)), Span(1, 1, (Loop(1, 0, 1),))]
    for indexes in ([5, 3, 3, 4, 9], [0, 2, 4, 1, 3, 5], [7]):
        found = [0] * len(indexes)
        for span in runs(indexes):
            places = [(span.start, span.put)]
            for loop in span.loops:
                places = [
                    (i + k * loop.step, o + k * loop.put)
                    for i, o in places
                    for k in range(loop.count)
                ]
            for i, o in places:
                found[o] = i
        assert found == indexes


def test_loops_that_continue_each_other_are_one():
    assert merged([Loop(4, 12, 12), Loop(3, 4, 4), Loop(4, 1, 1)]) == [Loop(48, 1, 1)]
    assert len(merged([Loop(4, 12, 24), Loop(3, 4, 4), Loop(4, 1, 1)])) == 2


def test_reversing_a_long_axis_is_refused_because_it_takes_a_copy_an_element(imported):
    from norcim.errors import NorcimError

    nodes = [make_node("Slice", ["x", "back", "far", "last", "back"], ["y"])]
    with pytest.raises(NorcimError, match="strided copies"):
        imported(nodes, {"x": (2, 3, 2000)}, K)


def test_gelu_of_single_nodes_is_one_table(agrees):
    nodes = [
        make_node("Div", ["x", "root"], ["a"]),
        make_node("Erf", ["a"], ["b"]),
        make_node("Add", ["b", "unit"], ["c"]),
        make_node("Mul", ["x", "c"], ["d"]),
        make_node("Mul", ["d", "half"], ["y"]),
    ]
    constants = {"root": np.float32(2**0.5), "unit": np.float32(1), "half": np.float32(0.5)}
    graph = agrees(nodes, {"x": (3, 8, 8)}, constants)
    assert [op.kind for op in graph.ops] == ["table"]


def test_a_tensor_that_someone_else_reads_does_not_join_a_table(agrees):
    nodes = [
        make_node("Sigmoid", ["x"], ["s"]),
        make_node("Exp", ["s"], ["e"]),
        make_node("GlobalAveragePool", ["s"], ["g"]),
        make_node("Add", ["e", "g"], ["y"]),
    ]
    kinds = [op.kind for op in agrees(nodes, {"x": (3, 8, 8)}).ops]
    assert kinds.count("table") == 2
