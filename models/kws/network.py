"""The DS-CNN (student), a wider residual network (teacher), and the student as it is exported."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (64, 96, 96, 96, 96)
"""Channels after the stem and after each block; the first block halves the resolution."""
TEACHER_WIDTHS = (64, 128, 128, 128, 128, 128)
STEM_KERNEL = (8, 8)
STEM_STRIDE = (2, 2)
CODE_MEAN, CODE_STD = 96.0, 64.0


class DsCnn(nn.Module):
    """Logits (n, n_labels) from feature codes 0..255 as floats, (n, 1, n_frames, n_mels).

    residual   adds shortcuts around blocks that keep their shape: only the teacher has them,
               the exported network is a plain chain.
    """

    def __init__(
        self, n_labels: int, widths: Sequence[int], dropout: float, residual: bool = False
    ) -> None:
        super().__init__()
        self.residual = residual
        self.stem = _convolve(1, widths[0], STEM_KERNEL, stride=STEM_STRIDE)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _convolve(n_in, n_in, 3, stride=2 if i == 0 else 1, padding=1, groups=n_in),
                _convolve(n_in, n_out, 1),
            )
            for i, (n_in, n_out) in enumerate(pairwise(widths))
        )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(widths[-1], n_labels)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.stem((codes - CODE_MEAN) / CODE_STD)
        for block in self.blocks:
            y = block(x)
            x = x + y if self.residual and x.shape == y.shape else y
        return self.classify(self.dropout(x.mean((2, 3))))

    def convolutions(self) -> list[nn.Sequential]:
        """Convolution, batch normalisation and ReLU of each layer, in order."""
        return [self.stem, *(layer for block in self.blocks for layer in block)]


def _convolve(
    n_in: int, n_out: int, kernel: int | tuple[int, int], **options: object
) -> nn.Sequential:
    convolution = nn.Conv2d(n_in, n_out, kernel, bias=False, **options)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU())


def count_macs(model: DsCnn, n_frames: int, n_mels: int) -> int:
    """Multiply-accumulates of one inference."""
    total = model.classify.weight.numel()
    x = torch.zeros(1, 1, n_frames, n_mels)
    with torch.no_grad():
        for convolution, _, _ in model.convolutions():
            x = convolution(x)
            total += x[0, 0].numel() * convolution.weight.numel()
    return total


class FoldedDsCnn(nn.Module):
    """The student with normalisations folded into its convolutions, as it is exported.

    With `converter` set, weights are rounded to 8 bits with one scale a layer and column sums to 8
    bits with one gain a layer, as a flash array does that has the bias in its cells ("after_bias")
    or adds it to the converter's codes ("before_bias"). In training the gain misses its best value.
    """

    CONVERTERS = ("after_bias", "before_bias")

    def __init__(self, model: DsCnn) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            _fold(layer, first=i == 0) for i, layer in enumerate(model.convolutions())
        )
        self.classify = nn.Linear(model.classify.in_features, model.classify.out_features)
        self.classify.load_state_dict(model.classify.state_dict())
        for name in self.CONVERTERS:
            self.register_buffer(f"{name}_reach", torch.zeros(len(self.convolutions)))
        self.converter: str | None = None

    def forward(self, codes: Tensor) -> Tensor:
        x = codes
        for i, convolution in enumerate(self.convolutions):
            x = torch.relu(self._sum_columns(x, convolution, i))
        x = x.mean((2, 3))
        if self.converter is None:
            return self.classify(x)
        return nn.functional.linear(x, _round_weight(self.classify.weight), self.classify.bias)

    def _sum_columns(self, x: Tensor, convolution: nn.Conv2d, layer: int) -> Tensor:
        if self.converter is None:
            return convolution(x)
        bias = convolution.bias[:, None, None]
        sums = convolution._conv_forward(x, _round_weight(convolution.weight), None)
        if self.converter == "before_bias":
            return self._convert(sums, layer) + bias
        return self._convert(sums + bias, layer)

    def _convert(self, sums: Tensor, layer: int) -> Tensor:
        reach = getattr(self, f"{self.converter}_reach")
        if not self.training:
            return _round_to(sums, reach[layer] / 127)
        seen = sums.detach().abs().amax((2, 3)).quantile(0.99)
        reach[layer] = seen if reach[layer] == 0 else 0.98 * reach[layer] + 0.02 * seen
        # A power-of-two gain misses the best one by up to a factor of two.
        return _round_to(sums, float(torch.empty(1).uniform_(0.9, 1.8)) * reach[layer] / 127)


def _fold(layer: nn.Sequential, first: bool) -> nn.Conv2d:
    """One convolution that takes raw codes (the first) or activations and needs no norm."""
    old, norm = layer[0], layer[1]
    new = nn.Conv2d(
        old.in_channels, old.out_channels, old.kernel_size,
        stride=old.stride, padding=old.padding, groups=old.groups,
    )  # fmt: skip
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight, bias = old.weight * gain[:, None, None, None], norm.bias - gain * norm.running_mean
    if first:
        weight = weight / CODE_STD
        bias = bias - CODE_MEAN * weight.sum((1, 2, 3))
    with torch.no_grad():
        new.weight.copy_(weight)
        new.bias.copy_(bias)
    return new


def _round_weight(weight: Tensor) -> Tensor:
    return _round_to(weight, weight.detach().abs().max() / 127)


def _round_to(x: Tensor, step: Tensor) -> Tensor:
    """x in 8-bit steps; the gradient passes through, except where x saturates."""
    clipped = torch.clamp(x, -128 * float(step), 127 * float(step))
    return clipped + (torch.round(clipped / step) * step - clipped).detach()


def level_channels(model: FoldedDsCnn, codes: Tensor) -> None:
    """Scale channels so that each layer's reach alike; the function stays the same.

    A ReLU passes a positive factor on, so what a layer's channel gains the next layer's
    weights for that channel lose.
    """
    layers = [*model.convolutions, model.classify]
    x = codes
    with torch.no_grad():
        for convolution, follower in pairwise(layers):
            x = torch.relu(convolution(x))
            reach = x.amax((2, 3)).quantile(0.99, dim=0)
            factor = (reach.mean() / reach.clamp(min=1e-6)).clamp(0.25, 4.0)
            convolution.weight *= factor[:, None, None, None]
            convolution.bias *= factor
            x = x * factor[:, None, None]
            if getattr(follower, "groups", 1) == 1:
                follower.weight /= factor.reshape(1, -1, *[1] * (follower.weight.ndim - 2))
            else:
                follower.weight /= factor[:, None, None, None]
