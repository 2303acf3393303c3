"""The matrix-vector multiply of a sampled chip: its own weights, fresh noise at every conversion.

Static errors are in the weights, so the product costs what an exact one costs. Read noise is
referred to the output: a conversion's variance is sum over rows of drive^2 * sigma(cell)^2 plus a
constant of its column, a second matrix product of the squared drive. A column's sum over many
cells is Gaussian whatever the cells' own distribution is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from norcim.emulator.arrays import Activation, Floats, Scratch, Thunk, run_all, with_border
from norcim.emulator.cells import physics
from norcim.emulator.cells.noise import NoiseSource
from norcim.emulator.cells.physics import Reals
from norcim.emulator.cells.sample import SampledChip
from norcim.emulator.mvm import (
    PROGRAM_ORDER,
    SWAPPED,
    Group,
    Part,
    diagonal,
    finish,
    fuse,
    im2col,
    make_product,
)
from norcim.emulator.stages import Saturation, Sums, code_bounds, make_convert
from norcim.emulator.steps import needs_border
from norcim.emulator.taps import make_taps
from norcim.spec.program import Descriptor, Encoding, Opcode, Rule, Tile


def is_analog(d: Descriptor) -> bool:
    """Whether the descriptor runs on a sampled chip's cells: sums that are lossless have none."""
    return d.opcode == Opcode.MVM and d.rule != Rule.LOSSLESS


@dataclass(frozen=True)
class _Noisy:
    """A part and its noise.

    part      weights (lines, n_cols), or (taps, n_cols) if it is depthwise, for sums of which
              2^gain are a code; PN has two lines an input, the positive one first
    variance  as the weights, for the squared drive; None if it is zero
    fixed     (n_cols,) variance of a conversion with no input
    bend_lsb  (n_cols,) peak of the non-linearity
    """

    part: Part
    variance: Reals | None
    fixed: Reals
    bend_lsb: Reals


def make_noisy_mvm(
    d: Descriptor, cells: SampledChip, noise: NoiseSource, x: Activation, out: Floats,
    saturation: Saturation, kernel_order: tuple[int, int], scratch: Scratch,
) -> Thunk:  # fmt: skip
    """Matrix-vector multiply on `cells`; arguments as `norcim.emulator.mvm.make_mvm`."""
    x, work = with_border(x, needs_border(d))
    driven = d
    if d.encoding == Encoding.PN:
        x, driven = _split(d, x, scratch, work), replace(d, in_c=2 * d.in_c)
    maker = _Maker(driven, x, noise, scratch, kernel_order, work, {})
    for out_c_first, parts in _groups(d, cells, kernel_order):
        shape = (len(out), d.out_h, d.out_w, len(parts[0].fixed))
        sums = []
        for each in parts:
            acc = maker.conversion(each, shape)
            work.append(make_convert(d, each.part.gain, each.part.constant, acc, saturation))
            sums.append(_sums(d, each.part, acc, len(parts) == 1, work))
        group = Group(out_c_first, shape[-1], tuple(each.part for each in parts))
        work.append(finish(d, cells.content, group, sums, out))
    return run_all(work)


def _groups(
    d: Descriptor, cells: SampledChip, kernel_order: tuple[int, int]
) -> list[tuple[int, list[_Noisy]]]:
    """First output channel and row tiles of every column group; fused where one product does."""
    found: list[tuple[int, list[_Noisy]]] = []
    parts: list[_Noisy] = []
    for index in range(d.tile_base, d.tile_base + d.n_tiles):
        tile = cells.content.tiles[index]
        parts.append(_noisy(d, cells, index, kernel_order))
        if tile.last:
            found.append((tile.out_c_first, parts))
            parts = []
    bare = [Group(first, len(p[0].fixed), tuple(n.part for n in p)) for first, p in found]
    if d.encoding == Encoding.PN:
        return found
    joined = fuse(bare, d)
    quiet = [p[0].variance is None for _, p in found]
    if len(joined) == len(found) or any(quiet) != all(quiet):
        return found
    each = [p[0] for _, p in found]
    variances = [n.variance for n in each if n.variance is not None]
    one = _Noisy(
        joined[0].parts[0],
        np.concatenate(variances, axis=1) if variances else None,
        np.concatenate([n.fixed for n in each]),
        np.concatenate([n.bend_lsb for n in each]),
    )
    return [(found[0][0], [one])]


