"""How well the detector tells speech from noise, frame by frame.

    python -m models.vad.evaluate models/vad/vad.onnx \\
        --words PATH/TO/gsc_v2_test.npz --noise PATH/TO/voicebank_demand.npz

The words (`x` int16 (n, 16000), `y`, `label_names`; silence is left out) are put over the noise
(`noisy` less `clean`, cut at `offsets`) at four levels; the noisy recordings as they are, whole
sentences, are a test as well. The network carries its state from frame to frame. Takes an ONNX file
and images (.cim). Figures are areas under the ROC curve over all frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from models.common.network import Network, load_network, roc_auc
from models.vad.streams import CONFIG, SAMPLES, Streams, make_streams, mark_speech
from norcim.audio import log_mel

SNRS_DB = (20, 10, 5, 0)
N_STREAMS = 40


def run_streams(network: Network, codes: np.ndarray, state_size: int) -> np.ndarray:
    """Logits float32 (n, frames) of streams of codes uint8 (n, frames, n_mels), side by side."""
    n, n_frames, n_mels = codes.shape
    state = np.zeros((n, 1, 1, state_size), np.float32)
    scores = np.empty((n, n_frames), np.float32)
    for t in range(n_frames):
        outputs = network({"frame": codes[:, t].reshape(n, 1, n_mels), "state": state})
        scores[:, t] = outputs["speech"].reshape(n)
        state = outputs["next"].reshape(state.shape)
    return scores


def make_test_streams(words: Path, noise: Path) -> dict[str, Streams]:
    """Streams by name: words over noise at each level, and the noisy recordings."""
    with np.load(words) as data:
        silence = [str(name) == "_silence_" for name in data["label_names"]]
        clips = data["x"][~np.array(silence)[data["y"]]]
    with np.load(noise) as data:
        ends = data["offsets"][1:-1]
        noisy, clean = np.split(data["noisy"], ends), np.split(data["clean"], ends)
    rest = [a.astype(np.float64) - b for a, b in zip(noisy, clean, strict=True)]
    found = {
        f"{snr} dB": make_streams(clips, rest, N_STREAMS, (snr, snr), seed=1000 + snr)
        for snr in SNRS_DB
    }
    pieces = [_cut_in_pieces(np.concatenate(recordings)) for recordings in (noisy, clean)]
    speech = np.stack([mark_speech(pcm) for pcm in pieces[1]])
    return {**found, "sentences": Streams(log_mel(pieces[0], CONFIG), speech)}


def _cut_in_pieces(pcm: np.ndarray) -> np.ndarray:
    """int16 (n, SAMPLES); what is left over is dropped."""
    return pcm[: len(pcm) // SAMPLES * SAMPLES].reshape(-1, SAMPLES)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path, nargs="+", help="ONNX file or images (.cim)")
    parser.add_argument("--words", type=Path, required=True, help="npz of words nobody trained on")
    parser.add_argument("--noise", type=Path, required=True, help="npz of noisy and clean speech")
    options = parser.parse_args()
    streams = make_test_streams(options.words, options.noise)
    with np.load(Path(__file__).parent / "calib.npz") as data:
        state_size = data["state"].shape[-1]
    for path in options.network:
        network = load_network(path)
        aucs = {
            name: roc_auc(run_streams(network, s.codes, state_size).ravel(), s.speech.ravel())
            for name, s in streams.items()
        }
        print(path.name, *(f"{name}: {auc:.4f}" for name, auc in aucs.items()), sep="  ")


if __name__ == "__main__":
    main()
