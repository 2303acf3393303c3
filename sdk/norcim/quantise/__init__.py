"""Turns real graphs into integers for a chip: scales, codes, gains, biases."""

from __future__ import annotations

from norcim.quantise.engine import (
    needs_calibration,
    quantise_graph,
    require_calibration,
)
from norcim.quantise.state import Layout

__all__ = ["Layout", "needs_calibration", "quantise_graph", "require_calibration"]