def _noisy(d: Descriptor, cells: SampledChip, index: int, kernel_order: tuple[int, int]) -> _Noisy:
    tile = cells.content.tiles[index]
    errors = cells.tile(index, d.encoding)
    # Sums come out in what the converter starts from, quarter codes or codes.
    gain = 2 if d.rule == Rule.WTM2101 else 0
    unit = 2.0 ** (gain - tile.gain)
    weights = _as_lines(d, tile, errors.weights * unit, kernel_order)
    variance = _as_lines(d, tile, errors.variance * unit**2, kernel_order)
    constant = errors.constant * unit
    if d.encoding == Encoding.OFFSET:
        constant = constant + 128 * weights.sum(axis=0)
    taps, c = d.kernel_h * d.kernel_w, tile.in_c_count
    whole = tile.n_rows == taps * c
    square = whole and c == tile.n_cols > 1 and d.encoding != Encoding.PN
    blocks = diagonal(weights.reshape(taps, c, c)) if square else None
    spread = diagonal(variance.reshape(taps, c, c)) if square else None
    depthwise = blocks is not None and spread is not None
    part = Part(
        tile.in_c_first, c, tile.k_first,
        blocks if depthwise and blocks is not None else weights, constant,
        gain, tile.align, whole, depthwise,
    )  # fmt: skip
    found = spread if depthwise else variance
    silent = found is None or not found.any()
    return _Noisy(part, None if silent else found, errors.fixed * unit**2, errors.bend_lsb)


def _as_lines(d: Descriptor, tile: Tile, cells: Reals, kernel_order: tuple[int, int]) -> Reals:
    """(lines, n_cols): copies of a wordline add up, taps in the order that the arrays have."""
    halves = 2 if d.encoding == Encoding.PN else 1
    lines = cells.reshape(1 + tile.repeats, halves, tile.n_rows, tile.n_cols).sum(axis=0)
    taps, c = d.kernel_h * d.kernel_w, tile.in_c_count
    if kernel_order == SWAPPED and tile.n_rows == taps * c:
        shape = (halves, d.kernel_w, d.kernel_h, c, tile.n_cols)
        lines = lines.reshape(shape).swapaxes(1, 2)
    return np.asarray(lines.reshape(halves, tile.n_rows, tile.n_cols).swapaxes(0, 1)
                      .reshape(-1, tile.n_cols))  # fmt: skip


@dataclass(frozen=True)
class _Maker:
    """Appends the work of conversions; im2col matrices are shared by the parts of a layer.

    d, x  the layer as its wordlines see it: PN has two channels for each of the layer's
    """

    d: Descriptor
    x: Activation
    noise: NoiseSource
    scratch: Scratch
    kernel_order: tuple[int, int]
    work: list[Thunk]
    columns: dict[tuple[int, int, bool], Floats]

    def conversion(self, each: _Noisy, shape: tuple[int, int, int, int]) -> Floats:
        """Append the work that leaves noisy sums without their constant; returns their array."""
        acc: Floats = self.scratch.take(shape, np.float32)
        variance: Floats | None = None
        if each.variance is not None:
            variance = self.scratch.take(shape, np.float32)
        if each.part.depthwise:
            self._taps(each, acc, variance)
        else:
            self._products(each, acc, variance)
        if each.fixed.any() or variance is not None:
            self._add_noise(each.fixed, acc, variance)
        if each.bend_lsb.any():
            self.work.append(_make_bend(self.d, each, acc, self.scratch))
        return acc

    def _taps(self, each: _Noisy, acc: Floats, variance: Floats | None) -> None:
        d, x, part = self.d, self.x, each.part
        kernel = (d.kernel_h, d.kernel_w, part.weights.shape[1])
        self.work.append(make_taps(d, x, part.weights.reshape(kernel), part.in_c_first, acc))
        if each.variance is not None and variance is not None:
            squared: Floats = self.scratch.take(x.full.shape, np.float32)
            self.work.append(_make_square(d, x.full, squared))
            drive = Activation(squared, x.border)
            spread = each.variance.reshape(kernel)
            self.work.append(make_taps(d, drive, spread, part.in_c_first, variance))

    def _products(self, each: _Noisy, acc: Floats, variance: Floats | None) -> None:
        d, part = self.d, each.part
        n_lines = 2 if d.encoding == Encoding.PN else 1
        natural = part.whole or self.kernel_order == PROGRAM_ORDER
        key = (n_lines * part.in_c_first, n_lines * part.in_c_count, natural)
        if key not in self.columns:
            self.columns[key], gather = im2col(d, self.x, key, self.scratch)
            self.work.extend(gather)
        first = n_lines * part.k_first
        rows = self.columns[key][:, first : first + len(part.weights)]
        self.work.append(make_product(rows, part.weights, acc))
        if each.variance is not None and variance is not None:
            squared: Floats = self.scratch.take(rows.shape, np.float32)
            self.work.append(_make_square(d, rows, squared))
            self.work.append(make_product(squared, each.variance, variance))

    def _add_noise(self, fixed: Reals, acc: Floats, variance: Floats | None) -> None:
        """acc += noise * sqrt(variance + fixed)."""
        n, h, w, c = acc.shape
        sums = acc.reshape(n, h * w * c)
        draws: Floats = self.scratch.take(sums.shape, np.float32)
        fill = self.noise.fill
        constant = np.tile(fixed.astype(np.float32), h * w)
        sigma = np.sqrt(constant)
        power = None if variance is None else variance.reshape(n, h * w * c)

        def run() -> None:
            fill(draws)
            if power is None:
                np.multiply(draws, sigma, out=draws)
            else:
                np.add(power, constant, out=power)
                np.sqrt(power, out=power)
                np.multiply(draws, power, out=draws)
            np.add(sums, draws, out=sums)

        self.work.append(run)


