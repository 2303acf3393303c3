"""Train the small ResNet on drawn digits, and export it.

    python -m models.digits.train

Writes digits.onnx, calib.npz and model.json. Needs torch and onnx.
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
from models.digits.data import make_calibration
from models.digits.strokes import SIZE, draw_digits

HERE = Path(__file__).parent
STEM, BLOCKS = 16, ((16, 1), (24, 2), (32, 2))
"""Channels of the stem; channels and stride of each block."""

N_DRAWN = 12000
BATCH = 128


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(n_in, n_out, 3, stride), ConvNorm(n_out, n_out)
        same = n_in == n_out and stride == 1
        self.shortcut = None if same else ConvNorm(n_in, n_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.shortcut is None else self.shortcut(x)
        return torch.relu(self.second(torch.relu(self.first(x))) + beside)


class ResNet(nn.Module):
    """Input 0..255 (n, 1, 28, 28), output logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(1, STEM, 3, 2)
        widths = (STEM, *(width for width, _ in BLOCKS))
        pairs = zip(widths, BLOCKS, strict=False)
        self.blocks = nn.ModuleList(Block(n_in, width, stride) for n_in, (width, stride) in pairs)
        self.classify = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x / 255))
        for block in self.blocks:
            x = block(x)
        return self.classify(x.mean((2, 3)))

    def export(self, path: Path) -> None:
        graph = Writer("digits", {"image": ["N", 1, SIZE, SIZE]})
        x = graph.conv("image", "stem", self.stem.fold(divisor=255))
        x = graph.add("Relu", [x], "stem.relu")
        for i, block in enumerate(self.blocks, 1):
            beside = x
            if block.shortcut is not None:
                beside = graph.conv(x, f"block{i}.shortcut", block.shortcut.fold())
            x = graph.conv(x, f"block{i}.first", block.first.fold())
            x = graph.add("Relu", [x], f"block{i}.first.relu")
            x = graph.conv(x, f"block{i}.second", block.second.fold())
            x = graph.add("Add", [x, beside], f"block{i}.sum")
            x = graph.add("Relu", [x], f"block{i}.relu")
        x = graph.add("GlobalAveragePool", [x], "pool")
        graph.dense(graph.add("Flatten", [x], "flat"), "logits", self.classify)
        graph.save(path, {"logits": ["N", 10]})


def make_batches(images: Tensor, digits: Tensor, n: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(n):
        drawn = torch.randint(len(images), (BATCH,))
        yield vary(images[drawn].float()), digits[drawn]


def vary(images: Tensor) -> Tensor:
    """Turned, sheared, scaled and shifted a little, then fainter or stronger; 0..255."""
    n = len(images)
    matrix = torch.eye(2, 3).repeat(n, 1, 1)
    matrix[:, :, :2] += 0.12 * torch.randn(n, 2, 2)
    matrix[:, :, 2] = torch.empty(n, 2).uniform_(-0.18, 0.18)
    grid = functional.affine_grid(matrix, [n, 1, SIZE, SIZE], align_corners=False)
    moved = functional.grid_sample(images[:, None], grid, align_corners=False)
    gain = torch.empty(n, 1, 1, 1).uniform_(0.6, 1.3)
    return (moved * gain + 6 * torch.randn_like(moved)).clamp(0, 255)


def main() -> None:
    parser = make_parser(__doc__, HERE, steps=1500)
    options = parser.parse_args()
    prepare(options)
    images, digits = map(torch.from_numpy, draw_digits(N_DRAWN, options.seed))
    model = ResNet()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x), y, label_smoothing=0.05)

    fit(model, make_batches(images, digits, options.steps), loss_of, options.steps, rate=0.01)
    model.export(options.output / "digits.onnx")
    x, y = make_calibration()
    np.savez_compressed(options.output / "calib.npz", x=x, y=y)
    description = {
        "name": "digits",
        "labels": [str(i) for i in range(10)],
        "parameters": count_parameters(model),
    }
    write_description(options.output, description, options.seed, options.steps)


if __name__ == "__main__":
    main()
