"""The default cells of `wtm2101` on keyword-spotting networks, against its programming logs.

Layers of the logs after the second pass: column sigma 0.67 to 7.25 LSB, medians 0.77 and 2.25;
offsets 0.95 to 1.4 LSB; slopes 0.96 to 1.01. Before it, slopes 0.88 to 1.05.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.subjects import MFCC_SCALE, MFCC_ZERO
from norcim.analysis.population import column_errors
from norcim.chips import load_chip
from norcim.emulator.cells import CellModel, Compensation, sample_chip
from norcim.emulator.compensate import Calibration, calibration_of, compensate
from norcim.image.model import ImageContent
from norcim.runtime import compile_model, encode_inputs

KWS = Path(__file__).parents[3] / "models" / "kws"
CHIP = load_chip("wtm2101")


def compiled(model: Path, typical: np.ndarray) -> tuple[ImageContent, Calibration]:
    content = compile_model(model, CHIP, {"x": typical})
    return content, calibration_of(content, encode_inputs(content, {"x": typical[:32]}))


def medians(network: tuple[ImageContent, Calibration], **compensation: bool) -> dict[str, float]:
    """Over the tiles of one chip: what its programming log would say."""
    content, calibration = network
    model = CellModel.of(CHIP, compensation=Compensation(**compensation))
    chip = compensate(sample_chip(content, model, 1, 0), calibration)
    found = column_errors(chip, calibration, 1)
    names = ("sigma_lsb", "offset_lsb", "slope")
    return {name: float(np.median([getattr(e, name) for e in found])) for name in names}


@pytest.fixture(scope="module")
def shipped() -> tuple[ImageContent, Calibration]:
    with np.load(KWS / "calib.npz") as file:
        return compiled(KWS / "kws.onnx", file["x"])


@pytest.mark.slow
def test_the_shipped_network_is_inside_the_range_of_the_logs(
    shipped: tuple[ImageContent, Calibration],
) -> None:
    found = medians(shipped)
    assert 0.95 < found["offset_lsb"] < 1.4
    assert 0.96 < found["slope"] < 1.01
    assert 0.8 < found["sigma_lsb"] < 2.3


@pytest.mark.slow
def test_the_second_pass_does_what_the_logs_say(
    shipped: tuple[ImageContent, Calibration],
) -> None:
    first = medians(shipped, refine=False, calibrate=False)
    second = medians(shipped, calibrate=False)
    assert 0.88 < first["slope"] < 0.97 < second["slope"] < 1.01
    assert 0.7 < second["sigma_lsb"] / first["sigma_lsb"] < 0.95


@pytest.mark.slow
def test_mlperf_s_network_is_inside_the_range_of_the_logs(shared_data: Path) -> None:
    with np.load(shared_data / "data/kws01/kws01.npz") as file:
        codes = file["x"][:100, ..., None].astype(np.float32)
    features = (codes - MFCC_ZERO) * np.float32(MFCC_SCALE)
    network = compiled(shared_data / "models/mlperf_kws_dscnn_fp32_tfl.onnx", features)
    found = medians(network)
    assert 0.8 < found["sigma_lsb"] < 2.3
    assert 0.96 < found["slope"] < 1.01
    assert found["offset_lsb"] < 1.4
