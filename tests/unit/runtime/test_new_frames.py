"""Streams of new frames: what a call computes is what whole windows hold there, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from norcim.analysis.estimate import estimate
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.fitting import NO_WISHES, Wishes
from norcim.image import ImageContent
from norcim.ir.stream_plan import Stream
from norcim.runtime import compile_model, encode_inputs
from norcim.streaming import run_stream

Array = np.ndarray


class Net:
    """An ONNX model, layer by layer; each method gives its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.rng = np.random.default_rng(4)

    def __call__(self, kind: str, *inputs: str | Array, **attrs: Any) -> str:
        names = [self.weight(x) if isinstance(x, np.ndarray) else x for x in inputs]
        self.nodes.append(helper.make_node(kind, names, [f"t{len(self.nodes)}"], **attrs))
        return f"t{len(self.nodes) - 1}"

    def weight(self, value: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def normal(self, *size: int) -> Array:
        """Weights (outputs, ...) that keep the size of what they multiply."""
        scale = np.float32(1.5 / np.sqrt(np.prod(size[1:])))
        return self.rng.normal(size=size).astype(np.float32) * scale

    def conv(self, x: str, kernel: tuple[int, ...], c_in: int, c_out: int, **attrs: Any) -> str:
        weight = self.normal(c_out, c_in // attrs.get("group", 1), *kernel)
        bias = np.full(c_out, 0.3, np.float32)
        return self("Relu", self("Conv", x, weight, bias, kernel_shape=list(kernel), **attrs))

    def last(self, x: str, c_in: int, c_out: int) -> str:
        return self("Conv", x, self.normal(c_out, c_in, 1), kernel_shape=[1])

    def save(self, path: Path, shape: tuple[int, ...], *outputs: str) -> Path:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        ys = [helper.make_tensor_value_info(y, TensorProto.FLOAT, None) for y in outputs]
        graph = helper.make_graph(self.nodes, "net", [x], ys, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        return path


def causal(path: Path) -> tuple[Path, tuple[int, ...]]:
    """Dilated convolutions that see the past only, with shortcuts."""
    net = Net()
    x = net.conv("x", (3,), 6, 8, pads=[2, 0])
    for dilation in (1, 2, 4):
        y = net.conv(x, (3,), 8, 8, pads=[2 * dilation, 0], dilations=[dilation])
        x = net("Add", net.conv(y, (1,), 8, 8), x)
    return net.save(path, (1, 6, 24), net.last(x, 8, 3)), (6, 24)


def padded_pool(path: Path) -> tuple[Path, tuple[int, ...]]:
    """A Pad of its own, a pool over time, a table, channels put together."""
    net = Net()
    pads = np.array([0, 0, 3, 0, 0, 0], np.int64)
    x = net.conv(net("Pad", "x", pads), (4,), 6, 8)
    y = net("AveragePool", net("Pad", x, pads), kernel_shape=[4], strides=[2])
    z = net("Tanh", net.conv(x, (2,), 8, 8, strides=[2], pads=[0, 0]))
    both = net("Concat", y, z, axis=1)
    return net.save(path, (1, 6, 24), net.last(both, 16, 3)), (6, 24)


def both_sides(path: Path) -> tuple[Path, tuple[int, ...]]:
    """Padded on both sides, with strides and branches that lag behind each other."""
    net = Net()
    x = net.conv("x", (3,), 6, 8, pads=[1, 1], strides=[2])
    y = net.conv(x, (5,), 8, 8, pads=[2, 2])
    x = net("Add", net.conv(y, (3,), 8, 8, pads=[1, 1]), x)
    x = net("MaxPool", x, kernel_shape=[3], pads=[1, 1], strides=[2])
    return net.save(path, (1, 6, 64), net.last(x, 8, 3)), (6, 64)


def separable(path: Path, head: Callable[[Net, str], str], turned: bool = False) -> Any:
    """A keyword network's body on spectra; padded along frequency only."""
    net, x = Net(), "x"
    shape, order = (1, 1, 24, 10), [0, 1]
    if turned:
        shape, order = (1, 1, 10, 24), [1, 0]

    def pair(time: int, other: int) -> list[int]:
        return [(time, other)[index] for index in order]

    def conv(x: str, time: int, c_in: int, c_out: int, stride: int = 1, group: int = 1) -> str:
        return net.conv(x, tuple(pair(time, 3)), c_in, c_out, strides=pair(stride, 1),
                        pads=[*pair(0, 1), *pair(0, 1)], group=group)  # fmt: skip

    x = conv(x, 4, 1, 8, stride=2)
    x = net.conv(conv(x, 3, 8, 8, group=8), (1, 1), 8, 8)
    x = net.conv(conv(x, 3, 8, 8, group=8), (1, 1), 8, 8)
    return net.save(path, shape, head(net, x)), shape[1:]


def mean(net: Net, x: str) -> str:
    return net("Gemm", net("Flatten", net("GlobalAveragePool", x)), net.normal(4, 8), transB=1)


def dense(net: Net, x: str) -> str:
    return net("Gemm", net("Flatten", x), net.normal(4, 8 * 7 * 10), transB=1)


def recurrent(net: Net, x: str) -> str:
    y = net("Reshape", net("Transpose", x, perm=[2, 0, 1, 3]), np.array([7, 1, 80], np.int64))
    w, r = net.weight(net.normal(1, 12, 80)), net.weight(net.normal(1, 12, 4))
    net.nodes.append(helper.make_node("GRU", [y, w, r], ["", "last"], hidden_size=4))
    last = net("Reshape", "last", np.array([1, 4], np.int64))
    return net("Gemm", last, net.normal(3, 4), transB=1)


def sound(shape: tuple[int, ...], axis: int, n: int) -> Array:
    """A long input (1, ...): `n` frames along an axis of `shape`."""
    size = [1, *shape]
    size[axis + 1] = n
    return np.random.default_rng(1).normal(size=size).astype(np.float32)


def compiled(path: Path, shape: tuple[int, ...], chip: str, stream: Stream | None) -> ImageContent:
    samples = np.random.default_rng(2).normal(size=(6, *shape)).astype(np.float32)
    wishes = Wishes(stream=stream) if stream else NO_WISHES
    return compile_model(path, load_chip(chip), {"x": samples}, wishes=wishes)


def calls(content: ImageContent, long: Array, axis: int, hop: int) -> list[Array]:
    """Code bytes of the model's outputs, call by call, of frames along an axis of `long`."""
    steps = np.stack(np.split(long[0], long.shape[axis + 1] // hop, axis=axis))
    outputs = run_stream(content, Emulator(content).run, {"x": steps})[1]
    return outputs[: len(content.meta["stream"]["lags"])]


def windows(content: ImageContent, array: Array) -> Array:
    return Emulator(content).run(encode_inputs(content, {"x": array}))[0]


@pytest.mark.parametrize("chip", ["digital", "nor1", "wtm2101"])
@pytest.mark.parametrize("hop", [2, 4, 12])
@pytest.mark.parametrize("make", [causal, padded_pool])
def test_what_sees_the_past_only_is_the_whole_window_from_the_first_frame(
    make: Any, hop: int, chip: str, tmp_path: Path
) -> None:
    path, shape = make(tmp_path / "net.onnx")
    long = sound(shape, 1, shape[1])
    whole = windows(compiled(path, shape, chip, None), long)
    content = compiled(path, shape, chip, Stream(hop))
    [found] = calls(content, long, 1, hop)
    assert list(content.meta["stream"]["lags"].values()) == [0]
    assert np.array_equal(found.reshape(whole.shape), whole)
    assert len(np.unique(whole)) > 10


@pytest.mark.parametrize("chip", ["digital", "nor1", "wtm2101"])
@pytest.mark.parametrize("hop", [4, 8, 16, 32])
def test_padded_on_both_sides_the_inner_frames_come_late(
    hop: int, chip: str, tmp_path: Path
) -> None:
    path, shape = both_sides(tmp_path / "net.onnx")
    long = sound(shape, 1, 64)
    whole = windows(compiled(path, shape, chip, None), long)[0]
    content = compiled(path, shape, chip, Stream(hop))
    found = calls(content, long, 1, hop)[0].reshape(whole.shape)
    [lag] = content.meta["stream"]["lags"].values()
    edge = 4  # frames of the output that padding reaches
    assert 1 <= lag <= edge
    assert np.array_equal(found[edge + lag :], whole[edge : len(whole) - lag])
    assert len(np.unique(whole)) > 10


@pytest.mark.parametrize("chip", ["digital", "nor1", "wtm2101"])
@pytest.mark.parametrize("head", [mean, dense, recurrent])
def test_each_call_of_a_classifier_is_a_window(head: Any, chip: str, tmp_path: Path) -> None:
    path, shape = separable(tmp_path / "net.onnx", head)
    long = sound(shape, 1, 40)
    content = compiled(path, shape, chip, Stream(2))
    assert list(content.meta["stream"]["lags"].values()) == [None]
    [found] = calls(content, long, 1, 2)
    whole = compiled(path, shape, chip, None)
    parts = [long[:, :, first : first + 24] for first in range(0, 17, 2)]
    expected = windows(whole, np.concatenate(parts))
    assert np.array_equal(found[11:], expected)
    assert len(np.unique(expected, axis=0)) > 3


@pytest.mark.parametrize("chip", ["digital", "nor1", "wtm2101"])
def test_equal_weights_may_run_on_new_frames_and_on_the_window(chip: str, tmp_path: Path) -> None:
    """One convolution on the frames and on the frames turned round, which takes them all."""
    net = Net()
    weight, shape = net.weight(net.normal(8, 6, 3)), (6, 24)
    ends = [np.array([n], np.int64) for n in (-1, -100, 2, -1)]
    y, z = (
        net("Conv", x, weight, kernel_shape=[3], pads=[2, 0])
        for x in ("x", net("Slice", "x", *ends))
    )
    path = net.save(tmp_path / "net.onnx", (1, *shape), net.last(net("Add", y, z), 8, 3))
    long = sound(shape, 1, 24)
    whole, content = (compiled(path, shape, chip, stream) for stream in (None, Stream(4)))
    assert len(content.weights) == len(whole.weights)
    expected = windows(whole, long)
    assert np.array_equal(calls(content, long, 1, 4)[0][-1:], expected)
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("axis", [2, 3])
def test_time_may_be_another_axis(axis: int, tmp_path: Path) -> None:
    path, shape = separable(tmp_path / "net.onnx", mean, turned=axis == 3)
    long = sound(shape, axis - 1, 32)
    content = compiled(path, shape, "nor1", Stream(4, axis))
    [found] = calls(content, long, axis - 1, 4)
    parts = [np.take(long, range(first, first + 24), axis) for first in (0, 4, 8)]
    expected = windows(compiled(path, shape, "nor1", None), np.concatenate(parts))
    assert np.array_equal(found[5:], expected)


def test_a_call_computes_the_new_frames_only(tmp_path: Path) -> None:
    path, shape = separable(tmp_path / "net.onnx", mean)
    n_macs = [
        estimate(compiled(path, shape, "nor1", stream), load_chip("nor1")).counts.n_macs
        for stream in (None, Stream(2))
    ]
    # 11, 9, 9, 7, 7 frames become one of each; the head stays
    whole = 11 * 10 * 12 * 8 + (9 + 7) * 10 * (9 * 8 + 8 * 8)
    one = 10 * 12 * 8 + 2 * 10 * (9 * 8 + 8 * 8)
    assert n_macs[0] - n_macs[1] == whole - one


def test_windows_with_padded_frames_are_told(tmp_path: Path) -> None:
    net = Net()
    x = net.conv("x", (3,), 6, 8, pads=[1, 1])
    path = net.save(tmp_path / "net.onnx", (1, 6, 24), net("GlobalAveragePool", x))
    notes = compiled(path, (6, 24), "digital", Stream(1)).meta["notes"]
    assert any("padding" in note for note in notes)
    path, shape = separable(tmp_path / "net.onnx", mean)
    notes = compiled(path, shape, "digital", Stream(2)).meta["notes"]
    assert not any("padding" in note for note in notes)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (Stream(24), "1 to 23 frames"),
        (Stream(0), "1 to 23 frames"),
        (Stream(3), "a multiple of 2 frames"),
        (Stream(2, 1), "axis 2 or 3"),
        (Stream(2, 9), "axis 2 or 3"),
    ],
)
def test_streams_that_cannot_be_are_told(stream: Stream, expected: str, tmp_path: Path) -> None:
    path, shape = separable(tmp_path / "net.onnx", mean)
    with pytest.raises(NorcimError) as caught:
        compiled(path, shape, "digital", stream)
    assert caught.value.id == "NC-E0412"
    assert expected in str(caught.value.expected)


def test_a_network_of_two_inputs_is_told(tmp_path: Path) -> None:
    vad = Path(__file__).resolve().parents[3] / "models/vad"
    with np.load(vad / "calib.npz") as data, pytest.raises(NorcimError) as caught:
        compile_model(
            vad / "vad.onnx", load_chip("digital"), dict(data), wishes=Wishes(stream=Stream(1))
        )
    assert caught.value.id == "NC-E0412"
