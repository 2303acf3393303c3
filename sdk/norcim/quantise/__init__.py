"""Turns real graphs into integers for a chip: scales, codes, gains, biases."""

from __future__ import annotations

from norcim.quantise.engine import (
    Prepared,
    needs_calibration,
    prepare,
    quantise_graph,
    require_calibration,
    wanted_copies,
)
from norcim.quantise.state import Layout

__all__ = [
    "Layout",
    "Prepared",
    "needs_calibration",
    "prepare",
    "quantise_graph",
    "require_calibration",
    "wanted_copies",
]
