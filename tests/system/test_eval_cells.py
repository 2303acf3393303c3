"""`norcim eval --cells`: accuracy over sampled chips, seeded, and what compensation gives back."""

from __future__ import annotations

import contextlib
import io
import json

import click
import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.image import build_image
from norcim.runtime import compile_model, encode_inputs
from norcim_cli.ages import parse_age
from norcim_cli.main import main
from tests.system.conftest import make_model


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An image of one layer of 64 x 10 for wtm2101, and inputs labelled with its exact answers."""
    folder = tmp_path_factory.mktemp("cells")
    features = np.random.default_rng(0).exponential(1.0, (200, 64)).astype(np.float32)
    path = make_model(folder / "small.onnx", n_in=64, n_out=10)
    content = compile_model(path, load_chip("wtm2101"), {"x": features})
    [out] = Emulator(content).run(encode_inputs(content, {"x": features}))
    port = next(port for port in content.ports if port.is_output)
    codes = (out.view(np.int8) if port.signed else out).reshape(len(features), -1)
    image, data = folder / "small.cim", folder / "data.npz"
    image.write_bytes(build_image(content))
    np.savez(data, x=features, y=codes.argmax(axis=1))
    return str(image), str(data)


def run(small: tuple[str, str], *options: str) -> dict[str, float]:
    image, data = small
    arguments = ["eval", image, "--data", data, "--chips-sampled", "5", "--json", *options]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(arguments) == 0
    return dict(json.loads(out.getvalue().splitlines()[-1]))


def test_typical_cells_cost_accuracy_and_compensation_gives_it_back(small: tuple[str, str]) -> None:
    bare = run(small, "--cells", "typical", "--seed", "1", "--compensate", "none")
    full = run(small, "--cells", "typical", "--seed", "1")
    assert bare["exact"] == full["exact"] == 1
    assert full["mean"] > bare["mean"] + 0.1
    assert full["p05"] <= full["p50"] <= full["p95"]
    again = run(small, "--cells", "typical", "--seed", "1")
    assert again == full
    assert run(small, "--cells", "typical", "--seed", "2")["accuracies"] != full["accuracies"]


def test_ten_hot_years_cost_more(small: tuple[str, str]) -> None:
    fresh = run(small, "--cells", "best")
    old = run(small, "--cells", "best", "--age", "10y", "--temperature", "125", "--cycles", "1e5")
    assert old["mean"] < fresh["mean"]
    assert old["age_s"] == pytest.approx(10 * 365.25 * 86400)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--compensate", "luck"], "NC-E0710"),
        (["--temperature", "900"], "NC-E0709"),
        (["--cells-from", "digital"], "NC-E0708"),
    ],
)
def test_wrong_options(
    small: tuple[str, str], options: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image, data = small
    assert main(["eval", image, "--data", data, "--cells", "typical", *options]) != 0
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("fresh", 0), ("90s", 90), ("12h", 43200), ("1.5d", 129600), ("7", 7)]
)
def test_ages(text: str, seconds: float) -> None:
    assert parse_age(None, None, text) == seconds


def test_no_age() -> None:
    with pytest.raises(click.BadParameter, match="no age"):
        parse_age(None, None, "1 fortnight")
