"""Train the visual trigger on scenes of drawn digits, and export it.

    python -m models.trigger.train

Writes trigger.onnx, calib.npz and model.json. Needs torch and onnx.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.common.onnx_writer import Writer
from models.common.training import (
    ConvNorm,
    count_parameters,
    fit,
    make_parser,
    prepare,
    write_description,
)
from models.digits.strokes import draw_digits
from models.trigger.scenes import LABELS, SIZE, make_calibration, make_scenes

HERE = Path(__file__).parent
STEM, BLOCKS = 12, ((24, 1), (32, 2), (48, 2), (64, 1))
"""Channels of the stem; channels and stride of each depthwise-separable block."""

N_DRAWN, N_SCENES = 8000, 32000
BATCH = 64


class Trigger(nn.Module):
    """A small MobileNet: input 0..255 (n, 1, SIZE, SIZE), output logits (n, 2)."""

    def __init__(self) -> None:
        super().__init__()
        layers, n_in = [ConvNorm(1, STEM, 3, 2)], STEM
        for width, stride in BLOCKS:
            layers.append(ConvNorm(n_in, n_in, 3, stride, groups=n_in))
            layers.append(ConvNorm(n_in, width, 1))
            n_in = width
        self.layers, self.classify = nn.ModuleList(layers), nn.Linear(n_in, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        x = x / 255
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.classify(x.mean((2, 3)))

    def export(self, path: Path) -> None:
        graph = Writer("trigger", {"scene": ["N", 1, SIZE, SIZE]})
        x = "scene"
        for i, layer in enumerate(self.layers):
            name = f"block{(i + 1) // 2}.{'depthwise' if i % 2 else 'pointwise'}" if i else "stem"
            x = graph.conv(x, name, layer.fold(divisor=255 if i == 0 else 1))
            x = graph.add("Relu", [x], f"{name}.relu")
        x = graph.add("GlobalAveragePool", [x], "pool")
        graph.dense(graph.add("Flatten", [x], "flat"), "logits", self.classify)
        graph.save(path, {"logits": ["N", len(LABELS)]})


def make_batches(scenes: Tensor, labels: Tensor, n: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(n):
        drawn = torch.randint(len(scenes), (BATCH,))
        gain = torch.empty(BATCH, 1, 1, 1).uniform_(0.8, 1.2)
        yield (scenes[drawn].float() * gain).clamp(0, 255), labels[drawn]


def main() -> None:
    parser = make_parser(__doc__, HERE, steps=5500)
    options = parser.parse_args()
    prepare(options)
    digits, _ = draw_digits(N_DRAWN, options.seed)
    scenes, labels = make_scenes(digits, N_SCENES, seed=options.seed)
    model = Trigger()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x), y)

    batches = make_batches(torch.from_numpy(scenes), torch.from_numpy(labels), options.steps)
    fit(model, batches, loss_of, options.steps, rate=0.01)
    model.export(options.output / "trigger.onnx")
    x, y = make_calibration()
    np.savez_compressed(options.output / "calib.npz", x=x, y=y)
    description = {
        "name": "trigger",
        "labels": list(LABELS),
        "parameters": count_parameters(model),
    }
    write_description(options.output, description, options.seed, options.steps)


if __name__ == "__main__":
    main()
