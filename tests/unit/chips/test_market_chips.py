"""Chips whose role is network run a network; the others refuse with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from norcim.chips import list_chips, load_chip
from norcim.emulator import Emulator
from norcim.emulator.cells import CellModel, sample_chip
from norcim.errors import NorcimError
from norcim.runtime import compile_model, encode_inputs
from tests.system.conftest import make_model

CHIPS = [load_chip(name) for name in list_chips()]
NETWORK = [chip.name for chip in CHIPS if chip.about.role == "network"]
ESTIMATE = [chip.name for chip in CHIPS if chip.about.role == "estimate"]
X = np.random.default_rng(0).exponential(1.0, (20, 8)).astype(np.float32)


@pytest.mark.parametrize("name", NETWORK)
def test_a_layer_compiles_and_runs_exact_and_on_a_sampled_chip(name: str, tmp_path: Path) -> None:
    chip = load_chip(name)
    content = compile_model(make_model(tmp_path / "m.onnx"), chip, {"x": X})
    codes = encode_inputs(content, {"x": X})
    assert Emulator(content).run(codes)[0].any()
    if chip.cells.kind != "none":
        model = CellModel.of(chip, age_s=3e7, temperature_c=60)
        first = Emulator(content, cells=sample_chip(content, model, 1, 0)).run(codes)[0]
        again = Emulator(content, cells=sample_chip(content, model, 1, 0)).run(codes)[0]
        assert np.array_equal(first, again)


@pytest.mark.parametrize("name", ESTIMATE[::6])
def test_an_estimate_only_chip_refuses_networks(name: str, tmp_path: Path) -> None:
    with pytest.raises(NorcimError) as caught:
        compile_model(make_model(tmp_path / "m.onnx"), load_chip(name), {"x": X})
    assert caught.value.id == "NC-E0711"


@pytest.mark.parametrize("name", NETWORK)
def test_an_analog_network_chip_has_cells(name: str) -> None:
    chip = load_chip(name)
    assert (chip.cells.kind != "none") == (chip.about.domain == "analog" or name == "nor1")
