"""The shipped models, compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.image import build_image
from norcim.runtime import compile_model

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that compiles a shipped model for a chip and gives the path of the image."""

    def compile_one(name: str, chip: str) -> Path:
        with np.load(MODELS / name / "calib.npz") as data:
            calibration = {key: data[key] for key in data if key != "y"}
        content = compile_model(MODELS / name / f"{name}.onnx", load_chip(chip), calibration)
        path = Path(tmp_path_factory.mktemp("images")) / f"{name}_{chip}.cim"
        path.write_bytes(build_image(content))
        return path

    return compile_one
