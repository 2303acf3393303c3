"""What is measured: compiled networks with real inputs, and the engine they are compared with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.chips import load_chip
from norcim.image.model import ImageContent
from norcim.runtime import compile_model, encode_inputs

CHECKOUT = Path(__file__).resolve().parent.parent
MFCC_SCALE, MFCC_ZERO = 0.5847029089927673, 83


def shared_data() -> Path | None:
    """The folder of third-party models and recordings beside the checkout, if there is one."""
    found = Path(os.environ.get("NORCIM_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
    return found if (found / "models").is_dir() else None


@dataclass(frozen=True)
class Subject:
    """A network compiled for a chip, and the integer ONNX model that a peer runs.

    codes     input bytes for the emulator, (n, h, w, c)
    peer      path of the integer model for onnxruntime, and its input array
    expected  class per input that onnxruntime gives
    """

    name: str
    content: ImageContent
    codes: npt.NDArray[np.uint8]
    peer: str | bytes
    peer_inputs: npt.NDArray[Any]


def kws(chip: str) -> Subject:
    """Keyword spotting: MLPerf Tiny DS-CNN where the data is, else the shipped network."""
    data = shared_data()
    if data is None:
        return _shipped_kws(chip)
    clips = np.load(data / "data/kws01/kws01.npz")["x"][..., None]
    real = (clips.astype(np.float32) - MFCC_ZERO) * np.float32(MFCC_SCALE)
    model = data / "models/mlperf_kws_dscnn_fp32_tfl.onnx"
    content = compile_model(model, load_chip(chip), {"x": real[:100]})
    [codes] = encode_inputs(content, {"x": real})
    peer = data / "models/mlperf_kws_dscnn_int8.onnx"
    return Subject("mlperf_kws_dscnn", content, codes, str(peer), clips)


def _shipped_kws(chip: str) -> Subject:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    folder = CHECKOUT / "models" / "kws"
    features = np.load(folder / "calib.npz")["x"]
    content = compile_model(folder / "kws.onnx", load_chip(chip), {"x": features})
    [codes] = encode_inputs(content, {"x": features})

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter(features.astype(np.float32)[:, None])

        def get_next(self) -> dict[str, Any] | None:
            row = next(self.rows, None)
            return None if row is None else {content.meta["inputs"][0]["name"]: row}

    target = CHECKOUT / ".bench" / "kws_int8.onnx"
    target.parent.mkdir(exist_ok=True)
    quantize_static(
        folder / "kws.onnx", target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True
    )
    return Subject("kws", content, codes, str(target), features.astype(np.float32))


def resnet8(chip: str) -> Subject | None:
    """CIFAR-10 ResNet-8 of MLPerf Tiny; None without the data."""
    data = shared_data()
    if data is None:
        return None
    images = np.load(data / "data/cifar10/test.npz")["x"].astype(np.float32)
    calibration = np.load(data / "data/cifar10/train_calib.npz")["x"].astype(np.float32)
    model = data / "models/mlperf_ic_resnet8_fp32.onnx"
    content = compile_model(model, load_chip(chip), {"x": calibration[:50]})
    [codes] = encode_inputs(content, {"x": images})
    peer = data / "models/mlperf_ic_resnet8_int8.onnx"
    return Subject("mlperf_ic_resnet8", content, codes, str(peer), (images - 128).astype(np.int8))
