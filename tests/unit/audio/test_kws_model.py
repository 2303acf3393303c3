"""The shipped keyword-spotting model: its files agree, and it recognises its demo clips."""

import json
from pathlib import Path

import numpy as np
import pytest

from norcim.audio import LogMelConfig, log_mel, read_wav

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "models" / "kws"
DESCRIPTION = json.loads((MODEL / "model.json").read_text())
CONFIG = LogMelConfig.from_dict(DESCRIPTION["front_end"])
CLIPS = sorted((MODEL / "clips").glob("*.wav"))
RECORDINGS = ROOT.parent / "shared" / "data" / "data" / "kws_gsc" / "gsc_v2_test.npz"


def classify(pcm):
    """Labels of clips, int16 (n, 16000)."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(MODEL / "kws.onnx", providers=["CPUExecutionProvider"])
    codes = log_mel(pcm, CONFIG)[:, None].astype(np.float32)
    (logits,) = session.run(["logits"], {"features": codes})
    return [DESCRIPTION["labels"][i] for i in logits.argmax(axis=1)]


def test_files_agree():
    assert (MODEL / "labels.txt").read_text().split() == DESCRIPTION["labels"]
    assert (MODEL / "kws.onnx").stat().st_size < 300_000


def test_calibration_inputs_are_features_at_many_levels():
    codes = np.load(MODEL / "calib.npz")["x"]
    assert codes.shape == (100, 1, CONFIG.n_frames(16000), CONFIG.n_mels)
    assert codes.dtype == np.uint8
    loudness = codes.mean(axis=(1, 2, 3))
    assert loudness.min() < 40
    assert loudness.max() > 130


def test_demo_clips_cover_every_label():
    words = {path.stem.rsplit("_", 1)[0] for path in CLIPS}
    assert words == {label.strip("_") for label in DESCRIPTION["labels"]}


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_a_demo_clip_is_recognised(path):
    (answer,) = classify(read_wav(path)[None])
    assert answer.strip("_") == path.stem.rsplit("_", 1)[0]


@pytest.mark.skipif(not RECORDINGS.exists(), reason="needs ../shared/data: gsc_v2_test.npz")
def test_recordings_of_unknown_speakers_are_recognised():
    with np.load(RECORDINGS) as data:
        pcm = data["x"]
        truth = [str(data["label_names"][i]) for i in data["y"]]
    right = [a == t for a, t in zip(classify(pcm), truth, strict=True)]
    assert np.mean(right) >= 0.82
