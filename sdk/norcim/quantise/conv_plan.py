"""What the searches over a convolution share: its integers so far, and the forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim import arith
from norcim.chips.model import Chip
from norcim.ir.graph import Op, QParams
from norcim.ir.lowered import QuantConv, QuantTile, TileShape
from norcim.quantise.rows import Codes, Sampled, Taps, batches, tile_inputs, tile_weights
from norcim.spec.program import BIAS_DRIVE, Encoding, Stage

Ints = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int16]


@dataclass(frozen=True)
class ConvTask:
    """One convolution to quantise.

    q_in, q_out  parameters of input and output; q_out None if the search is to choose it
    codes        what the calibration set drives onto the wordlines, (n, h, w, c_in)
    copies       wordlines that carry the same input; their cells add up to one weight
    bias_rows    most bias rows that a tile may use
    zero         the wordline value that stands for real 0
    bias         real (c_out,)
    clamp        real bounds of the activation
    n_inputs     of the calibration set
    correct_bias whether the mean error on the calibration set is taken out of the bias
    stack        tiles that convert the same sums, each a stretch of their range
    gain         fixed exponent of the divisor; None: to be searched
    """

    op: Op
    chip: Chip
    q_in: QParams
    q_out: QParams | None
    codes: Codes
    sampled: Sampled
    encoding: Encoding
    copies: int
    tiles: tuple[TileShape, ...]
    bias_rows: int
    zero: int
    bias: Real
    clamp: tuple[float, float]
    n_inputs: int
    correct_bias: bool
    stack: int = 1
    gain: int | None = None

    @property
    def centre(self) -> int:
        """The code that PN splits around; 0 with other encodings."""
        return self.q_in.zero_point - self.zero if self.encoding == Encoding.PN else 0

    @property
    def lines(self) -> int:
        """Wordlines that one input drives."""
        return self.copies * (2 if self.encoding == Encoding.PN else 1)

    @property
    def gains(self) -> range:
        """Exponents of the divisor to choose from."""
        if self.gain is not None:
            return range(self.gain, self.gain + 1)
        return range(self.chip.converter.gain_lo, self.chip.converter.gain_hi + 1)

    @property
    def groups(self) -> int:
        """Groups of the convolution."""
        return int(self.op.attrs["groups"])


def line_offset(encoding: Encoding) -> int:
    """What the encoding adds to a code before it drives a wordline."""
    return 128 if encoding == Encoding.OFFSET else 0


def wordline_codes(codes: npt.ArrayLike, encoding: Encoding, centre: int) -> Codes:
    """Codes as they drive wordlines; for PN the signed difference that the split halves carry.

    centre  the code that PN splits around
    """
    offset = -centre if encoding == Encoding.PN else line_offset(encoding)
    return np.asarray(codes, np.float32) + np.float32(offset)


def tile_sums(taps: Taps, weight: Weights, groups: int, shape: TileShape) -> Ints:
    """Column sums of a tile without bias rows, (..., n_cols).

    Exact: float32 products while the sums stay under 2^24, float64 beyond.
    """
    dense = tile_weights(weight, groups, shape)
    bound = 255 * int(np.abs(dense.astype(np.int64)).sum(axis=0).max(initial=0))
    dtype = np.float32 if bound < 1 << 24 else np.float64
    if groups > 1 and shape.n_cols > 1 and _is_diagonal(weight, groups, shape):
        window = taps[..., shape.in_c_first : shape.in_c_first + shape.in_c_count]
        flat = weight.reshape(-1, weight.shape[-1])
        part = flat[:, shape.out_c_first : shape.out_c_first + shape.n_cols]
        return depthwise_sums(window, part)
    product = tile_inputs(taps, shape).astype(dtype) @ dense.astype(dtype)
    return np.asarray(product, np.int64)


def depthwise_sums(taps: Taps, weight: Weights) -> Ints:
    """Sums of taps (..., taps, c) with weights (taps, c): (..., c), exact as in `tile_sums`."""
    bound = 255 * int(np.abs(weight.astype(np.int64)).sum(axis=0).max(initial=0))
    if bound < 1 << 24:
        sums = np.einsum("...tc,tc->...c", taps, weight.astype(np.float32))
        return np.asarray(sums, np.int64)
    wide = np.einsum("...tc,tc->...c", taps.astype(np.float64), weight.astype(np.float64))
    return np.asarray(wide, np.int64)


def _is_diagonal(weight: Weights, groups: int, shape: TileShape) -> bool:
    return weight.shape[2] == 1 and weight.shape[3] == groups and shape.in_c_count == shape.n_cols


def spread_bias(total: Ints, n_rows: int, lo: int, hi: int) -> npt.NDArray[np.int8]:
    """Distribute bias sums (n_cols,) over as few bias rows as hold them: int8 (rows, n_cols)."""
    need = np.maximum(np.ceil(total / hi), np.ceil(total / lo)).max(initial=0)
    rows = min(int(need), n_rows)
    if rows == 0:
        return np.zeros((0, len(total)), np.int8)
    cells = np.zeros((rows, len(total)), np.int64)
    rest = total.copy()
    for row in range(rows):
        share = np.rint(rest / (rows - row)).astype(np.int64)
        cells[row] = np.clip(share, lo, hi)
        rest -= cells[row]
    return cells.astype(np.int8)


def spread_copies(weights: Weights, copies: int, lo: int, hi: int) -> npt.NDArray[np.int8]:
    """Distribute weights (n_rows, n_cols) over copies of their wordlines: int8 (copies, ...)."""
    cells = np.zeros((copies, *weights.shape), np.int64)
    rest = weights.astype(np.int64)
    for copy in range(copies):
        share = np.rint(rest / (copies - copy)).astype(np.int64)
        cells[copy] = np.clip(share, lo, hi)
        rest = rest - cells[copy]
    return cells.astype(np.int8)


def column_total(taps: Taps, weight: Weights, conv: QuantConv, task: ConvTask) -> Ints:
    """Sums of aligned codes, without digital bias: (..., c_out)."""
    chip = task.chip.converter
    out = np.zeros((*taps.shape[:-2], weight.shape[-1]), np.int64)
    for tile in conv.tiles:
        shape = tile.shape
        acc = tile_sums(taps, weight, task.groups, shape)
        acc += BIAS_DRIVE * tile.bias.astype(np.int64).sum(axis=0)
        code = arith.convert(acc, chip.rule, tile.gain, chip.bits)
        span = slice(shape.out_c_first, shape.out_c_first + shape.n_cols)
        out[..., span] += arith.align_codes(code, tile.align)
    return out


def vector_total(taps: Taps, weight: Weights) -> Ints:
    """Depthwise sums on the vector path: (..., c)."""
    return depthwise_sums(taps, weight.reshape(-1, weight.shape[-1]))


def finish(total: Ints, conv: QuantConv, q_out: QParams, clamp: tuple[int, int]) -> Ints:
    """Output codes from sums."""
    if conv.stage == Stage.SHIFT:
        return arith.shift_codes(total, 0, 0, *clamp)
    total = total + conv.bias
    return arith.requantise(total, conv.multiplier, conv.shift, q_out.zero_point, *clamp)


def forward(
    task: ConvTask, weight: Weights, conv: QuantConv, q_out: QParams,
    clamp: tuple[int, int],
) -> Ints:  # fmt: skip
    """Output codes of the whole calibration set, (n, out_h, out_w, c_out)."""
    parts: Sequence[Ints] = [
        finish(
            vector_total(taps, weight)
            if conv.vector_weights is not None
            else column_total(taps, weight, conv, task),
            conv, q_out, clamp,
        )
        for taps in batches(task.codes, task.op, task.zero)
    ]  # fmt: skip
    return np.concatenate(parts)


def make_tile(
    shape: TileShape, weight: Weights, task: ConvTask, gain: int, align: int,
    bias: npt.NDArray[np.int8],
) -> QuantTile:  # fmt: skip
    """A tile with its cells."""
    arrays = task.chip.arrays
    dense = tile_weights(weight, task.groups, shape)
    cells = spread_copies(dense, task.copies, arrays.cell_lo, arrays.cell_hi)
    if task.encoding == Encoding.PN:
        cells = np.concatenate([cells, -cells], axis=1)
    return QuantTile(shape, task.copies - 1, gain, align, cells.reshape(-1, shape.n_cols), bias)
