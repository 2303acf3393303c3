"""What a weight image holds, decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from norcim.spec.program import Column, Descriptor, Port, Tile


@dataclass(frozen=True)
class ImageContent:
    """The decoded sections of an image; `norcim.image.build_image` turns it into bytes.

    chip            name of the chip file it was compiled for
    chip_hash       `Chip.fingerprint`
    activation_bytes  activation memory that the program needs
    program         of one network after the other, each with its END
    ports           of one network after the other: inputs, then outputs, in the model's order
    weights         cells of all tiles, int8, in tile order (see Tile.cells)
    vector_weights  int8, depthwise weights of the vector path
    tables          bytes, 256 each
    kat_input       input bytes of the known-answer test, vector by vector (may be empty); each
                    vector holds all networks' inputs
    kat_output      expected output bytes
    meta            JSON object: name, layers, labels, front end, accuracy, compiler; of several
                    networks (`norcim.image.networks`): name, networks
    """

    chip: str
    chip_hash: str
    activation_bytes: int
    program: tuple[Descriptor, ...]
    tiles: tuple[Tile, ...]
    columns: tuple[Column, ...]
    ports: tuple[Port, ...]
    weights: bytes
    vector_weights: bytes
    tables: bytes
    kat_input: bytes
    kat_output: bytes
    meta: dict[str, Any]
