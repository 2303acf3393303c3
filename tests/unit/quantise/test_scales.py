"""Scales of activations and weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from norcim.ir.graph import QParams
from norcim.quantise.scales import (
    activation_qparams,
    dequantise,
    is_coded,
    margin,
    quantise,
    sample,
    weight_codes,
)

OPEN = (-math.inf, math.inf)


def test_zero_is_always_a_code() -> None:
    for lo, hi in ((0.5, 2.0), (-3.0, -1.0), (-1.3, 4.2)):
        values = np.linspace(lo, hi, 1000, dtype=np.float32)
        q = activation_qparams(values, OPEN, signed=False)
        assert dequantise(quantise(0.0, q), q) == 0.0


def test_a_thin_tail_is_clipped_and_a_plain_range_is_not() -> None:
    rng = np.random.default_rng(0)
    plain = rng.uniform(0, 1, 50_000).astype(np.float32)
    assert activation_qparams(plain, OPEN, False).scale == pytest.approx(1 / 255, rel=0.03)
    tail = rng.exponential(0.05, 50_000).astype(np.float32)
    assert activation_qparams(tail, OPEN, False).scale * 255 < 0.97 * tail.max()


def test_ranges_of_few_inputs_get_room_within_the_clamp() -> None:
    assert [margin(n) for n in (1, 16, 100, 800)] == [0.5, 0.5, 0.08, 0.01]
    values = np.random.default_rng(1).uniform(-1, 2, (100, 500)).astype(np.float32)
    tight = activation_qparams(values, OPEN, False, grow=False).scale * 255
    assert activation_qparams(values, OPEN, False).scale * 255 == pytest.approx(1.08 * tight)
    bounded = activation_qparams(values, (-1.02, 6), False).scale * 255
    assert bounded == pytest.approx(1.02 + 1.08 * 2, rel=0.01)
    positive = activation_qparams(np.abs(values), (0.5, 6), False)
    assert dequantise(positive.lo, positive) == 0, "0 is a code whatever the clamp"


def test_pixels_are_coded_and_features_are_not() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (20, 32, 32, 3)).astype(np.float32) / 255
    assert is_coded(pixels)
    assert not is_coded(pixels[0, :10, :10])
    assert not is_coded(rng.normal(size=(20, 640)).astype(np.float32))


def test_rounding_is_half_to_even_as_in_onnx() -> None:
    q = QParams(1.0, 0, True)
    assert quantise([0.5, 1.5, 2.5, -0.5, -1.5], q).tolist() == [0, 2, 2, 0, -2]
    assert quantise([1e9, -1e9], q).tolist() == [127, -128]


def test_weights_have_a_scale_per_channel_and_silent_channels_survive() -> None:
    weight = np.zeros((1, 1, 3, 2), np.float32)
    weight[0, 0, :, 0] = [0.5, -1.0, 0.25]
    codes, scale = weight_codes(weight, 127, np.zeros(2))
    assert codes[0, 0, :, 1].tolist() == [0, 0, 0]
    assert np.abs(codes[..., 0] * scale[0] - weight[..., 0]).max() <= scale[0] / 2


def test_nothing_observed_but_zero_gives_a_usable_scale() -> None:
    assert activation_qparams(np.zeros(10, np.float32), OPEN, False).scale > 0


def test_a_sample_sees_every_channel() -> None:
    """Its step has no factor in common with the size: a step of 64 would see one channel of 64."""
    values = np.zeros((5000, 64), np.float32)
    values[:, 7] = 64
    assert sample(values).mean() == pytest.approx(1, rel=0.1)
    assert sample(values[:0]).size == 0
