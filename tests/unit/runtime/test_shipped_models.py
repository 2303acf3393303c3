"""The models beside the keyword model: they compile for every chip and still know their inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.common.network import load_network, roc_auc
from models.digits.data import load_digits
from models.machine.data import MACHINES, WINDOW, windows
from models.machine.evaluate import score_clips
from models.machine.sounds import FAULTS, make_machine, make_sound
from models.trigger.scenes import make_test_set

MODELS = Path(__file__).resolve().parents[3] / "models"
NAMES = ("digits", "machine", "trigger", "vad")
CHIPS = ("digital", "nor1", "wtm2101")
PORTS = {"digits": "image", "trigger": "scene"}
"""Inputs of the classifiers."""

ON_MNIST = {"digits": 0.958, "trigger": 0.903}
"""Shares of right answers on the card."""


def describe(name: str) -> Any:
    return json.loads((MODELS / name / "model.json").read_text())


def run_classes(path: Path, name: str, x: np.ndarray) -> np.ndarray:
    return load_network(path)({name: x})["logits"].reshape(len(x), -1).argmax(axis=1)


def machine_clips(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of n healthy clips of each machine and as many worn ones, and which are worn."""
    rng = np.random.default_rng(5)
    pcm = [
        make_sound(make_machine(m), fault, rng)
        for m in MACHINES
        for fault in (*[None] * n, *FAULTS[:n])
    ]
    return windows(np.stack(pcm)), np.tile(np.repeat([False, True], n), len(MACHINES))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_small_and_its_files_belong_together(name: str) -> None:
    assert describe(name)["name"] == name
    assert (MODELS / name / f"{name}.onnx").stat().st_size < 300_000
    assert (MODELS / name / "card.md").read_text().startswith(f"# {name}: ")


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(("name", "port"), PORTS.items())
def test_a_classifier_knows_its_drawings(image: Any, name: str, port: str, chip: str) -> None:
    with np.load(MODELS / name / "calib.npz") as data:
        found = run_classes(image(name, chip), port, data["x"])
        assert (found == data["y"]).mean() >= 0.9


@pytest.mark.parametrize("chip", CHIPS)
def test_worn_machines_are_heard(image: Any, chip: str) -> None:
    found, worn = machine_clips(4)
    assert found.shape[2] == WINDOW
    assert roc_auc(score_clips(load_network(image("machine", chip)), found), worn) >= 0.85


def test_the_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(1)
    scores, positive = rng.integers(0, 9, 60).astype(float), rng.random(60) < 0.4
    ups, downs = scores[positive, None], scores[~positive]
    assert roc_auc(scores, positive) == pytest.approx(((ups > downs) + (ups == downs) / 2).mean())


@pytest.mark.parametrize("name", NAMES)
def test_what_was_trained_on_is_not_shipped(name: str) -> None:
    """Arrays are calibration inputs and what belongs to them; the folder holds nothing else."""
    with np.load(MODELS / name / "calib.npz") as data:
        assert set(data) in ({"x", "y"}, {"x"}, {"frame", "state"})
    files = {path.name for path in (MODELS / name).iterdir() if path.suffix not in (".py", "")}
    assert files == {"card.md", "calib.npz", "model.json", f"{name}.onnx"}


@pytest.mark.slow
def test_handwriting_is_read_as_well_as_the_card_says(shared_data: Path) -> None:
    """None of it was trained on."""
    images, digits = load_digits(shared_data / "data/mnist")
    found = run_classes(MODELS / "digits/digits.onnx", "image", images[:, None])
    assert (found == digits).mean() == pytest.approx(ON_MNIST["digits"], abs=0.003)
    scenes, labels = make_test_set(shared_data / "data/mnist")
    found = run_classes(MODELS / "trigger/trigger.onnx", "scene", scenes)
    assert (found == labels).mean() == pytest.approx(ON_MNIST["trigger"], abs=0.003)
