"""The streaming speech detector that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.common.network import load_network, roc_auc
from models.vad.evaluate import make_test_streams, run_streams
from models.vad.streams import CONFIG, SAMPLES, compute_noise, mark_speech, mix_stream
from norcim.audio import log_mel, read_wav

MODELS = Path(__file__).resolve().parents[3] / "models"
STATE = 24
ON_CARD = {"10 dB": 0.945, "sentences": 0.968}
"""Areas under the ROC curve, in floating point."""


def spoken_streams() -> tuple[np.ndarray, np.ndarray]:
    """Codes (4, n_frames, n_mels) and speech (4, n_frames): synthetic words over computed noise."""
    rng = np.random.default_rng(5)
    clips = [read_wav(MODELS / "kws/clips" / f"{word}_01.wav") for word in ("yes", "stop", "left")]
    mixed = [mix_stream(clips, compute_noise(rng), 15.0, rng) for _ in range(4)]
    return log_mel(np.stack([pcm for pcm, _ in mixed]), CONFIG), np.stack([s for _, s in mixed])


@pytest.mark.parametrize("chip", ["digital", "nor1", "overlay", "wtm2101"])
def test_speech_is_told_from_noise_frame_by_frame(image: Any, chip: str) -> None:
    codes, speech = spoken_streams()
    scores = run_streams(load_network(image("vad", chip)), codes, STATE)
    assert roc_auc(scores.ravel(), speech.ravel()) >= 0.85


def test_the_onnx_file_and_the_image_agree_on_speech(image: Any) -> None:
    """Both take the same inputs; the ONNX file has no open dimension and runs one by one."""
    pytest.importorskip("onnxruntime")
    codes, _ = spoken_streams()
    paths = (MODELS / "vad/vad.onnx", image("vad", "digital"))
    real, found = (run_streams(load_network(path), codes, STATE).ravel() for path in paths)
    assert np.corrcoef(real, found)[0, 1] > 0.98


def test_the_loud_part_of_a_recording_is_speech_and_a_short_pause_in_it_too() -> None:
    rng = np.random.default_rng(1)
    pcm = rng.normal(0, 3, 16000)
    for start, stop in ((4800, 6400), (7040, 9600)):
        pcm[start:stop] += rng.normal(0, 2000, stop - start)
    speech = mark_speech(np.round(pcm).astype(np.int16))
    frames = np.flatnonzero(speech)
    assert np.array_equal(frames, np.arange(frames[0], frames[-1] + 1))
    assert abs(frames[0] * CONFIG.hop - 4800) <= CONFIG.window
    assert abs(frames[-1] * CONFIG.hop - 9600) <= CONFIG.window


def test_a_stream_has_the_level_of_noise_that_was_asked_for() -> None:
    rng = np.random.default_rng(1)
    word = np.round(rng.normal(0, 1000, 16000)).astype(np.int16)
    mixed, speech = mix_stream([word], rng.normal(0, 1, SAMPLES), 10.0, rng)
    samples = np.repeat(speech, CONFIG.hop)
    loud = np.square(mixed[: len(samples)][samples], dtype=np.float64).mean()
    rest = np.repeat(~speech & ~np.roll(speech, 1), CONFIG.hop)  # the word's end is in no frame
    quiet = np.square(mixed[: len(samples)][rest], dtype=np.float64).mean()
    # Speech frames hold speech and noise: 10 log10(1 + 10^1) dB over the noise.
    assert 10 * np.log10(loud / quiet) == pytest.approx(10.41, abs=0.3)


@pytest.mark.slow
def test_unheard_speakers_are_heard_as_well_as_the_card_says(shared_data: Path) -> None:
    data = shared_data / "data"
    streams = make_test_streams(
        data / "kws_gsc/gsc_v2_test.npz", data / "denoise/voicebank_demand.npz"
    )
    network = load_network(MODELS / "vad/vad.onnx")
    for name, expected in ON_CARD.items():
        scores = run_streams(network, streams[name].codes, STATE)
        auc = roc_auc(scores.ravel(), streams[name].speech.ravel())
        assert auc == pytest.approx(expected, abs=0.003)
