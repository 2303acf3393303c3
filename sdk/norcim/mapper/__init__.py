"""Puts quantised graphs onto a chip: tiles, placement, memory, program."""

from __future__ import annotations

from norcim.mapper.arrange import arrange
from norcim.mapper.emit import emit, tile_blocks
from norcim.mapper.fit import check_support, choose_group_limit, graph_blocks, vector_weight_bytes
from norcim.mapper.keep import keep_placement
from norcim.mapper.memory import plan_memory
from norcim.mapper.placement import (
    Block,
    Position,
    can_place,
    free_bias_rows,
    most_bias_rows,
    place_blocks,
)
from norcim.mapper.tiling import most_copies, on_vector_path, tile_conv

__all__ = [
    "Block",
    "Position",
    "arrange",
    "can_place",
    "check_support",
    "choose_group_limit",
    "emit",
    "free_bias_rows",
    "graph_blocks",
    "keep_placement",
    "most_bias_rows",
    "most_copies",
    "on_vector_path",
    "place_blocks",
    "plan_memory",
    "tile_blocks",
    "tile_conv",
    "vector_weight_bytes",
]
