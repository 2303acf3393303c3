"""Accuracy, saturation and layer errors, on an image small enough to work by hand."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from norcim.analysis.evaluation import label_numbers, measure, predicted_classes
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.ir.graph import Graph, Op, Tensor
from norcim.ir.graph import Port as GraphPort
from norcim.spec.program import Column, Descriptor, Opcode, Port, Rule, Stage, Tile

HALF = struct.unpack("<I", struct.pack("<f", 0.5))[0]


def two_by_two(gain: int = 0) -> ImageContent:
    """y = x @ [[1, 0], [0, 2]] on codes, scale 0.5 in and out, 8-bit converter."""
    mvm = Descriptor(
        opcode=Opcode.MVM, stage=Stage.REQUANTISE, rule=Rule.LINEAR, converter_bits=8, out_signed=1,
        n_tiles=1, in_row_stride=2, in_pixel_stride=2, in_channel_stride=1, in_h=1, in_w=1, in_c=2,
        out_c=2, out_h=1, out_w=1, out_addr=8, out_row_stride=2, out_pixel_stride=2,
        out_channel_stride=1, kernel_h=1, kernel_w=1, stride_h=1, stride_w=1, dilation_h=1,
        dilation_w=1, clamp_lo=-128, clamp_hi=127,
    )  # fmt: skip
    tile = Tile(gain=gain, first=1, last=1, n_rows=2, n_cols=2, in_c_count=2)
    layer = {
        "name": "fc",
        "tensor": "y",
        "shape": [1, 1, 2],
        "scale": 0.5,
        "zero_point": 0,
        "signed": True,
    }
    port = Port(scale=HALF, row_stride=2, pixel_stride=2, h=1, w=1, c=2)
    return ImageContent(
        chip="nor1",
        chip_hash="0" * 64,
        activation_bytes=16,
        program=(mvm, Descriptor(opcode=Opcode.END)),
        tiles=(tile,),
        columns=(Column(0, 32768, 15),) * 2,
        ports=(port, replace(port, is_output=1, signed=1, addr=8)),
        weights=bytes([1, 0, 0, 2]),
        vector_weights=b"",
        tables=b"",
        kat_input=b"",
        kat_output=b"",
        meta={"layers": [layer], "labels": ["yes", "no"]},
    )


def model(weight: float = 2.0) -> Graph:
    """The same in real numbers."""
    kernel = np.array([[1, 0], [0, weight]], np.float32).reshape(1, 1, 2, 2)
    attrs: dict[str, Any] = {
        "stride": (1, 1),
        "dilation": (1, 1),
        "pads": (0, 0, 0, 0),
        "groups": 1,
        "clamp": None,
    }
    op = Op("conv", "fc", ("x",), "y", attrs, kernel)
    tensors = {name: Tensor(name, (1, 1, 2)) for name in ("x", "y")}
    ports = [GraphPort(name, (2,), (0,)) for name in ("x", "y")]
    return Graph("m", (ports[0],), (ports[1],), tensors, (op,))


X = np.array([[10, 1], [1, 10], [3, 100]], np.uint8).reshape(3, 1, 1, 2)


def test_accuracy_counts_largest_codes() -> None:
    found = measure(two_by_two(), [X], np.array([0, 1, 0]))
    assert (found.n_samples, found.n_right) == (3, 2)
    assert found.accuracy == pytest.approx(2 / 3)


def test_labels_may_be_names() -> None:
    assert measure(two_by_two(), [X], np.array(["yes", "no", "no"])).n_right == 3


def test_without_labels_there_is_no_accuracy() -> None:
    assert measure(two_by_two(), [X]).accuracy is None


def test_clipped_conversions_are_counted_by_layer() -> None:
    (layer,) = measure(two_by_two(), [X]).layers
    assert (layer.name, layer.opcode) == ("fc", "MVM")
    assert (layer.n_conversions, layer.n_saturated) == (6, 1)  # 2 * 100 > 127


def test_layer_error_is_zero_where_nothing_clips() -> None:
    (layer,) = measure(two_by_two(), [X[:2]], reference=model()).layers
    assert layer.rms_error_lsb == 0
    assert layer.sqnr_db is None


def test_layer_error_of_a_clipped_value() -> None:
    # Codes due: 10 2 1 20 3 200; got 127 for 200. rms = sqrt(73^2 / 6); power 40514 over 5329.
    (layer,) = measure(two_by_two(), [X], reference=model()).layers
    assert layer.rms_error_lsb == pytest.approx(29.802, rel=1e-4)
    assert layer.sqnr_db == pytest.approx(8.809, rel=1e-3)


def test_batches_beyond_one_chunk_add_up() -> None:
    many = np.repeat(X, 50, axis=0)
    found = measure(two_by_two(), [many], np.repeat([0, 1, 1], 50), model())
    assert found.n_right == 150
    assert found.layers[0].n_saturated == 50
    assert found.layers[0].rms_error_lsb == pytest.approx(29.802, rel=1e-4)


def test_signed_output_codes_are_compared_as_signed() -> None:
    content = two_by_two()
    output = np.array([[255, 3]], np.uint8).reshape(1, 1, 1, 2)  # -1 and 3
    assert predicted_classes(content, output).tolist() == [1]


@pytest.mark.parametrize(
    "labels", [np.array([0, 1]), np.array([0, 1, 2]), np.array([0.5, 0, 0]), np.array(["a"] * 3)]
)
def test_labels_that_do_not_fit(labels: np.ndarray[Any, Any]) -> None:
    with pytest.raises(NorcimError) as caught:
        label_numbers(two_by_two(), labels, 3)
    assert caught.value.id == "NC-E0905"


def test_another_model_is_refused() -> None:
    other = replace(model(), tensors={name: Tensor(name, (1, 1, 2)) for name in ("x", "z")})
    with pytest.raises(NorcimError) as caught:
        measure(two_by_two(), [X], reference=other)
    assert caught.value.id == "NC-E0906"
