"""The fast matrix-vector multiply: tiles are fused where their results are the same.

Values are float32 codes; every product and sum is exact because its bound is checked here, else
float64 is used. Results equal `norcim.emulator.reference` bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.arith.float32 import EXACT_LIMIT
from norcim.emulator.arrays import Activation, Floats, Scratch, Thunk, run_all, with_border
from norcim.emulator.reference import TileCells, tile_cells
from norcim.emulator.stages import (
    Ints,
    Real,
    Saturation,
    Sums,
    code_bounds,
    column_records,
    make_convert,
    make_digital,
)
from norcim.emulator.steps import needs_border
from norcim.emulator.taps import CODE_LIMIT, make_taps, tap_view
from norcim.image.model import ImageContent
from norcim.spec.program import BIAS_DRIVE, Descriptor, Encoding, Rule, Tile

Weights = npt.NDArray[Any]
"""int64 cells, or float64 ones of a sampled chip."""

PROGRAM_ORDER, SWAPPED = (0, 1), (1, 0)
"""Axes of (kernel_h, kernel_w) in the order of the program's im2col vector."""


def effective_weights(d: Descriptor, tile: Tile, cells: TileCells) -> tuple[Ints, Ints] | None:
    """Weights on the raw codes (n_rows, n_cols) and a constant (n_cols,) that give the same sums.

    Copies of a wordline add up. OFFSET adds 128 to every input, PN drives w on positive and -w on
    negative inputs: both are a product with the raw code plus a constant. None if a PN tile's
    halves are not mirrored.
    """
    copies = cells.weights.astype(np.int64).reshape(1 + tile.repeats, -1, tile.n_cols)
    weights = copies.sum(axis=0)
    constant = BIAS_DRIVE * cells.bias.astype(np.int64).sum(axis=0)
    if d.encoding == Encoding.OFFSET:
        return weights, constant + 128 * weights.sum(axis=0)
    if d.encoding == Encoding.PN:
        positive, negative = np.split(weights, 2)
        if not np.array_equal(positive, -negative):
            return None
        return positive, constant - d.in_zp * positive.sum(axis=0)
    return weights, constant


def supports_mvm(d: Descriptor, content: ImageContent) -> bool:
    """Whether the fast path can run an MVM (all but PN tiles with unmirrored cells)."""
    tiles = content.tiles[d.tile_base : d.tile_base + d.n_tiles]
    return all(
        effective_weights(d, tile, tile_cells(content, tile, d.encoding)) is not None
        for tile in tiles
    )


@dataclass(frozen=True)
class Part:
    """One row tile, or several tiles that were fused.

    weights   (n_rows, n_cols), or (taps, n_cols) if it is depthwise
    constant  (n_cols,), what bias rows and encoding add to the sums
    whole     it takes whole im2col vectors, in the arrays' own order of taps
    """

    in_c_first: int
    in_c_count: int
    k_first: int
    weights: Weights
    constant: Weights
    gain: int
    align: int
    whole: bool
    depthwise: bool

    @property
    def bound(self) -> Ints:
        """Largest magnitude of every column's sum, the constant not included."""
        return np.asarray(CODE_LIMIT * np.abs(self.weights).sum(axis=0))


@dataclass(frozen=True)
class Group:
    """A column group: the parts whose codes are summed, and where the result goes."""

    out_c_first: int
    n_cols: int
    parts: tuple[Part, ...]


def make_mvm(
    d: Descriptor, content: ImageContent, x: Activation, out: Floats, saturation: Saturation,
    kernel_order: tuple[int, int], scratch: Scratch,
) -> Thunk:  # fmt: skip
    """Matrix-vector multiply: im2col, products, converter, sum, digital stage.

    kernel_order  PROGRAM_ORDER or SWAPPED
    """
    x, work = with_border(x, needs_border(d))
    columns: dict[tuple[int, int, bool], Floats] = {}
    for group in fuse(groups_of(d, content, kernel_order), d):
        sums = []
        for part in group.parts:
            wide = int((part.bound + np.abs(part.constant)).max()) + (1 << part.gain) >= EXACT_LIMIT
            dtype = np.float64 if wide else np.float32
            acc = scratch.take((len(out), d.out_h, d.out_w, group.n_cols), dtype)
            if part.depthwise:
                taps = part.weights.reshape(d.kernel_h, d.kernel_w, -1)
                work.append(make_taps(d, x, taps, part.in_c_first, acc))
            else:
                natural = part.whole or kernel_order == PROGRAM_ORDER
                key = (part.in_c_first, part.in_c_count, natural)
                if key not in columns:
                    columns[key], gather = im2col(d, x, key, scratch)
                    work += gather
                rows = columns[key][:, part.k_first : part.k_first + len(part.weights)]
                work.append(make_product(rows, part.weights, acc))
            sums.append(_convert(d, part, acc, len(group.parts) == 1, saturation, work))
        work.append(finish(d, content, group, sums, out))
    return run_all(work)


def groups_of(d: Descriptor, content: ImageContent, kernel_order: tuple[int, int]) -> list[Group]:
    """The column groups of an MVM, each with its row tiles."""
    groups, parts = [], []
    for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
        parts.append(_part(d, content, tile, kernel_order))
        if tile.last:
            groups.append(Group(tile.out_c_first, tile.n_cols, tuple(parts)))
            parts = []
    return groups


