"""Several models in one image, and a model compiled again onto the cells of its older self."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from norcim import joint
from norcim.chips import Chip, load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.image import (
    ImageContent,
    build_image,
    count_sectors,
    describe_image,
    network_names,
    networks,
    read_image,
)
from norcim.joint import Source, compile_networks
from norcim.runtime import compile_model, encode_inputs
from tests.unit.frontend.conftest import build

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 96)).astype(np.float32)


def _dense(folder: Path, name: str, seed: int = 0, last: int = 0, n: int = 64) -> Source:
    """Three dense layers; last: seed of the last one's weights."""
    rng = np.random.default_rng(seed)
    sizes = (96, n, n, 10)
    weights = {f"w{i}": rng.normal(size=sizes[i : i + 2]) / 8 for i in range(3)}
    weights["w2"] = np.random.default_rng(last).normal(size=(n, 10)) / 8
    nodes = [
        make_node("MatMul", ["x", "w0"], ["a"], name="one"),
        make_node("Relu", ["a"], ["b"]),
        make_node("MatMul", ["b", "w1"], ["c"], name="two"),
        make_node("Relu", ["c"], ["d"]),
        make_node("MatMul", ["d", "w2"], ["e"], name="three"),
    ]
    path = folder / f"{name}.onnx"
    onnx.save(build(nodes, {"x": (96,)}, weights, outputs=("e",)), path)
    return Source(path, {"x": X}, name)


def _compile(sources: list[Source], chip: Chip, old: ImageContent | None = None) -> ImageContent:
    return compile_networks(sources, chip, lambda *_: None, old=old)


def _run(content: ImageContent) -> np.ndarray:
    [found] = Emulator(content).run(encode_inputs(content, {"x": X}))
    return found


@pytest.mark.parametrize("name", ["digital", "nor1", "wtm2101"])
def test_each_network_gives_what_it_gives_alone(name: str, tmp_path: Path) -> None:
    chip = load_chip(name)
    sources = [_dense(tmp_path, "a", 1), _dense(tmp_path, "b", 2, n=48)]
    both = read_image(build_image(_compile(sources, chip)))
    assert network_names(both) == ("a", "b")
    parts = networks(both)
    for source, part in zip(sources, parts, strict=True):
        alone = compile_model(source.path, chip, source.calibration, name=source.name)
        assert np.array_equal(_run(part), _run(alone))
        assert (part.kat_input, part.kat_output) == (alone.kat_input, alone.kat_output)
    assert both.activation_bytes < sum(
        compile_model(s.path, chip, s.calibration).activation_bytes for s in sources
    )


def test_networks_that_fit_only_with_a_share_each_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, each would fill the strip of bias rows and more than half of the columns."""
    shared: list[object] = []
    share = joint._side_by_side
    monkeypatch.setattr(joint, "_side_by_side", lambda *a: shared.append(a) or share(*a))
    chip = load_chip("nor1")
    arrays = replace(chip.arrays, n_columns=128 + 200, n_bias_rows=4)
    chip = replace(chip, arrays=replace(arrays, regions=(replace(arrays.regions[0], n_rows=230),)))
    sources = [_dense(tmp_path, "a", 1), _dense(tmp_path, "b", 2)]
    both = _compile(sources, chip)
    assert shared
    ends = [max(t.col + t.n_cols for t in _tiles(part)) for part in networks(both)]
    assert ends[0] <= min(t.col for t in _tiles(networks(both)[1]))
    assert both.chip_hash == chip.fingerprint


def _tiles(part: ImageContent) -> list[object]:
    steps = [d for d in part.program if d.n_tiles]
    return [t for d in steps for t in part.tiles[d.tile_base : d.tile_base + d.n_tiles]]


def test_networks_that_do_not_fit_together_are_told_with_their_needs(tmp_path: Path) -> None:
    chip = load_chip("nor1")
    arrays = replace(chip.arrays, n_columns=128 + 90)
    chip = replace(chip, arrays=replace(arrays, regions=(replace(arrays.regions[0], n_rows=160),)))
    sources = [_dense(tmp_path, "a", 1), _dense(tmp_path, "b", 2)]
    _compile(sources[:1], chip)
    with pytest.raises(NorcimError) as caught:
        _compile(sources, chip)
    assert caught.value.id == "NC-E0302"
    assert "a (10,880)" in caught.value.where
    assert "b (10,880)" in caught.value.where


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    source = _dense(tmp_path, "a")
    with pytest.raises(NorcimError) as caught:
        _compile([source, source], load_chip("nor1"))
    assert caught.value.id == "NC-E0309"


def test_only_the_sectors_of_a_changed_layer_differ(tmp_path: Path) -> None:
    chip = load_chip("nor1")
    old = _compile([_dense(tmp_path, "old", n=256)], chip)
    new = _compile([_dense(tmp_path, "new", n=256, last=1)], chip, old)
    first = next(d for d in new.program if d.layer == new.program[-2].layer)
    places, others = (
        [(t.array, t.row, t.col, t.bias_row) for t in c.tiles[: first.tile_base]]
        for c in (old, new)
    )
    assert places == others
    start = new.tiles[first.tile_base].cells
    assert new.weights[:start] == old.weights[:start]
    assert new.weights[start:] != old.weights[start:]
    n_differ, n_all = count_sectors(build_image(new), build_image(old))
    weights = next(s for s in describe_image(build_image(new)) if s.name == "WEIGHTS")
    n_kept = (weights.offset + start) // 4096 - weights.offset // 4096 - 1
    assert n_kept >= 20
    assert n_differ <= n_all - n_kept
