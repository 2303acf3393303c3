"""Turns real graphs into integers for a chip: scales, codes, gains, biases."""

from __future__ import annotations

from norcim.quantise.choices import Choices, LayerChoice, check_choices, read_choices
from norcim.quantise.engine import (
    Prepared,
    needs_calibration,
    prepare,
    quantise_graph,
    require_calibration,
    wanted_copies,
    with_fine_inputs,
)
from norcim.quantise.levelled_inputs import level_inputs
from norcim.quantise.state import LAYER_DB, MOST_ROW_TILES, Layout

__all__ = [
    "LAYER_DB",
    "MOST_ROW_TILES",
    "Choices",
    "LayerChoice",
    "Layout",
    "Prepared",
    "check_choices",
    "level_inputs",
    "needs_calibration",
    "prepare",
    "quantise_graph",
    "read_choices",
    "require_calibration",
    "wanted_copies",
    "with_fine_inputs",
]