def _part(d: Descriptor, content: ImageContent, tile: Tile, kernel_order: tuple[int, int]) -> Part:
    found = effective_weights(d, tile, tile_cells(content, tile, d.encoding))
    assert found is not None, "supports_mvm was not asked"
    weights, constant = found
    taps, c = d.kernel_h * d.kernel_w, tile.in_c_count
    # A tile of whole vectors may take its inputs in any order: the arrays' own is fastest.
    whole = tile.n_rows == taps * c
    if whole and kernel_order == SWAPPED:
        swapped = weights.reshape(d.kernel_w, d.kernel_h, c, tile.n_cols).swapaxes(0, 1)
        weights = swapped.reshape(weights.shape)
    blocks = diagonal(weights.reshape(taps, c, c)) if whole and c == tile.n_cols > 1 else None
    return Part(
        tile.in_c_first, c, tile.k_first, weights if blocks is None else blocks, constant,
        tile.gain, tile.align, whole, blocks is not None,
    )  # fmt: skip


def diagonal(blocks: Weights) -> Weights | None:
    """(taps, c) of block-diagonal weights (taps, c, c), None if they are not."""
    found = np.diagonal(blocks, axis1=1, axis2=2)
    return found if np.count_nonzero(blocks) == np.count_nonzero(found) else None


def fuse(groups: list[Group], d: Descriptor) -> list[Group]:
    """Column groups of one whole part each become one, where a single product can do them."""
    parts = [group.parts[0] for group in groups]
    first = parts[0]
    alike = all(
        len(group.parts) == 1
        and part.whole
        and (part.gain, part.align, part.depthwise) == (first.gain, first.align, first.depthwise)
        for group, part in zip(groups, parts, strict=True)
    )
    edges = [group.out_c_first + group.n_cols for group in groups[:-1]]
    alike &= edges == [group.out_c_first for group in groups[1:]]
    if first.depthwise:
        ends = [part.in_c_first + part.in_c_count for part in parts[:-1]]
        alike &= ends == [part.in_c_first for part in parts[1:]]
    else:
        windows = {(part.in_c_first, part.in_c_count) for part in parts}
        alike &= len(windows) == 1
    if not alike or len(groups) == 1:
        return groups
    joined = replace(
        first,
        in_c_count=sum(p.in_c_count for p in parts) if first.depthwise else first.in_c_count,
        weights=np.concatenate([part.weights for part in parts], axis=1),
        constant=np.concatenate([part.constant for part in parts]),
    )
    return [Group(groups[0].out_c_first, sum(g.n_cols for g in groups), (joined,))]


def im2col(
    d: Descriptor, x: Activation, key: tuple[int, int, bool], scratch: Scratch
) -> tuple[Floats, list[Thunk]]:
    """The im2col matrix (n * out_h * out_w, taps * channels) of a channel window.

    key  first channel, channels, and whether taps run in the arrays' order (else in the program's)
    """
    first, count, natural = key
    n, _, _, c = x.full.shape
    pointwise = d.kernel_h == d.kernel_w == d.stride_h == d.stride_w == 1
    if pointwise and count == c and x.interior.shape == x.full.shape:
        return x.full.reshape(-1, c), []
    view = tap_view(x, d)[..., first : first + count]
    if not natural:
        view = view.swapaxes(3, 4)
    shape = (n * d.out_h * d.out_w, d.kernel_h * d.kernel_w * count)
    matrix: Floats = scratch.take(shape, np.float32)
    target = matrix.reshape(view.shape)
    return matrix, [lambda: np.copyto(target, view)]


def make_product(rows: Floats, weights: Weights, acc: Real) -> Thunk:
    """The product of im2col rows and weights, into the sums."""
    flat = acc.reshape(-1, acc.shape[-1])
    operand = weights.astype(acc.dtype)
    if acc.dtype == np.float32:
        return lambda: np.matmul(rows, operand, out=flat)
    return lambda: np.matmul(rows.astype(np.float64), operand, out=flat)


def _convert(
    d: Descriptor, part: Part, acc: Real, alone: bool, saturation: Saturation,
    work: list[Thunk],
) -> Sums:  # fmt: skip
    """Append the converter's work; what can wait for the digital stage is handed on."""
    if d.rule == Rule.LOSSLESS:
        bound, constant = part.bound, part.constant
    else:
        work.append(make_convert(d, part.gain, part.constant, acc, saturation))
        lo, hi = code_bounds(d)
        bound = np.minimum(part.bound + np.abs(part.constant), max(-lo, hi))
        constant = np.zeros_like(part.constant)
    unit = 1 << part.align
    if not alone and unit > 1:
        work.append(lambda: np.multiply(acc, acc.dtype.type(unit), out=acc))
    return Sums(acc, bound * unit, constant * unit, unit, unit if alone else 1)


def finish(
    d: Descriptor, content: ImageContent, group: Group, sums: Sequence[Sums], out: Floats
) -> Thunk:
    """Sum the parts of a column group and run the digital stage."""
    work: list[Thunk] = []
    total = sums[0]
    if len(sums) > 1:
        bound = np.asarray(sum(s.bound for s in sums))
        constant = np.asarray(sum(s.constant for s in sums))
        reach = int((bound + np.abs(constant)).max()) + (1 << d.shift)
        wide = reach >= EXACT_LIMIT or any(s.values.dtype == np.float64 for s in sums)
        values, first = total.values, total.values
        if wide and first.dtype == np.float32:
            values = np.empty(first.shape, np.float64)
            work.append(lambda: np.copyto(values, first))
        work += [_make_sum(values, s.values) for s in sums[1:]]
        total = Sums(values, bound, constant, min(s.step for s in sums), 1)
    span = slice(group.out_c_first, group.out_c_first + group.n_cols)
    records = column_records(content, d.column_base + group.out_c_first, group.n_cols)
    work.append(make_digital(d, records, total, out[..., span]))
    return run_all(work)


def _make_sum(total: Real, values: Real) -> Thunk:
    return lambda: np.add(total, values, out=total)
