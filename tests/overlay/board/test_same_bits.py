"""The virtual board gives the emulator's bytes in every layer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from norcim.chips import load_chip
from norcim.image import build_image
from norcim_cli.main import main
from norcim_cli.virtual import running_board
from tests.unit.image.sample import sample_content

ROOT = Path(__file__).parents[3]


def _all_opcodes(path: Path) -> Path:
    """A program of every opcode, compiled for the overlay."""
    chip = load_chip("overlay")
    meta = {
        "inputs": [{"name": "x", "shape": [4, 4, 2], "perm": [0, 1, 2], "codes": "int8"}],
        "outputs": [{"name": "y", "shape": [1, 1, 4], "perm": [0, 1, 2], "codes": "int8"}],
    }
    content = sample_content(chip=chip.name, chip_hash=chip.fingerprint, meta=meta)
    path.write_bytes(build_image(content))
    return path


def _shipped(path: Path) -> Path:
    """The keyword-spotting network that ships."""
    folder = ROOT / "models" / "kws"
    arguments = ["compile", folder / "kws.onnx", "-c", "overlay", "-o", path]
    assert main([*map(str, arguments), "--calibration", str(folder / "calib.npz")]) == 0
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("tools", "boards")
def test_every_byte_of_every_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = (_all_opcodes(tmp_path / "all.cim"), _shipped(tmp_path / "kws.cim"))
    with running_board("same") as port:
        for image, n_inputs in zip(images, (8, 1), strict=True):
            capsys.readouterr()
            options = ["-p", port, "-n", str(n_inputs), "--json"]
            assert main(["validate", str(image), *options]) == 0
            found = json.loads(capsys.readouterr().out)
            assert (found["n_different"], found["divergence"]) == (0, None)
            assert found["n_layer_bytes"] > 100 * n_inputs
