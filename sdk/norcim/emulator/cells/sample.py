"""One chip out of a population: the errors of its cells and converters, tile by tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from norcim.emulator.cells.compose import Columns, Draw, program_cells, sample_columns
from norcim.emulator.cells.model import CellModel
from norcim.emulator.cells.physics import Reals
from norcim.emulator.reference import tile_cells
from norcim.image.model import ImageContent
from norcim.spec.program import BIAS_DRIVE, Opcode, Rule, Tile


@dataclass(frozen=True)
class TileErrors:
    """What a tile's cells and converters are on one chip.

    weights    (wordlines, n_cols) programmed weights, codes; drift, heat and IR drop included
    constant   (n_cols,) what the bias rows add
    variance   (wordlines, n_cols) of a conversion's weights, codes^2 a unit of drive
    fixed      (n_cols,) variance of a conversion with no input, codes^2 (bias rows, converter)
    bend_lsb   (n_cols,) peak of the integral non-linearity, LSB
    The converter's gain is in weights, constant and variances; its offset is in constant.
    """

    weights: Reals
    constant: Reals
    variance: Reals
    fixed: Reals
    bend_lsb: Reals


@dataclass(frozen=True)
class Trim:
    """A correction of a tile's columns: codes become (code - offset_lsb) / slope."""

    slope: Reals
    offset_lsb: Reals


@dataclass(frozen=True)
class SampledChip:
    """One chip: everything static is a function of (seed, number) and the model.

    trims  corrections by tile index that compensation found
    """

    content: ImageContent
    model: CellModel
    seed: int
    number: int
    trims: Mapping[int, Trim] = field(default_factory=dict)

    @property
    def noise_key(self) -> tuple[int, ...]:
        """What names this chip's read noise."""
        return (self.seed, self.number, Draw.NOISE)

    def with_trims(self, trims: Mapping[int, Trim]) -> SampledChip:
        """The same chip with other corrections."""
        other = replace(self, trims=dict(trims))
        other.__dict__.update(_cache=self._cache, _columns=self._columns)
        return other

    def tile(self, index: int, encoding: int) -> TileErrors:
        """The errors of tile record `index`."""
        raw = self._raw(index, encoding)
        trim = self.trims.get(index)
        if trim is None:
            return raw
        unit = float(1 << self.content.tiles[index].gain)
        slope = trim.slope
        return TileErrors(
            raw.weights / slope,
            (raw.constant - trim.offset_lsb * unit) / slope,
            raw.variance / slope**2,
            raw.fixed / slope**2,
            raw.bend_lsb / slope,
        )

    def _raw(self, index: int, encoding: int) -> TileErrors:
        cache = self._cache
        if index not in cache:
            cache[index] = self._sample(self.content.tiles[index], encoding)
        return cache[index]

    @cached_property
    def _cache(self) -> dict[int, TileErrors]:
        return {}

    @cached_property
    def _columns(self) -> dict[int, Columns]:
        return {}

    def _rng(self, draw: Draw, *place: int) -> np.random.Generator:
        key = np.random.SeedSequence([self.seed, self.number, int(draw), *place])
        return np.random.Generator(np.random.SFC64(key))

    def columns(self, array: int) -> Columns:
        """The columns of one array."""
        if array not in self._columns:
            rng = self._rng(Draw.COLUMNS, array)
            self._columns[array] = sample_columns(self.model, rng)
        return self._columns[array]

    def physical_columns(self, tile: Tile) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The array columns that a tile's columns lie on, spare ones from n_columns on."""
        first = tile.col
        if not self.model.compensation.reserve:
            first -= self.model.arrays.reserved_columns
        own = np.arange(first, first + tile.n_cols)
        if self.model.compensation.remap:
            table = self._remapped(tile.array)
            own = table[own]
        return own

    def _remapped(self, array: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Column -> column: dead columns in use get, in turn, the spare ones that are alive."""
        n = self.model.arrays.n_columns
        dead = self.columns(array).dead
        used = np.zeros(n, bool)
        for tile in self.content.tiles:
            if tile.array == array:
                used[tile.col : tile.col + tile.n_cols] = True
        table = np.arange(n)
        spare = n + np.flatnonzero(~dead[n:])
        bad = np.flatnonzero(dead[:n] & used)[: len(spare)]
        table[bad] = spare[: len(bad)]
        return table

    def _sample(self, tile: Tile, encoding: int) -> TileErrors:
        cells = self.model.cells
        found = tile_cells(self.content, tile, encoding)
        n_lines = len(found.weights)
        target = np.concatenate([found.weights, found.bias]).astype(np.float64)
        place = (tile.array, tile.row, tile.col)
        columns = self.physical_columns(tile)
        worse = np.where(columns < cells.leading_columns, cells.leading_factor, 1.0)
        weights, variance = program_cells(
            self.model, target, worse, lambda draw: self._rng(draw, *place), tile.row
        )
        return self._convert(tile, n_lines, weights, variance, columns, worse)

    def _convert(
        self, tile: Tile, n_lines: int, weights: Reals, variance: Reals,
        columns: np.ndarray[tuple[int], np.dtype[np.int64]], worse: Reals,
    ) -> TileErrors:  # fmt: skip
        """Bias rows become constants, the converter's errors join."""
        own = self.columns(tile.array)
        gain = np.where(own.dead[columns], 0.0, own.gain[columns])
        unit = float(1 << tile.gain)
        bias, bias_variance = weights[n_lines:], variance[n_lines:]
        offset = own.offset[columns] * worse * unit
        noise = self.model.cells.converter_noise * unit
        return TileErrors(
            weights=weights[:n_lines] * gain,
            constant=BIAS_DRIVE * bias.sum(axis=0) * gain + offset,
            variance=variance[:n_lines] * gain**2,
            fixed=BIAS_DRIVE**2 * bias_variance.sum(axis=0) * gain**2 + noise**2,
            bend_lsb=own.bend[columns],
        )


def sample_chip(content: ImageContent, model: CellModel, seed: int, number: int) -> SampledChip:
    """Chip `number` of the population `seed`; compensation that needs data is not applied yet."""
    return SampledChip(content, model, seed, number)


def analog_tiles(content: ImageContent) -> dict[int, int]:
    """Tiles whose sums a converter digitises, and the encoding of their inputs."""
    return {
        index: d.encoding
        for d in content.program
        if d.opcode == Opcode.MVM and d.rule != Rule.LOSSLESS
        for index in range(d.tile_base, d.tile_base + d.n_tiles)
    }
