"""Train the streaming speech detector with its GRU, and export it.

    python -m models.vad.train --data PATH/TO/train --exclude PATH/TO/gsc_v2_test.npz

Writes vad.onnx, calib.npz and model.json. Needs torch, onnx and soundfile (for FLAC).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.common.onnx_writer import Writer
from models.common.training import count_parameters, fit, make_parser, prepare, write_description
from models.kws.recordings import LABELS, Clips, drop_tested, load_training_clips
from models.vad.streams import CONFIG, Streams, compute_noise, make_streams, mix_stream
from norcim.audio import log_mel, read_wav

HERE = Path(__file__).parent
BANDS, DENSE, STATE = CONFIG.n_mels, 32, 24
N_STREAMS = 1200
BATCH = 32
MEAN, DIVISOR = 100.0, 50.0
"""Codes are centred and scaled by these; the first layer absorbs them."""


class Detector(nn.Module):
    """Codes 0..255 (n, frames, BANDS) to logits of speech (n, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.answer = nn.Linear(BANDS, DENSE), nn.Linear(STATE, 1)
        self.gru = nn.GRU(DENSE, STATE, batch_first=True)

    def forward(self, codes: Tensor) -> Tensor:
        return self.answer(self.states(codes))[..., 0]

    def states(self, codes: Tensor) -> Tensor:
        """States after each frame (n, frames, STATE)."""
        return self.gru(torch.relu(self.dense((codes - MEAN) / DIVISOR)))[0]

    def export(self, path: Path) -> None:
        """One frame a call; the state goes in and comes out."""
        with torch.no_grad():
            self.dense.weight /= DIVISOR
            self.dense.bias -= MEAN * self.dense.weight.sum(1)
        graph = Writer("vad", {"frame": [1, BANDS], "state": [1, 1, STATE]})
        x = graph.add("Relu", [graph.dense("frame", "dense", self.dense)], "dense.relu")
        steps = graph.constant("steps", np.array([1, 1, DENSE], np.int64))
        x = graph.add("Reshape", [x, steps], "dense.step")
        state = graph.gru(x, "state", "next", self.gru)
        row = graph.constant("row", np.array([1, STATE], np.int64))
        graph.dense(graph.add("Reshape", [state, row], "next.row"), "speech", self.answer)
        graph.save(path, {"speech": [1, 1], "next": [1, 1, STATE]})


def make_training_streams(clips: Clips, seed: int) -> Streams:
    """Words over noise at -5 to 25 dB: the clips without a word, and computed noise."""
    silence = clips.label == LABELS.index("_silence_")
    noises = list(clips.pcm[silence])
    return make_streams(clips.pcm[~silence], noises, N_STREAMS, (-5, 25), seed, computed=0.6)


def make_batches(streams: Streams, n: int) -> Iterator[tuple[Tensor, Tensor]]:
    codes, speech = torch.from_numpy(streams.codes), torch.from_numpy(streams.speech)
    for _ in range(n):
        drawn = torch.randint(len(codes), (BATCH,))
        shift = 10 * torch.randn(BATCH, 1, 1)
        yield (codes[drawn] + shift).clamp(0, 255), speech[drawn].float()


def make_calibration(model: Detector) -> dict[str, np.ndarray]:
    """Frames, and the states that the trained network has there: 400 of each.

    Words of the keyword model's demonstration, which are synthetic, over computed noise.
    """
    rng = np.random.default_rng(7)
    words = [read_wav(path) for path in sorted((HERE.parent / "kws/clips").glob("*.wav"))]
    mixed = [
        mix_stream([words[i], words[i + 1]], compute_noise(rng), snr_db, rng)[0]
        for i, snr_db in zip(range(10), np.linspace(0, 27, 10), strict=True)
    ]
    codes = log_mel(np.stack(mixed), CONFIG)
    with torch.no_grad():
        after = model.states(torch.from_numpy(codes).float())
    before = torch.cat([torch.zeros_like(after[:, :1]), after[:, :-1]], dim=1)
    chosen = slice(None, None, 5)
    frames = codes[:, chosen].reshape(-1, 1, BANDS)
    return {"frame": frames, "state": before.numpy()[:, chosen].reshape(-1, 1, 1, STATE)}


def main() -> None:
    parser = make_parser(__doc__, HERE, steps=900)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="recordings, as models/kws/train.py takes them")
    add("--exclude", type=Path, help="npz of a test set whose speakers are not trained on")
    options = parser.parse_args()
    prepare(options)
    clips = load_training_clips(options.data)
    if options.exclude:
        clips = drop_tested(clips, options.exclude)
    print(f"{len(clips)} clips")
    streams = make_training_streams(clips, options.seed)
    print(f"{len(streams.codes)} streams, {streams.speech.mean():.3f} of the frames are speech")
    model = Detector()

    def loss_of(codes: Tensor, speech: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(model(codes), speech)

    fit(model, make_batches(streams, options.steps), loss_of, options.steps, rate=5e-3)
    np.savez_compressed(options.output / "calib.npz", **make_calibration(model))
    n_parameters = count_parameters(model)
    model.export(options.output / "vad.onnx")
    description = {
        "name": "vad",
        "front_end": CONFIG.to_dict(),
        "states": {"state": "next"},
        "parameters": n_parameters,
    }
    write_description(options.output, description, options.seed, options.steps)


if __name__ == "__main__":
    main()
