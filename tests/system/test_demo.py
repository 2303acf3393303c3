"""`norcim demo`: what a newcomer runs first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from norcim_cli.models import find_model

Run = Callable[..., tuple[int, str, str]]


def test_demo_recognises_the_clips_and_gives_latency_and_energy(
    norcim: Run, tmp_path: Path
) -> None:
    code, out, err = norcim("demo", "--json", "-o", tmp_path / "kws.cim")
    assert code == 0
    *clips, total = [json.loads(line) for line in out.splitlines()]
    assert len(clips) == total["n_clips"] == len(list((find_model("kws") / "clips").glob("*.wav")))
    assert total["n_right"] >= 0.75 * total["n_clips"]
    assert 1e-4 < total["latency_s"] < 1
    assert 1e-7 < total["energy_j"] < 1e-2
    assert total["elapsed_s"] < 60
    steps = [line[:2] for line in err.splitlines() if line[:1].isdigit()]
    assert steps == ["1.", "2.", "3."]
    code, out, _ = norcim("run", tmp_path / "kws.cim", "--input", clip_of(clips[0]["clip"]))
    assert code == 0
    assert clips[0]["heard"] in out


def clip_of(name: str) -> Path:
    """Path of a clip that ships."""
    return find_model("kws") / "clips" / name


def test_demo_in_words(norcim: Run) -> None:
    code, out, _ = norcim("demo", "--chip", "digital", "-q")
    assert code == 0
    assert "clips recognised" in out
    assert "an inference" in out


def test_demo_without_its_model_says_so(
    norcim: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import norcim as package

    monkeypatch.setattr(package, "__file__", str(tmp_path / "sdk" / "norcim" / "__init__.py"))
    code, _, err = norcim("demo")
    assert (code, "NC-E0108" in err) == (1, True)
