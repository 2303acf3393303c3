"""How much of a device an image needs."""

from __future__ import annotations

from norcim.image.model import ImageContent
from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TABLE_BYTES,
    TILE_WORDS,
    Port,
)
from norcim.spec.protocol import SECTOR_BYTES


def port_bytes(port: Port) -> int:
    """Bytes of one input or output of the network."""
    return port.h * port.w * port.c


def memory_needs(content: ImageContent) -> dict[str, int]:
    """What an image needs of each memory, by its name in `norcim.chips.Memories`."""
    n_record_words = (
        DESCRIPTOR_WORDS * len(content.program)
        + TILE_WORDS * len(content.tiles)
        + COLUMN_WORDS * len(content.columns)
    )
    return {
        "activation_bytes": content.activation_bytes,
        "weight_bytes": len(content.weights) + len(content.vector_weights),
        "vector_weight_bytes": len(content.vector_weights),
        "n_descriptors": len(content.program),
        "n_tiles": len(content.tiles),
        "n_columns": len(content.columns),
        "n_tables": len(content.tables) // TABLE_BYTES,
        "record_bytes": 4 * n_record_words + len(content.tables),
    }


def count_sectors(image: bytes, older: bytes) -> tuple[int, int]:
    """Flash sectors of an image that an older one does not hold in the same place, and all."""
    starts = range(0, len(image), SECTOR_BYTES)
    parts = [(image[at : at + SECTOR_BYTES], older[at : at + SECTOR_BYTES]) for at in starts]
    return sum(new != old[: len(new)] for new, old in parts), len(parts)
