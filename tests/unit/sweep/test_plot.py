"""Plots of sweeps: what is drawn, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norcim.errors import NorcimError
from norcim.sweep import check_plot, parse_axis, plot_sweep, points_of
from norcim_cli.main import main
from tests.system.conftest import make_model

AXES = [parse_axis("adc_bits=6,8"), parse_axis("sigma_w=0..4")]


def rows() -> list[dict[str, Any]]:
    found = []
    for point in points_of(AXES):
        mean = 0.9 - 0.05 * point["sigma_w"] - 0.1 * (point["adc_bits"] == 6)
        found.append({**point, "exact": 0.95, "mean": mean, "p05": mean - 0.02, "p95": mean + 0.01})
    return found


def test_a_line_for_each_value_of_the_shorter_axis(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_sweep(rows(), AXES, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert "<!-- sigma_w -->" in drawn
    assert "<!-- accuracy, % -->" in drawn
    for label in ("adc_bits 6", "adc_bits 8"):
        assert drawn.count(f"<!-- {label} -->") == 1
    assert drawn.count('id="FillBetweenPolyCollection_') == 2  # a band of percentiles each


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for suffix in (".svg", ".png", ".pdf"):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        plot_sweep(rows(), AXES, first)
        plot_sweep(rows()[::-1], AXES, second)
        assert first.read_bytes() == second.read_bytes()


def test_a_chip_without_analog_cells_has_one_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    exact = [{"sigma_w": i, "exact": 0.9} for i in range(5)]
    plot_sweep(exact, AXES[1:], tmp_path / "a.svg")
    assert "PolyCollection" not in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize(
    ("name", "axes"),
    [("a.bmp", ["sigma_w=0..4"]), ("a.png", ["age=0..20", "temperature=0..10"])],
)
def test_what_cannot_be_plotted(name: str, axes: list[str]) -> None:
    with pytest.raises(NorcimError) as caught:
        check_plot(Path(name), [parse_axis(text) for text in axes])
    assert caught.value.id == "NC-E0916"


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NorcimError) as caught:
        check_plot(Path("a.png"), AXES)
    assert caught.value.id == "NC-E0917"
    assert "norcim[report]" in str(caught.value)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    model, x = make_model(tmp_path / "m.onnx", n_in=8, n_out=4), np.ones((20, 8), np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 4)
    arguments = [
        "sweep", str(model), "-c", "wtm2101", "--vary", "sigma_w=0,8", "--data",
        str(tmp_path / "data.npz"), "--calibration", str(tmp_path / "data.npz"), "-o",
        str(tmp_path / "s.json"), "--chips-sampled", "1", "--overwrite", "--plot",
    ]  # fmt: skip
    assert main([*arguments, str(tmp_path / "s.png")]) == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, str(tmp_path / "s.bmp")]) == 2
    assert "NC-E0916" in capsys.readouterr().err
