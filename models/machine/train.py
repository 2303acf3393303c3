"""Train the autoencoder on healthy machine sounds, and export it.

    python -m models.machine.train

Writes machine.onnx, calib.npz and model.json. Needs torch and onnx; the sounds are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.common.onnx_writer import Writer
from models.common.training import count_parameters, fit, make_parser, prepare, write_description
from models.machine.data import CONFIG, WINDOW, healthy_clips, make_calibration, windows

HERE = Path(__file__).parent
WIDTHS = (WINDOW, 64, 64, 8, 64, 64, WINDOW)
CLIPS = 150
"""Clips of each machine to train on."""
BATCH = 256


class Autoencoder(nn.Module):
    """Codes 0..255 (n, WINDOW) to their reconstruction, in codes too.

    mean, std   of the codes that are trained on; the first and the last layer absorb them
    """

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*widths) for widths in pairwise(WIDTHS))
        self.mean, self.std = mean, std

    def forward(self, codes: Tensor) -> Tensor:
        x = (codes - self.mean) / self.std
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x) * self.std + self.mean

    def export(self, path: Path) -> None:
        first, last = self.layers[0], self.layers[-1]
        with torch.no_grad():
            first.weight /= self.std
            first.bias -= self.mean * first.weight.sum(1)
            last.weight *= self.std
            last.bias.copy_(last.bias * self.std + self.mean)
        graph = Writer("machine", {"window": ["N", WINDOW]})
        x = "window"
        for i, layer in enumerate(self.layers[:-1], 1):
            x = graph.add("Relu", [graph.dense(x, f"dense{i}", layer)], f"relu{i}")
        graph.dense(x, "reconstruction", last)
        graph.save(path, {"reconstruction": ["N", WINDOW]})


def make_batches(codes: Tensor, n: int) -> Iterator[tuple[Tensor]]:
    for _ in range(n):
        yield (codes[torch.randint(len(codes), (BATCH,))].float(),)


def main() -> None:
    parser = make_parser(__doc__, HERE, steps=3000)
    options = parser.parse_args()
    prepare(options)
    found = windows(healthy_clips(CLIPS, seed=options.seed)).reshape(-1, WINDOW)
    model = Autoencoder(float(found.mean()), float(found.std()))

    def loss_of(codes: Tensor) -> Tensor:
        return nn.functional.mse_loss(model(codes), codes) / model.std**2

    batches = make_batches(torch.from_numpy(found), options.steps)
    fit(model, batches, loss_of, options.steps, rate=2e-3)
    n_parameters = count_parameters(model)
    model.export(options.output / "machine.onnx")
    np.savez_compressed(options.output / "calib.npz", x=make_calibration())
    description = {"name": "machine", "front_end": CONFIG.to_dict(), "parameters": n_parameters}
    write_description(options.output, description, options.seed, options.steps)


if __name__ == "__main__":
    main()
