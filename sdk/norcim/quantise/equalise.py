"""Cross-layer equalisation: level channel ranges between two convolutions, exactly.

Between convolutions A and B with at most a ReLU or a product with a gate in between, channel c of
the tensor can be scaled by any r_c > 0 if A's column c is multiplied and B's inputs c are divided
by it: the network stays the same, its ranges do not. (Nagel et al., "Data-free quantization
through weight equalization and bias correction", 2019; here the exponent is chosen by predicted
noise, not fixed.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from norcim.ir.graph import Floats, Graph, Op

Real = npt.NDArray[np.float64]

_EXPONENTS = (0.25, 0.5, 0.75, 1.0)
_CODES = 255
_WEIGHT_LIMIT = 127
_LARGEST_QUARTERS = 24  # a scale of 2^6


@dataclass(frozen=True)
class Pair:
    """A tensor between two convolutions, or two: what A writes, and its product with a gate.

    input_power  mean square of A's inputs, (c_in,)
    peak         largest magnitude of every channel that A writes, (c,)
    read_peak    of every channel that B reads; 0 where B reads what A writes, (c,)
    read_power   mean square of every channel that B reads, (c,)
    passed       square of the gate where it is open, (c,); 1 where B reads what A writes
    """

    first: Op
    second: Op
    input_power: Real
    peak: Real
    read_peak: Real
    read_power: Real
    passed: Real


def equalise(
    graph: Graph, observed: Mapping[str, Floats], per_column: bool
) -> tuple[Graph, dict[str, tuple[int, ...]]]:
    """Scale channels wherever that lowers the predicted quantisation noise.

    observed    real values of every tensor on the calibration set, (n, h, w, c)
    per_column  weights have a scale per output channel, else one per layer
    Returns an equivalent graph, and for every tensor that was scaled the quarter octaves of its
    channels: r_c = 2^(quarters / 4). A model that brings its own parameters is left as it is.
    """
    scaled: dict[str, tuple[int, ...]] = {}
    ops = {op.output: op for op in graph.ops}
    for name in [op.output for op in graph.ops]:
        second = _only_reader(graph, ops, name)
        if second is None:
            continue
        first = ops[name]
        pair = observe(first, second, observed)
        quarters, _ = best_quarters(pair, per_column)
        if quarters.any():
            scaled[name] = tuple(int(q) for q in quarters)
            ops[name], ops[second.output] = scale_pair(first, second, channel_scale(quarters))
    return replace(graph, ops=tuple(ops[op.output] for op in graph.ops)), scaled


def channel_scale(quarters: npt.ArrayLike) -> Real:
    """Scales of channels from quarter octaves."""
    return np.asarray(2.0 ** (np.asarray(quarters, np.float64) / 4))


def _only_reader(graph: Graph, ops: Mapping[str, Op], name: str) -> Op | None:
    """The convolution that alone reads what the convolution `name` writes, if scaling is exact."""
    first = ops[name]
    readers = [op for op in ops.values() if name in op.inputs]
    is_output = any(port.tensor == name for port in graph.outputs)
    if first.kind != "conv" or len(readers) != 1 or readers[0].kind != "conv" or is_output:
        return None
    own = first.weight_codes is not None or readers[0].weight_codes is not None
    fixed = graph.tensors[name].qparams is not None
    return readers[0] if is_even(first) and not own and not fixed else None


def is_even(op: Op) -> bool:
    """Whether scaling what goes in scales what an operation's clamp lets out."""
    lo, hi = op.attrs["clamp"] or (-math.inf, math.inf)
    return lo in (0.0, -math.inf) and hi == math.inf


def observe(first: Op, second: Op, observed: Mapping[str, Floats], gate: str = "") -> Pair:
    """What is known of two convolutions.

    gate  what is multiplied in between; empty: nothing
    """

    def power(name: str) -> Real:
        values = observed[name]
        square = np.square(values.reshape(-1, values.shape[-1]), dtype=np.float64)
        return np.asarray(square.mean(axis=0))

    def peak(name: str) -> Real:
        values = observed[name]
        sizes = np.abs(values.reshape(-1, values.shape[-1]))
        return np.asarray(sizes.max(axis=0), np.float64)

    own, read = peak(first.output), power(second.inputs[0])
    return Pair(
        first, second, power(first.inputs[0]), own,
        peak(second.inputs[0]) if gate else np.zeros_like(own), read,
        peak(gate) ** 2 if gate else np.ones_like(own),
    )  # fmt: skip


