"""What is installed: a wheel holds the packages, the chip files and the models."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout."""
    if importlib.util.find_spec("hatchling") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("hatchling is missing: pip install -e '.[dev]'")
        pytest.skip("needs hatchling: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def test_wheel_holds_packages_chips_and_models_but_no_training_scripts(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "norcim/__init__.py",
        "norcim/py.typed",
        "norcim/chips/data/nor1.toml",
        "norcim_cli/main.py",
        "norcim/models/kws/kws.onnx",
        "norcim/models/kws/model.json",
        "norcim/models/kws/calib.npz",
        *(f"norcim/models/{name}/{name}.onnx" for name in ("digits", "machine", "trigger", "vad")),
        "norcim_overlay/sim/board/main.cpp",
        "norcim_overlay/sim/board/soc.v",
        "norcim_overlay/firmware/app/main.c",
    } <= names
    assert any(name.startswith("norcim/models/kws/clips/") for name in names)
    assert not [name for name in names if name.startswith("norcim/models") and ".py" in name]
    packages = {"norcim", "norcim_cli", "norcim_overlay"}
    assert {name.split("/")[0].split("-")[0] for name in names} == packages


def test_models_are_found_in_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "from norcim_cli.models import find_model; print(find_model('kws'))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == str(tmp_path / "norcim" / "models" / "kws")
