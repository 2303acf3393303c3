"""What a sampled chip depends on: the chip file's cells, age, temperature and compensation."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from norcim.chips.model import Arrays, Cells, Chip, Energy
from norcim.errors import EXIT_UNSUPPORTED, EXIT_USAGE, NorcimError

CORNERS = {"best": 0.5, "typical": 1.0, "worst": 2.0}
"""By how much the spreads and noises of the chip file are scaled. best and worst are ASSUMED."""

_SCALED = (
    "program_slope", "program_floor", "read_slope", "read_floor", "rtn_probability",
    "drift_v_per_decade", "temperature_slope", "temperature_gain", "converter_offset",
    "converter_gain", "converter_gain_spread", "converter_inl", "converter_noise", "stuck_off",
    "stuck_on", "dead_columns",
)  # fmt: skip
_PROBABILITIES = ("rtn_probability", "stuck_off", "stuck_on", "dead_columns", "temperature_slope")


@dataclass(frozen=True)
class Compensation:
    """What is done about errors once a chip is programmed; each can be switched.

    reserve    tiles keep clear of the reserved leading columns (else the array's blocks are
               shifted onto them)
    remap      dead columns are replaced by spare ones while there are any
    refine     a second programming pass
    calibrate  offset and slope of every column are measured and trimmed
    recentre   digital biases are moved so that mean activations are those of an exact chip
    """

    reserve: bool = True
    remap: bool = True
    refine: bool = True
    calibrate: bool = True
    recentre: bool = False

    @staticmethod
    def names() -> tuple[str, ...]:
        """The switches."""
        return tuple(f.name for f in fields(Compensation))


ALL = Compensation(recentre=True)
NOTHING = Compensation(False, False, False, False, False)


@dataclass(frozen=True)
class CellModel:
    """One population of chips under one condition.

    cells          the chip file's, scaled by a corner
    arrays         geometry, for the reserved columns and the range of a cell
    energy         bitline voltage and cell current, for the IR drop
    age_s          since programming, seconds at `temperature_c`
    temperature_c  in use, -40..150
    n_cycles       program cycles that the cells have seen
    compensation   what is done about it
    """

    cells: Cells
    arrays: Arrays
    energy: Energy
    age_s: float = 0.0
    temperature_c: float = 25.0
    n_cycles: float = 0.0
    compensation: Compensation = Compensation()

    @staticmethod
    def of(
        chip: Chip,
        corner: str = "typical",
        *,
        age_s: float = 0.0,
        temperature_c: float = 25.0,
        n_cycles: float = 0.0,
        compensation: Compensation = Compensation(),
    ) -> CellModel:
        """The model of a chip file at a corner.

        Raises NC-E0708 if the chip has no analog cells, NC-E0709 for a corner, an age, a
        temperature or a number of cycles that cannot be.
        """
        if chip.cells.kind == "none":
            raise NorcimError(
                "NC-E0708", f"chip {chip.name!r} has no analog cells", where=chip.name,
                expected="a chip file with cells.kind other than none",
                got="none", why="a digital chip computes exact sums",
                fix="take an analog chip (`norcim chips`), or give a section [cells]",
                exit_code=EXIT_UNSUPPORTED,
            )  # fmt: skip
        _require("corner", corner in CORNERS, ", ".join(CORNERS), corner)
        _require("age", 0 <= age_s <= 1e10, "0 to 1e10 s", f"{age_s:g} s")
        good = -40 <= temperature_c <= 150
        _require("temperature", good, "-40 to 150 C", f"{temperature_c:g} C")
        _require("cycles", 0 <= n_cycles <= 1e16, "0 to 1e16", f"{n_cycles:g}")
        cells = scale_cells(chip.cells, CORNERS[corner])
        return CellModel(
            cells, chip.arrays, chip.energy, age_s, temperature_c, n_cycles, compensation
        )

    @property
    def full_scale(self) -> float:
        """Largest weight code of a cell pair."""
        return float(max(-self.arrays.cell_lo, self.arrays.cell_hi))


def scale_cells(cells: Cells, factor: float) -> Cells:
    """Cells whose errors are `factor` times as large; probabilities stay at most 1."""
    scaled = {name: factor * getattr(cells, name) for name in _SCALED}
    scaled.update({name: min(scaled[name], 1.0) for name in _PROBABILITIES})
    return replace(cells, **scaled)


def _require(name: str, good: bool, expected: str, got: str) -> None:
    if not good:
        raise NorcimError(
            "NC-E0709", f"the {name} is out of range", expected=expected, got=got,
            fix="correct the option", exit_code=EXIT_USAGE,
        )  # fmt: skip