def _make_square(d: Descriptor, codes: Floats, out: Floats) -> Thunk:
    """The squared drive of every wordline; OFFSET drives code + 128."""
    if d.encoding != Encoding.OFFSET:
        return lambda: np.square(codes, out=out)

    def run() -> None:
        np.add(codes, np.float32(128), out=out)
        np.square(out, out=out)

    return run


def _split(d: Descriptor, x: Activation, scratch: Scratch, work: list[Thunk]) -> Activation:
    """PN: for every value v its max(v, 0) and max(-v, 0), next to each other."""
    zero = np.float32(d.in_zp)
    *outer, n_channels = x.full.shape
    lines: Floats = scratch.take((*outer, 2 * n_channels), np.float32)
    positive, negative = lines[..., 0::2], lines[..., 1::2]

    def run() -> None:
        np.maximum(x.full, zero, out=positive)
        np.subtract(positive, x.full, out=negative)
        np.subtract(positive, zero, out=positive)

    work.append(run)
    return Activation(lines, x.border)


def _make_bend(d: Descriptor, each: _Noisy, acc: Floats, scratch: Scratch) -> Thunk:
    """Add the integral non-linearity; it depends on the whole sum, constant included."""
    lo, hi = code_bounds(d)
    unit = float(1 << each.part.gain)
    factor = np.float32(1 / (unit * max(-lo, hi)))
    n, h, w, c = acc.shape
    sums = acc.reshape(n, h * w * c)
    constant = np.tile((each.part.constant * factor).astype(np.float32), h * w)
    peak = np.tile((each.bend_lsb * unit).astype(np.float32), h * w)
    share, error = (scratch.take(sums.shape, np.float32) for _ in range(2))

    def run() -> None:
        np.multiply(sums, factor, out=share)
        np.add(share, constant, out=share)
        physics.bend(share, error)
        np.multiply(error, peak, out=error)
        np.add(sums, error, out=sums)

    return run


def _sums(d: Descriptor, part: Part, acc: Floats, alone: bool, work: list[Thunk]) -> Sums:
    """What the digital stage starts from: whole codes, so that it is exact again."""
    lo, hi = code_bounds(d)
    n_cols = acc.shape[-1]
    unit = 1 << part.align
    bound = np.full(n_cols, max(-lo, hi) * unit, np.int64)
    if not alone and unit > 1:
        work.append(lambda: np.multiply(acc, np.float32(unit), out=acc))
    return Sums(acc, bound, np.zeros(n_cols, np.int64), unit, unit if alone else 1)
