"""A chip file with one non-ideality at a time."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from norcim.chips import Cells, Chip, load_chip
from norcim.chips.schema import SCHEMA
from norcim.emulator.cells import CellModel, Compensation

IDEAL = Cells(**{f.name: SCHEMA[f"cells.{f.name}"].default for f in fields(Cells)})


def chip_with(**values: Any) -> Chip:
    """wtm2101 with ideal cells but for `values`."""
    return replace(load_chip("wtm2101"), cells=replace(IDEAL, kind="nor", **values))


PLAIN = Compensation(calibrate=False)


def model_with(compensation: Compensation = PLAIN, **values: Any) -> CellModel:
    return CellModel.of(chip_with(**values), compensation=compensation)
