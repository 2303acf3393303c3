"""The effects of a cell model, composed: cells as they are read, converters of columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from norcim.emulator.cells import physics
from norcim.emulator.cells.model import CellModel
from norcim.emulator.cells.physics import Reals

MEAN_DRIVE = 0.25
"""Mean of a wordline's code over its largest: for the mean IR drop only. ASSUMED."""


class Draw(IntEnum):
    """Streams of a chip: a switched-off effect changes nothing in the draws of the others."""

    COLUMNS = 0
    PROGRAM = 1
    TRAPS = 2
    RETENTION = 3
    STUCK = 4
    NOISE = 5


Streams = Callable[[Draw], np.random.Generator]


@dataclass(frozen=True)
class Columns:
    """An array's columns, the spare ones last: gain, offset and INL in LSB, and which are dead."""

    gain: Reals
    offset: Reals
    bend: Reals
    dead: physics.Mask


def sample_columns(model: CellModel, rng: np.random.Generator) -> Columns:
    """The columns of one array."""
    cells = model.cells
    n = model.arrays.n_columns + cells.spare_columns
    left = cells.refine_gain if model.compensation.refine else 1.0
    gain, offset, bend = rng.standard_normal((3, n))
    return Columns(
        gain=1 + left * (cells.converter_gain + cells.converter_gain_spread * gain),
        offset=cells.converter_offset * offset,
        bend=cells.converter_inl * bend,
        dead=rng.random(n) < cells.dead_columns,
    )


def program_cells(
    model: CellModel, target: Reals, worse: Reals, rng: Streams, first_row: int
) -> tuple[Reals, Reals]:
    """Cells after programming, age, temperature and IR drop.

    target     weights to program (wordlines, n_cols), codes
    worse      factor of the errors of every column, (n_cols,)
    first_row  array row of the first wordline
    Returns their mean weights (codes) and the variance of a conversion's weights (codes^2).
    """
    cells = model.cells
    weights = _program(model, target, worse, rng)
    weights, variance = physics.telegraph(
        weights, rng(Draw.TRAPS), cells.rtn_probability, cells.rtn_amplitude
    )
    weights = _age(model, weights, rng, first_row)
    read = physics.state_sigma(target, cells.read_slope, cells.read_floor, cells.zero_is_off)
    return weights, variance + np.square(read * worse)


def _program(model: CellModel, target: Reals, worse: Reals, rng: Streams) -> Reals:
    cells = model.cells
    sigma = physics.state_sigma(target, cells.program_slope, cells.program_floor, cells.zero_is_off)
    left = cells.refine_sigma if model.compensation.refine else 1.0
    sigma *= left * physics.wear(model.n_cycles, cells.endurance_cycles) * worse
    if cells.verify_tolerance > 0:
        weights, _ = physics.write_verify(
            target, sigma, rng(Draw.PROGRAM), cells.verify_tolerance, cells.verify_pulses,
            cells.pulse_sigma,
        )  # fmt: skip
    else:
        weights = physics.program(target, sigma, rng(Draw.PROGRAM))
    return physics.stick(
        weights, rng(Draw.STUCK), cells.stuck_off, cells.stuck_on, model.full_scale
    )


def _age(model: CellModel, weights: Reals, rng: Streams, first_row: int) -> Reals:
    cells, retention = model.cells, rng(Draw.RETENTION)
    if cells.drift_v_per_decade and model.age_s:
        n = physics.decades(
            model.age_s, model.temperature_c, cells.drift_tau_s, cells.activation_ev
        )
        weights = physics.retain(
            weights, retention, n, cells.drift_v_per_decade, cells.drift_spread, cells.swing,
            model.temperature_c,
        )  # fmt: skip
    if cells.drift_nu:
        weights = physics.power_law_drift(
            weights, retention, model.age_s, cells.drift_nu, cells.drift_nu_spread
        )
    weights = physics.heat(
        weights, model.full_scale, model.temperature_c, cells.temperature_slope,
        cells.temperature_gain,
    )  # fmt: skip
    if cells.wire_ohm:
        per_code = 2 * MEAN_DRIVE * model.energy.cell_current_a / model.full_scale
        loss = physics.ir_loss(
            weights, first_row, cells.wire_ohm, per_code, model.energy.bitline_v, cells.ir_limit
        )
        weights = weights * (1 - loss)
    return weights
