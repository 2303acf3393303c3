"""Compensation that needs data: column trims and re-centred biases of a sampled chip.

Both are measured as a test station would: with calibration inputs, through the noisy converter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim import arith
from norcim.emulator import reference
from norcim.emulator.cells.physics import Reals
from norcim.emulator.cells.sample import SampledChip, Trim, analog_tiles
from norcim.emulator.engine import Emulator
from norcim.emulator.regions import Bytes, input_regions, port_region
from norcim.emulator.stages import code_bounds, column_records
from norcim.image.model import ImageContent
from norcim.spec.program import BIAS_DRIVE, Descriptor, Opcode, Stage

N_WINDOWS = 512
"""Conversions of every column that a calibration takes."""

SLOPE_ERROR = 0.01
"""A slope is trimmed only where its standard error is below this."""

_FIRST_SAMPLE = 1 << 40
"""Read noise of re-centring runs is that of samples which no evaluation reaches."""

_CALIBRATION = 100
"""Draws of a calibration, apart from those of the chip."""


@dataclass(frozen=True)
class Calibration:
    """What a test station knows: inputs, what an exact chip makes of them, wordline vectors.

    drives  tile index -> (n_windows, wordlines) drive of every wordline, float32
    means   descriptor index -> (out_c,) mean output code of an exact chip
    """

    inputs: tuple[Bytes, ...]
    drives: dict[int, npt.NDArray[np.float32]]
    means: dict[int, Reals]


def calibration_of(
    content: ImageContent, inputs: Sequence[Bytes], seed: int = 0, n_windows: int = N_WINDOWS
) -> Calibration:
    """Run an exact chip on calibration inputs (code bytes (n, h, w, c) an input port)."""
    memory = np.zeros((len(inputs[0]), content.activation_bytes), np.uint8)
    ports = [port for port in content.ports if not port.is_output]
    for port, codes in zip(ports, inputs, strict=True):
        port_region(port).view(memory)[...] = codes
    rng = np.random.default_rng([seed, _CALIBRATION])
    drives: dict[int, npt.NDArray[np.float32]] = {}
    wanted = analog_tiles(content)
    for d in content.program:
        if d.opcode == Opcode.END:
            break
        if d.opcode == Opcode.MVM and d.tile_base in wanted:
            _collect(d, content, memory, rng, n_windows, drives)
        reference.execute(d, content, memory)
    layers = Emulator(content).run_layers(inputs)
    means = {index: _channel_means(content.program[index], y) for index, y in layers.items()}
    return Calibration(tuple(inputs), drives, means)


def _collect(
    d: Descriptor, content: ImageContent, memory: Bytes, rng: np.random.Generator, n_windows: int,
    drives: dict[int, npt.NDArray[np.float32]],
) -> None:  # fmt: skip
    """The drives of some windows of one MVM, the same ones for all of its tiles."""
    region = input_regions(d)[0]
    codes = reference.signed_codes(np.ascontiguousarray(region.view(memory)), d.in_signed)
    pad = d.pad_value - 256 if d.in_signed and d.pad_value > 127 else d.pad_value
    taps, _ = reference.windows(codes, d, pad)
    flat = taps.reshape(-1, *taps.shape[3:])
    chosen = flat[rng.permutation(len(flat))[:n_windows]]
    for index in range(d.tile_base, d.tile_base + d.n_tiles):
        tile = content.tiles[index]
        window = chosen[..., tile.in_c_first : tile.in_c_first + tile.in_c_count]
        vector = window.reshape(len(chosen), -1)[:, tile.k_first : tile.k_first + tile.n_rows]
        lines = arith.encode_rows(vector, d.encoding, d.in_zp)
        drives[index] = np.tile(lines, (1, 1 + tile.repeats)).astype(np.float32)


def _channel_means(d: Descriptor, output: Bytes) -> Reals:
    codes = output.view(np.int8) if d.out_signed else output
    return np.asarray(codes.reshape(-1, d.out_c).mean(axis=0, dtype=np.float64))


def compensate(chip: SampledChip, calibration: Calibration) -> SampledChip:
    """The chip after the compensation of its model that needs data (calibrate, recentre)."""
    wanted = chip.model.compensation
    if wanted.calibrate:
        chip = calibrate_columns(chip, calibration)
    if wanted.recentre:
        chip = recentre(chip, calibration)
    return chip


def calibrate_columns(chip: SampledChip, calibration: Calibration) -> SampledChip:
    """Trim offset and slope of every column, by least squares of measured on expected codes."""
    trims = {}
    for index, encoding in analog_tiles(chip.content).items():
        rng = np.random.default_rng([chip.seed, chip.number, _CALIBRATION, index])
        trims[index] = _fit(chip, index, encoding, calibration.drives[index], rng)
    return chip.with_trims(trims)


def measure_column_codes(
    chip: SampledChip, index: int, encoding: int, drive: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[Reals, Reals]:  # fmt: skip
    """Expected and measured real codes (n_windows, n_cols) of a tile; measured ones are whole.

    Neither is clipped. drive: (n_windows, wordlines)
    """
    tile = chip.content.tiles[index]
    cells = reference.tile_cells(chip.content, tile, encoding)
    errors = chip.tile(index, encoding)
    unit = float(1 << tile.gain)
    bias = BIAS_DRIVE * cells.bias.astype(np.float64).sum(axis=0)
    expected = (drive @ cells.weights.astype(np.float32) + bias) / unit
    sums = drive @ errors.weights.astype(np.float32) + errors.constant
    variance = np.square(drive) @ errors.variance.astype(np.float32) + errors.fixed
    sums = sums + np.sqrt(variance) * rng.standard_normal(sums.shape)
    return np.asarray(expected, np.float64), np.rint(np.asarray(sums, np.float64) / unit)


def _fit(
    chip: SampledChip, index: int, encoding: int, drive: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> Trim:  # fmt: skip
    """Offset and slope of a tile's columns. A slope that cannot be told from 1 stays 1."""
    d = next(
        d for d in chip.content.program
        if d.opcode == Opcode.MVM and d.tile_base <= index < d.tile_base + d.n_tiles
    )  # fmt: skip
    lo, hi = code_bounds(d)
    expected, codes = measure_column_codes(chip, index, encoding, drive, rng)
    weight = ((codes > lo) & (codes < hi)).astype(np.float64)
    count = np.maximum(weight.sum(axis=0), 1.0)
    mean_x = (weight * expected).sum(axis=0) / count
    mean_y = (weight * codes).sum(axis=0) / count
    dx, dy = weight * (expected - mean_x), weight * (codes - mean_y)
    power = np.square(dx).sum(axis=0)
    slope = np.where(power > 0, (dx * dy).sum(axis=0) / np.maximum(power, 1e-12), 1.0)
    rest = np.square(dy - slope * dx).sum(axis=0) / count
    sure = (power > 0) & (np.sqrt(rest / np.maximum(power, 1e-12)) < SLOPE_ERROR) & (slope > 0.5)
    slope = np.where(sure, slope, 1.0)
    offset = np.where(weight.any(axis=0), mean_y - slope * mean_x, 0.0)
    return Trim(slope, offset)


