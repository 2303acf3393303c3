"""Chip files: geometry, converters, memories, timing and energy, each value with its source."""

from norcim.chips.load import list_chips, load_chip, parse_chip, read_chip_file
from norcim.chips.model import (
    About,
    Arrays,
    Cells,
    Chip,
    Converter,
    Energy,
    Memories,
    Published,
    Region,
    Timing,
)

__all__ = [
    "About",
    "Arrays",
    "Cells",
    "Chip",
    "Converter",
    "Energy",
    "Memories",
    "Published",
    "Region",
    "Timing",
    "list_chips",
    "load_chip",
    "parse_chip",
    "read_chip_file",
]
