"""What a user fixes for layers, and budgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.errors import NorcimError
from norcim.fitting import Wishes
from norcim.image.model import ImageContent
from norcim.quantise import Choices, LayerChoice, read_choices
from norcim.runtime import compile_model
from tests.system.conftest import make_model

X = np.random.default_rng(3).uniform(0, 1, (200, 64)).astype(np.float32)
Build = Callable[..., ImageContent]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Compile a Gemm of 64 x 6 with a ReLU; its layer is called `fc+last`."""
    path = make_model(tmp_path / "m.onnx", n_in=64, n_out=6)

    def compile_(chip: str = "nor1", **wishes: object) -> ImageContent:
        return compile_model(path, load_chip(chip), {"x": X}, wishes=Wishes(**wishes))  # type: ignore[arg-type]

    return compile_


def layer_name(build: Build) -> str:
    return str(build().meta["layers"][0]["name"])


def chosen(build: Build, chip: str = "nor1", **values: object) -> ImageContent:
    name = layer_name(build)
    return build(chip, choices={name: LayerChoice(**values)})  # type: ignore[arg-type]


def test_a_fixed_gain_row_split_and_stack_are_taken(build: Build) -> None:
    assert len(build().tiles) == 1
    tiles = chosen(build, gain=9, row_tiles=2, stack=3).tiles
    assert len(tiles) == 6
    assert {tile.gain for tile in tiles} == {9}
    assert {tile.n_rows for tile in tiles} == {32}


def test_fixed_copies_are_taken_by_a_chip_that_shifts(build: Build) -> None:
    assert chosen(build, "wtm2101", copies=5).tiles[0].repeats == 4


def test_a_fixed_range_bounds_the_output(build: Build) -> None:
    free, fixed = build(), chosen(build, range=(0.0, 1.0))
    top = {name: c.ports[-1].real_scale * 255 for name, c in (("free", free), ("fixed", fixed))}
    assert top["fixed"] <= 1.001 < top["free"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("layers = 3", "tables"),
        ("[other]\nx = 1", "other"),
        ("[layers.a]\ngian = 3", "gian"),
        ("[layers.a]\ngain = true", "True"),
        ("[layers.a]\ngain = -1", "-1"),
        ("[layers.a]\nrange = [1.0, 2.0]", "1.0"),
        ("[layers.a]\nrange = [0.0, inf]", "inf"),
        ("[layers.a]\nrange = [0, 0]", "0"),
        ("[layers.a", "a"),
    ],
)
def test_a_file_that_is_not_right_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "quant.toml"
    path.write_text(text)
    with pytest.raises(NorcimError) as caught:
        read_choices(path)
    assert caught.value.id == "NC-E0408"
    assert what in f"{caught.value.expected} {caught.value.got}"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quant.toml"
    path.write_text('[layers."a/b"]\nrange = [-1, 2.5]\ngain = 3\n')
    assert read_choices(path) == {"a/b": LayerChoice((-1.0, 2.5), 3)}
    with pytest.raises(NorcimError, match="NC-E0101"):
        read_choices(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("chip", "choice"),
    [
        ("digital", LayerChoice(gain=1)),
        ("nor1", LayerChoice(copies=2)),
        ("nor1", LayerChoice(gain=30)),
        ("wtm2101", LayerChoice(stack=2)),
    ],
)
def test_a_choice_that_the_chip_does_not_have_is_refused(
    build: Build, chip: str, choice: LayerChoice
) -> None:
    choices: Choices = {layer_name(build): choice}
    with pytest.raises(NorcimError) as caught:
        build(chip, choices=choices)
    assert caught.value.id == "NC-E0409"


def test_a_layer_that_is_not_there_is_refused(build: Build) -> None:
    with pytest.raises(NorcimError) as caught:
        build(choices={"nowhere": LayerChoice(gain=3)})
    assert caught.value.id == "NC-E0409"


def test_a_budget_is_kept_or_refused(build: Build) -> None:
    kept = build(accuracy_budget=5.0)
    assert kept.meta["calibration_points_lost"] <= 5.0
    with pytest.raises(NorcimError) as caught:
        build(choices={layer_name(build): LayerChoice(range=(0.0, 0.001))}, accuracy_budget=0.0)
    assert caught.value.id == "NC-E0410"


def test_a_cell_budget_leaves_the_plain_layers(build: Build) -> None:
    rich = build("wtm2101")
    poor = build("wtm2101", cell_budget=1)
    assert poor.tiles[0].repeats == 0
    assert len(poor.weights) <= len(rich.weights)
