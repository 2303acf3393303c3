"""The cells and columns of one layer that is not compiled: what training needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from norcim.emulator.cells.compose import program_cells, sample_columns
from norcim.emulator.cells.model import CellModel
from norcim.emulator.cells.physics import Reals
from norcim.spec.program import BIAS_DRIVE


@dataclass(frozen=True)
class LayerErrors:
    """What a chip makes of a layer: means over the copies of its wordlines.

    error      (n_rows, n_cols) programmed minus wanted weights, codes
    variance   (n_rows, n_cols) of a conversion's weights, codes^2
    constant   (n_cols,) what the bias rows add too much, codes of the sum
    fixed      (n_cols,) variance of what the bias rows add, codes^2 of the sum
    gain       (n_cols,) of the converter; offset and bend (n_cols,) in LSB
    """

    error: Reals
    variance: Reals
    constant: Reals
    fixed: Reals
    gain: Reals
    offset: Reals
    bend: Reals


def sample_layer(
    model: CellModel, weights: Reals, bias: Reals, copies: int, rng: np.random.Generator
) -> LayerErrors:
    """Program a layer once.

    weights  (n_rows, n_cols) whole codes; bias (n_cols,) codes of the sum
    copies   wordlines that drive the same input; the sums are means over them
    Columns are drawn from those that tiles may use, with replacement where a layer has more.
    """
    n_rows, n_cols = weights.shape
    arrays, cells, treated = model.arrays, model.cells, model.compensation
    columns = sample_columns(model, rng)
    first = arrays.reserved_columns if treated.reserve else 0
    n_usable = arrays.n_columns - first
    place = first + rng.choice(n_usable, n_cols, replace=n_cols > n_usable)
    worse = np.where(place < cells.leading_columns, cells.leading_factor, 1.0)
    rows = _bias_rows(model, bias * copies)
    target = np.concatenate([np.tile(weights, (copies, 1)), rows])
    found, variance = program_cells(model, target, worse, lambda _draw: rng, 0)
    n_lines = copies * n_rows
    error = (found - target)[:n_lines].reshape(copies, n_rows, n_cols).mean(axis=0)
    spread = variance[:n_lines].reshape(copies, n_rows, n_cols).sum(axis=0) / copies**2
    dead = columns.dead[place] & (not treated.remap)
    return LayerErrors(
        error, spread,
        BIAS_DRIVE * (found - target)[n_lines:].sum(axis=0) / copies,
        BIAS_DRIVE**2 * variance[n_lines:].sum(axis=0) / copies**2,
        np.where(dead, 0.0, columns.gain[place]),
        columns.offset[place] * worse, columns.bend[place],
    )  # fmt: skip


def _bias_rows(model: CellModel, bias: Reals) -> Reals:
    """Bias rows (n, n_cols) that are driven with BIAS_DRIVE: as few as hold the largest bias."""
    drive = bias / BIAS_DRIVE
    largest = float(np.abs(drive).max(initial=0.0))
    n = min(int(np.ceil(largest / model.full_scale)), model.arrays.n_bias_rows)
    share = np.rint(drive / max(n, 1))
    return np.tile(np.clip(share, model.arrays.cell_lo, model.arrays.cell_hi), (n, 1))