def recentre(chip: SampledChip, calibration: Calibration) -> SampledChip:
    """Move column offsets until every channel's mean output is that of an exact chip.

    The digital form of re-estimating batch-norm means, layer by layer from first to last, since
    a layer's mean moves with those before it. Layers whose output goes through a table are left
    alone, as are channels that are clamped on more than nine samples of ten.
    """
    tiles = analog_tiles(chip.content)
    first = _FIRST_SAMPLE
    for index, d in enumerate(chip.content.program):
        if d.opcode != Opcode.MVM or d.use_table or d.tile_base not in tiles:
            continue
        emulator = Emulator(chip.content, cells=chip)
        emulator.first_sample = first
        output = emulator.run_layers(calibration.inputs, last=index)[index]
        first += len(calibration.inputs[0])
        trims = dict(chip.trims)
        shift = _code_shift(chip.content, d, output, calibration.means[index])
        _add_offsets(chip.content, d, shift, trims)
        chip = chip.with_trims(trims)
    return chip


def _code_shift(content: ImageContent, d: Descriptor, output: Bytes, mean: Reals) -> Reals:
    """By how many converter codes each channel is too high, (out_c,)."""
    codes = output.view(np.int8) if d.out_signed else output
    flat = codes.reshape(-1, d.out_c).astype(np.float64)
    active = ((flat > d.clamp_lo) & (flat < d.clamp_hi)).mean(axis=0)
    if d.stage == Stage.SHIFT:
        step = np.full(d.out_c, 2.0**d.shift)
    else:
        _, m, k = column_records(content, d.column_base, d.out_c)
        step = np.ldexp(1.0, k.astype(np.int32)) / m
    excess = (flat.mean(axis=0) - mean) * step
    return np.where(active > 0.1, excess / np.maximum(active, 0.1), 0.0)


def _add_offsets(
    content: ImageContent, d: Descriptor, shift: Reals, trims: dict[int, Trim]
) -> None:
    """Take the shift out of the last tile of every column group."""
    for index in range(d.tile_base, d.tile_base + d.n_tiles):
        tile = content.tiles[index]
        if tile.last:
            part = shift[tile.out_c_first : tile.out_c_first + tile.n_cols] / (1 << tile.align)
            old = trims.get(index, Trim(np.ones(tile.n_cols), np.zeros(tile.n_cols)))
            trims[index] = Trim(old.slope, old.offset_lsb + old.slope * part)
