"""Chip files: geometry, converters, memories, timing and energy, each value with its source."""

from norcim.chips.load import list_chips, load_chip, parse_chip
from norcim.chips.model import Arrays, Chip, Converter, Energy, Memories, Region, Timing

__all__ = [
    "Arrays",
    "Chip",
    "Converter",
    "Energy",
    "Memories",
    "Region",
    "Timing",
    "list_chips",
    "load_chip",
    "parse_chip",
]
