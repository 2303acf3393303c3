"""Layers that compute as a chip's arrays do: 8-bit weights, inputs and sums, cells with errors.

Forward is the chip, drawn anew at every call; backward passes through rounding and errors as if
they were not there, and stops where a code saturates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from norcim.chips.model import Chip
from norcim.emulator.cells import CellModel
from norcim.emulator.cells.layer import LayerErrors, sample_layer
from norcim.errors import EXIT_USAGE, NorcimError

INERTIA = 0.98
"""Of the running ranges of inputs and sums."""

SATURATED = 1e-3
"""Share of the sums that a converter's range leaves out."""

_WRAPPED = (nn.Conv1d, nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Scales:
    """How a layer's numbers stand for real ones: as the compiler fits them to the chip.

    x_step, w_step  real value of an input code and of a weight code
    shift           added to every input code before it drives a wordline
    lsb             sums (weight x input codes, the mean over copies) a converter code
    lo, hi          converter codes; 0 to 255 instead of -128 to 127 in front of a ReLU
    """

    x_step: float
    w_step: float
    shift: float
    lsb: float
    lo: int
    hi: int


class AwareLayer(nn.Module):
    """A convolution or linear layer on a chip while it trains; exact in evaluation.

    inner   the layer, whose weights are trained
    copies  wordlines that drive the same input (`repeats` + 1 of the image's tiles)
    relu    its outputs go through a ReLU: biases move zero to the converter's lowest code
    Each output is one conversion: a layer that takes several row tiles has a little more noise.
    """

    def __init__(
        self, inner: nn.Module, chip: Chip, model: CellModel, copies: int, relu: bool,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inner = inner
        self._chip, self._model, self._copies, self._relu = chip, model, copies, relu
        self._rng = rng
        self.register_buffer("input_reach", torch.zeros(()))
        self.register_buffer("sum_reach", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """x float (n, ...); returns what `inner` would, through the chip's arrays."""
        if not self.training:
            return self.inner(x)
        scales = self.scales(x)
        unit = scales.w_step * scales.x_step
        lo = -128 if bool((x < 0).any()) else 0
        x = _round(torch.clamp(x / scales.x_step, lo, lo + 255))
        w = _round(self.inner.weight / scales.w_step)
        bias = torch.zeros(len(w)) if self.inner.bias is None else self.inner.bias / unit
        errors = self._sample(w.detach(), bias.detach(), scales)
        sums = self._sums(x, w, bias, errors, scales)
        self._follow_sums(sums.detach() * unit)
        codes = sums / scales.lsb
        with torch.no_grad():
            added = self._added(x, codes, errors, scales)
        codes = _round(torch.clamp(codes + added, scales.lo, scales.hi))
        return codes * (scales.lsb * unit)

    def scales(self, x: Tensor) -> Scales:
        """Follow the range of the inputs; fit weights and converter to it and to the sums seen."""
        arrays, converter = self._chip.arrays, self._chip.converter
        with torch.no_grad():
            signed = bool((x < 0).any())
            _follow(self.input_reach, x.abs().max())
            if not self.sum_reach:
                self._follow_sums(self.inner(x))
        x_step = float(self.input_reach) / (127 if signed else 255) or 1.0
        n_codes = 1 << converter.bits
        lo = 0 if self._relu else -n_codes // 2
        hi = lo + n_codes - 1
        wanted = float(self.sum_reach) / hi or 1.0  # real value of a converter code
        finest = float(self.inner.weight.detach().abs().max()) / arrays.cell_hi or 1.0
        # The largest divisor for which the weights still fit their cells.
        gain = math.floor(math.log2(wanted * self._copies / (x_step * finest)))
        lsb = 2.0 ** min(max(gain, converter.gain_lo), converter.gain_hi) / self._copies
        w_step = max(wanted / (x_step * lsb), finest)
        shift = 128.0 if signed and not arrays.signed_rows else 0.0
        return Scales(x_step, w_step, shift, lsb, lo, hi)

    def _sample(self, w: Tensor, bias: Tensor, scales: Scales) -> LayerErrors:
        weights = w.reshape(len(w), -1).T.double().numpy()
        # Zero is the lowest code in front of a ReLU, by as much bias.
        lowest = scales.lsb * (scales.lo - (scales.lo + scales.hi + 1) / 2 if self._relu else 0)
        return sample_layer(
            self._model, weights, bias.double().numpy() + lowest, self._copies, self._rng
        )

    def _sums(
        self, x: Tensor, w: Tensor, bias: Tensor, errors: LayerErrors, scales: Scales
    ) -> Tensor:
        """Column sums with what is wrong in the cells, codes of weight x input."""
        error = _as_weights(errors.error, w)
        constant = scales.shift * error.flatten(1).sum(1) + _tensor(errors.constant)
        sums = self._product(x, w + error) + self._column(bias + constant)
        if not self._model.compensation.calibrate:
            return sums * self._column(_tensor(errors.gain))
        mean = self._product(x.detach().mean(0, keepdim=True), error)
        mean = mean.flatten(2).mean((0, 2)) if mean.ndim > 2 else mean.mean(0)
        return sums - self._column(mean + constant)

    def _added(self, x: Tensor, codes: Tensor, errors: LayerErrors, scales: Scales) -> Tensor:
        """What the converters and the noise of a conversion add, LSB."""
        variance = self._column(_tensor(errors.fixed))
        if errors.variance.any():
            spread = _as_weights(errors.variance, self.inner.weight)
            variance = variance + self._product((x + scales.shift) ** 2, spread)
        noise = self._model.cells.converter_noise
        added = torch.sqrt(variance / scales.lsb**2 + noise**2) * torch.randn(codes.shape)
        if errors.bend.any():
            middle, half = (scales.lo + scales.hi + 1) / 2, (scales.hi + 1 - scales.lo) / 2
            share = ((codes - middle) / half).clamp(-1, 1)
            added += self._column(_tensor(errors.bend)) * 2.598076 * share * (share**2 - 1)
        if not self._model.compensation.calibrate:
            added += self._column(_tensor(errors.offset))
        return added

    def _product(self, x: Tensor, w: Tensor) -> Tensor:
        inner = self.inner
        if isinstance(inner, nn.Linear):
            return functional.linear(x, w)
        convolve = functional.conv1d if isinstance(inner, nn.Conv1d) else functional.conv2d
        return convolve(x, w, None, inner.stride, inner.padding, inner.dilation, inner.groups)

    def _column(self, values: Tensor) -> Tensor:
        """(n_cols,), to be broadcast over examples and positions."""
        extra = 0 if isinstance(self.inner, nn.Linear) else self.inner.weight.ndim - 2
        return values.reshape(-1, *[1] * extra)

    def _follow_sums(self, sums: Tensor) -> None:
        """Follow the range of the sums, real values: what saturates is left out."""
        largest = sums.clamp(min=0) if self._relu else sums.abs()
        ordered = largest.flatten()[:: 1 + largest.numel() // (1 << 16)].sort().values
        _follow(self.sum_reach, ordered[int((1 - SATURATED) * (len(ordered) - 1))])


def make_aware(
    module: nn.Module,
    chip: Chip,
    model: CellModel,
    copies: int | Sequence[int] = 1,
    relu: bool | Sequence[bool] = False,
    seed: int = 1,
) -> nn.Module:
    """Replace every Conv1d, Conv2d and Linear by an `AwareLayer` of it, in place.

    chip    the chip file; `model`, its cells under one condition (`CellModel.of(chip, ...)`)
    copies  of the wordlines: one number, or one a layer in the order of `module.modules()`; 0: the
            layer is on no array and stays as it is
    relu    whether outputs go through a ReLU next: one truth, or one a layer
    seed    of the cells; the noise of conversions is torch's own (`torch.manual_seed`)
    Normalisations should be folded before: they are digital steps that a chip does not have.
    Returns the module. Raises NC-E0915 if `copies` or `relu` are not one a layer, or a layer
    cannot be on an array.
    """
    found = [(name, m) for name, m in module.named_modules() if isinstance(m, _WRAPPED)]
    n_copies = [copies] * len(found) if isinstance(copies, int) else list(copies)
    relus = [relu] * len(found) if isinstance(relu, bool) else list(relu)
    if not len(n_copies) == len(relus) == len(found) or min(n_copies, default=0) < 0:
        raise _refuse("copies or relu do not fit the layers", f"one from 0 on for {len(found)}",
                      f"{n_copies}, {relus}")  # fmt: skip
    each = zip(found, n_copies, relus, np.random.SeedSequence(seed).spawn(len(found)), strict=True)
    for (path, child), n, rectified, own in each:
        if not n:
            continue
        mode = getattr(child, "padding_mode", "zeros")
        if mode != "zeros":
            raise _refuse(f"{path} pads with other values than 0", "zeros", mode)
        parent, _, name = path.rpartition(".")
        aware = AwareLayer(child, chip, model, n, rectified, np.random.default_rng(own))
        setattr(module.get_submodule(parent), name, aware)
    return module


def make_plain(module: nn.Module) -> nn.Module:
    """Put the trained layers back where `make_aware` has wrapped them, in place."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, AwareLayer):
                setattr(parent, name, child.inner)
    return module


def _refuse(what: str, expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0915", what, expected=expected, got=got, fix="see docs/training.md",
        exit_code=EXIT_USAGE,
    )  # fmt: skip


def _round(x: Tensor) -> Tensor:
    """x rounded; the gradient passes through."""
    return x + (torch.round(x) - x).detach()


def _follow(running: Tensor, seen: Tensor) -> None:
    """Move a running range towards what was seen; the first call sets it."""
    with torch.no_grad():
        running.copy_(seen if running == 0 else INERTIA * running + (1 - INERTIA) * seen)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _as_weights(codes: np.ndarray, weight: Tensor) -> Tensor:
    """(n_rows, n_cols) as the weight of a layer."""
    return _tensor(codes.T).reshape(weight.shape)
