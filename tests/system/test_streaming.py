"""A network with a state, from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]
VAD, WAV = ROOT / "models/vad", ROOT / "models/kws/clips/yes_01.wav"


@pytest.fixture
def image(norcim: Run, tmp_path: Path) -> Path:
    path = tmp_path / "vad.cim"
    args = ("compile", VAD / "vad.onnx", "--calibration", VAD / "calib.npz", "-o", path)
    assert norcim(*args, "--meta", VAD / "model.json", "-c", "nor1")[0] == 0
    return path


def run(norcim: Run, image: Path, source: Path, *options: str) -> dict[str, np.ndarray]:
    target = image.parent / "out.npz"
    args = ("run", image, "--input", source, "-o", target, "--overwrite", *options)
    assert norcim(*args)[0] == 0
    with np.load(target) as data:
        return dict(data)


def test_a_recording_runs_as_a_stream(norcim: Run, image: Path, tmp_path: Path) -> None:
    whole = run(norcim, image, WAV)
    assert whole["speech"].shape == (49, 1)
    assert whole["speech"][3] < 0 < whole["speech"][20]
    on_device = run(norcim, image, WAV, "-p", "emulator:")
    assert all(np.array_equal(whole[name], on_device[name]) for name in whole)


def test_the_states_of_a_file_are_taken(norcim: Run, image: Path, tmp_path: Path) -> None:
    with np.load(VAD / "calib.npz") as data:
        frames, states = data["frame"][:30], data["state"][:30]
    np.savez(tmp_path / "both.npz", frame=frames, state=states)
    np.savez(tmp_path / "frames.npz", frame=frames)
    np.savez(tmp_path / "first.npz", frame=frames[:1])
    both = run(norcim, image, tmp_path / "both.npz")["speech"]
    stream = run(norcim, image, tmp_path / "frames.npz")["speech"]
    assert not np.array_equal(both, stream)
    assert np.array_equal(run(norcim, image, tmp_path / "first.npz")["speech"], stream[:1])
    code, out, _ = norcim("eval", image, "--data", tmp_path / "frames.npz")
    assert (code, "30 samples" in out) == (0, True)


def test_a_classifier_hears_a_recording_call_by_call(norcim: Run, tmp_path: Path) -> None:
    """Four frames a call; in the end the word is heard as in one window."""
    kws, path = ROOT / "models/kws", tmp_path / "kws.cim"
    args = ("compile", kws / "kws.onnx", "--calibration", kws / "calib.npz", "-o", path)
    args = (*args, "--meta", kws / "model.json", "-c", "nor1", "--overwrite")
    assert norcim(*args)[0] == 0
    [whole] = run(norcim, path, WAV).values()
    assert norcim(*args, "--stream", "4:2")[0] == 0
    outputs = run(norcim, path, WAV)
    calls = next(array for name, array in outputs.items() if not name.startswith("next"))
    assert len(calls) == 12
    assert calls[-1].argmax() == whole.argmax()
    code, _, err = norcim(*args, "--stream", "3")
    assert (code, "NC-E0412" in err, "--stream 2" in err) == (2, True, True)
    assert norcim(*args, "--stream", "4:x")[0] == 2


def test_an_image_without_a_front_end_takes_no_recording(
    norcim: Run, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "meta.json").write_text('{"states": {"state": "next"}}')
    args = ("compile", VAD / "vad.onnx", "--calibration", VAD / "calib.npz", "-o", image)
    assert norcim(*args, "--meta", tmp_path / "meta.json", "--overwrite")[0] == 0
    code, _, err = norcim("run", image, "--input", WAV)
    assert (code, "NC-E0110" in err) == (2, True)


def test_the_example_of_the_models_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    [example] = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/models.md").read_text("utf-8"), flags=re.S
    )
    names: dict[str, np.ndarray] = {}
    exec(compile(example, "docs/models.md", "exec"), names)  # noqa: S102
    assert names["speech"].shape == (49, 1)
