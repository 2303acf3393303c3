"""What analog cells and converters do to an image: physics, sampled chips, noise."""

from __future__ import annotations

from norcim.emulator.cells.model import ALL, CORNERS, NOTHING, CellModel, Compensation
from norcim.emulator.cells.sample import SampledChip, sample_chip

__all__ = [
    "ALL",
    "CORNERS",
    "NOTHING",
    "CellModel",
    "Compensation",
    "SampledChip",
    "sample_chip",
]