def _dense(op: Op) -> Real:
    """Weights as (taps, c_in, columns); a grouped layer has its own columns per group."""
    assert op.weight is not None
    kernel_h, kernel_w, c_group, c_out = op.weight.shape
    groups = int(op.attrs["groups"])
    parts = op.weight.reshape(kernel_h * kernel_w, c_group, groups, c_out // groups)
    return (
        parts.transpose(0, 2, 1, 3)
        .reshape(kernel_h * kernel_w, groups * c_group, -1)
        .astype(np.float64)
    )


def _column_peaks(weight: Real, op: Op, per_column: bool) -> Real:
    """Largest weight that shares a scale with each (c_in, column) of `_dense`'s result."""
    groups = int(op.attrs["groups"])
    peaks = np.abs(weight).max(axis=0)
    grouped = peaks.reshape(groups, -1, peaks.shape[1]).max(axis=1, keepdims=True)
    if not per_column:
        grouped = np.full_like(grouped, grouped.max())
    spread = np.broadcast_to(grouped, (groups, peaks.shape[0] // groups, peaks.shape[1]))
    return spread.reshape(peaks.shape)


def _noise(pair: Pair, scale: Real, per_column: bool) -> float:
    """Predicted mean square error at B's output for a channel scale r (c,).

    Uniform errors of activation codes and of both layers' weights, taken as independent.
    """
    first, second = _dense(pair.first), _dense(pair.second)
    peaks_a = _column_peaks(first, pair.first, True)
    spread = int(pair.first.attrs["groups"])
    own = peaks_a.reshape(spread, -1, peaks_a.shape[1])[:, 0, :].reshape(-1) * scale
    if not per_column:
        own = np.full_like(own, own.max())
    taps_a = first.shape[0]
    power_in = pair.input_power.reshape(spread, -1).sum(axis=1)
    error_a = (own / _WEIGHT_LIMIT) ** 2 / 12 * taps_a * np.repeat(power_in, len(own) // spread)
    step = (pair.peak * scale).max() / _CODES
    error_between = step**2 / 12 + error_a  # per channel, in scaled units
    step_read = (pair.read_peak * scale).max() / _CODES
    error_between = error_between * pair.passed + step_read**2 / 12
    weight_b = second / scale[None, :, None]
    through = float((weight_b**2 * error_between[None, :, None]).sum())
    peaks_b = _column_peaks(weight_b, pair.second, per_column)
    step_b = (peaks_b / _WEIGHT_LIMIT) ** 2 / 12
    own_b = float((step_b * (pair.read_power * scale**2)[:, None]).sum()) * second.shape[0]
    return float(through + own_b)


def best_quarters(pair: Pair, per_column: bool) -> tuple[npt.NDArray[np.int64], float]:
    """Quarter octaves of r = (typical peak / peak)^exponent for the best of a few exponents.

    The peak is A's, or B's, or their mean where a product lies between. Returns what is left of
    the predicted noise too.
    """
    peaks = [pair.peak]
    if pair.read_peak.any():
        peaks += [np.sqrt(pair.peak * pair.read_peak), pair.read_peak]
    trials = [np.zeros(len(pair.peak), np.int64)]
    for peak in peaks:
        alive = peak > 0
        octaves = np.zeros_like(peak)
        if alive.any():
            octaves[alive] = np.log2(np.median(peak[alive]) / peak[alive])
        trials += [_whole_quarters(octaves * exponent) for exponent in _EXPONENTS]
    noises = [_noise(pair, channel_scale(quarters), per_column) for quarters in trials]
    best = int(np.argmin(noises))
    return trials[best], noises[best] / noises[0] if noises[0] > 0 else 1.0


def _whole_quarters(octaves: Real) -> npt.NDArray[np.int64]:
    return np.clip(np.rint(4 * octaves), -_LARGEST_QUARTERS, _LARGEST_QUARTERS).astype(np.int64)


def scale_pair(first: Op, second: Op, scale: Real) -> tuple[Op, Op]:
    """Both convolutions with channels between them multiplied by `scale` (c,)."""
    assert first.weight is not None
    assert second.weight is not None
    r = scale.astype(np.float32)
    bias = None if first.bias is None else first.bias * r
    _kernel_h, _kernel_w, c_group, c_out = second.weight.shape
    groups = int(second.attrs["groups"])
    per_input = (1 / r).reshape(groups, c_group)  # input channel g * c_group + i
    spread = np.repeat(per_input.T, c_out // groups, axis=1)  # (c_group, c_out)
    return (
        replace(first, weight=first.weight * r, bias=bias),
        replace(second, weight=np.asarray(second.weight * spread[None, None], np.float32)),
    )
