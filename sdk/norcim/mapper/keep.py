"""Placement that keeps the tiles of an older image where they are, for small updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, EXIT_USAGE, NorcimError
from norcim.image.model import ImageContent
from norcim.image.networks import networks
from norcim.image.placement import check_placement
from norcim.mapper.placement import Block, Position
from norcim.spec.program import Descriptor, Opcode, Tile, wordlines_per_input

Shape = tuple[int, int, int]
"""Wordlines, bitlines and bias rows of a tile."""


@dataclass(frozen=True)
class Kept:
    """Where an older image has the tiles of its layers.

    layers  by number of the network and name of the layer (and which one of that name), shape and
            position of every tile
    """

    layers: dict[tuple[int, str, int], list[tuple[Shape, Position]]]

    def positions(self, contents: Sequence[ImageContent]) -> list[Position | None]:
        """The position of every tile of all contents that keeps it, None for the others.

        A layer keeps its tiles if it has the same ones, whatever their cells hold.
        """
        found: list[Position | None] = []
        for index, content in enumerate(contents):
            for name, tiles in _layers(content).items():
                old = self.layers.get((index, *name), [])
                same = [shape for shape, _ in old] == [shape for shape, _ in tiles]
                found += [position for _, position in old] if same else [None] * len(tiles)
        return found


def keep_placement(old: ImageContent, chip: Chip) -> Kept:
    """What has to stay where an older image has it.

    old  a checked image. Raises NC-E0307 if it is for another chip, NC-E0552 if its tiles lie
         wrong.
    """
    if (old.chip, old.chip_hash) != (chip.name, chip.fingerprint):
        raise NorcimError(
            "NC-E0307", "the image whose placement is to be kept is for another chip",
            expected=f"{chip.name} ({chip.fingerprint[:12]})",
            got=f"{old.chip} ({old.chip_hash[:12]})", exit_code=EXIT_USAGE,
            fix="give the image that the device holds, and its chip",
        )  # fmt: skip
    check_placement(old, chip)
    return Kept(
        {
            (index, *name): tiles
            for index, network in enumerate(networks(old))
            for name, tiles in _layers(network).items()
        }
    )


def layer_name(content: ImageContent, d: Descriptor) -> str:
    """What the metadata calls a descriptor's layer, else its number."""
    layers = content.meta.get("layers")
    if isinstance(layers, list) and d.layer < len(layers) and isinstance(layers[d.layer], dict):
        return str(layers[d.layer].get("name", d.layer))
    return str(d.layer)


def _layers(content: ImageContent) -> dict[tuple[str, int], list[tuple[Shape, Position]]]:
    """Shape and position of every tile of the layers on the arrays, in their order."""
    found: dict[tuple[str, int], list[tuple[Shape, Position]]] = {}
    for d in first_runs(content):
        name = layer_name(content, d)
        number = sum(name == other for other, _ in found)
        found[name, number] = [
            (_shape(d, tile), Position(tile.array, tile.row, tile.col, tile.bias_row))
            for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]
        ]
    return found


def first_runs(content: ImageContent) -> list[Descriptor]:
    """The MVMs of a program, of several that run the same tiles the first: in the tiles' order."""
    found: dict[int, Descriptor] = {}
    for d in content.program:
        if d.opcode == Opcode.MVM:
            found.setdefault(d.tile_base, d)
    return list(found.values())


def _shape(d: Descriptor, tile: Tile) -> Shape:
    n_lines = tile.n_rows * wordlines_per_input(d.encoding, tile)
    return n_lines, tile.n_cols, tile.n_bias_rows


def place_beside(
    blocks: Sequence[Block], kept: Sequence[Position | None], chip: Chip
) -> tuple[Position, ...]:
    """Positions of all blocks, those that are kept and the others in what is left, the largest
    first, each at the first place where it fits.

    Raises NC-E0308 if one finds no room.
    """
    arrays = chip.arrays
    cells = np.zeros((arrays.count, arrays.n_rows, arrays.n_columns), bool)
    strips = np.zeros((arrays.count, max(arrays.n_bias_rows, 1), arrays.n_columns), bool)
    cells[:, :, : arrays.reserved_columns] = True
    found: dict[int, Position] = {}
    for index, position in enumerate(kept):
        if position is not None:
            _take(cells, strips, blocks[index], position)
            found[index] = position
    rest = [index for index in range(len(blocks)) if index not in found]
    for index in sorted(rest, key=lambda i: (-blocks[i].n_lines * blocks[i].n_cols, i)):
        place = _find(cells, strips, blocks[index], chip)
        if place is None:
            raise _no_room(blocks[index], len(found), chip)
        _take(cells, strips, blocks[index], place)
        found[index] = place
    return tuple(found[index] for index in range(len(blocks)))


def _take(
    cells: npt.NDArray[np.bool_], strips: npt.NDArray[np.bool_], block: Block, p: Position
) -> None:
    columns = slice(p.col, p.col + block.n_cols)
    cells[p.array, p.row : p.row + block.n_lines, columns] = True
    strips[p.array, p.bias_row : p.bias_row + block.n_bias_rows, columns] = True


def _find(
    cells: npt.NDArray[np.bool_], strips: npt.NDArray[np.bool_], block: Block, chip: Chip
) -> Position | None:
    """The first free place of a block, by array, region, column, row."""
    for array in range(chip.arrays.count):
        bias_rows = _free(strips[array], block.n_bias_rows, block.n_cols)
        for region in chip.arrays.regions:
            inside = cells[array, region.first : region.first + region.n_rows]
            free = _free(inside, block.n_lines, block.n_cols)
            places = np.argwhere((free & bias_rows.any(axis=0)).T)
            if len(places):
                col, row = int(places[0, 0]), int(places[0, 1])
                bias_row = int(bias_rows[:, col].argmax())
                return Position(array, region.first + row, col, bias_row)
    return None


def _free(taken: npt.NDArray[np.bool_], n_rows: int, n_cols: int) -> npt.NDArray[np.bool_]:
    """Whether the rectangle of that size from each cell on is free: (places in y, in x)."""
    sums = np.zeros((taken.shape[0] + 1, taken.shape[1] + 1), np.int64)
    sums[1:, 1:] = taken.cumsum(axis=0).cumsum(axis=1)
    high, wide = sums.shape[0] - n_rows, sums.shape[1] - n_cols
    if high < 1 or wide < 1:
        return np.zeros((0, max(wide, 0)), bool)
    inside = sums[n_rows:, n_cols:] - sums[:high, n_cols:] - sums[n_rows:, :wide]
    return np.asarray(inside + sums[:high, :wide] == 0)


def _no_room(block: Block, n_kept: int, chip: Chip) -> NorcimError:
    return NorcimError(
        "NC-E0308", "a layer does not fit beside those that keep their cells",
        where=f"layer {block.layer}",
        expected=f"free cells in chip {chip.name!r} beside {n_kept} tiles",
        got=f"{block.n_lines} wordlines x {block.n_cols} bitlines, {block.n_bias_rows} bias rows",
        why="cells that are kept cannot make room",
        fix="compile without --keep-placement: the device is then programmed anew",
        exit_code=EXIT_UNSUPPORTED,
    )  # fmt: skip
