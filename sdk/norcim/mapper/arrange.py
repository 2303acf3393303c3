"""Where the tiles of programs lie: placed together, cut where they fit no other way, kept if asked.

This works on what was emitted: moving a tile, or cutting one by columns, changes no bit of what a
network computes, so it needs to know nothing of how the tiles came about.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from norcim.chips.model import Chip
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.mapper.keep import Kept, first_runs, layer_name, place_beside
from norcim.mapper.placement import Block, Position, place_blocks
from norcim.mapper.tiling import equal_cuts
from norcim.spec.program import Descriptor, Opcode, Tile, wordlines_per_input

WIDTHS = (256, 128, 64, 32, 16, 8, 4, 2)
"""Widest tiles that are tried when whole ones do not fit; narrower ones take more steps."""


def arrange(
    contents: Sequence[ImageContent], chip: Chip, kept: Kept | None = None
) -> tuple[ImageContent, ...]:
    """Give the tiles of all programs, one program a content, places on the chip's arrays.

    kept  tiles that have to stay where an older image has them
    Tiles stay whole if they fit so; else wide ones are cut by columns. Deterministic. Raises
    NC-E0302 or NC-E0303 if they do not fit, NC-E0308 if they do not beside the kept ones.
    """
    trials: Iterable[_Trial] = (_Trial(contents, width, kept) for width in (None, *WIDTHS))
    if kept:  # whole tiles first, unless the older image has them cut
        trials = sorted(trials, key=lambda trial: -trial.n_kept)
    refusal: NorcimError | None = None
    for trial in trials:
        try:
            positions = iter(trial.place(chip))
        except NorcimError as error:
            if error.id == "NC-E0303":
                raise
            refusal = refusal or error
        else:
            return tuple(_moved(content, positions) for content in trial.contents)
    assert refusal is not None, "whole tiles were tried"
    raise refusal


class _Trial:
    """Programs with tiles of a width at most, and which of them keep their places."""

    def __init__(
        self, contents: Sequence[ImageContent], width: int | None, kept: Kept | None
    ) -> None:
        self.contents = contents if width is None else [cut_tiles(c, width) for c in contents]
        self.blocks = [b for c in self.contents for b in _blocks(c, len(contents) > 1)]
        self.kept = kept.positions(self.contents) if kept else None
        pairs = zip(self.blocks, self.kept or (), strict=False)
        self.n_kept = sum(block.n_lines * block.n_cols for block, place in pairs if place)

    def place(self, chip: Chip) -> tuple[Position, ...]:
        if self.kept is None:
            return place_blocks(self.blocks, chip)
        return place_beside(self.blocks, self.kept, chip)


def _moved(content: ImageContent, positions: Iterator[Position]) -> ImageContent:
    tiles = tuple(
        replace(tile, array=p.array, row=p.row, col=p.col, bias_row=p.bias_row)
        for tile, p in zip(content.tiles, positions, strict=False)
    )
    return replace(content, tiles=tiles)


def _blocks(content: ImageContent, with_network: bool = False) -> list[Block]:
    """The blocks of all tiles in their order; with_network: name the network before the layer."""
    prefix = f"{content.meta.get('name', '')}: " if with_network else ""
    return [
        Block(
            prefix + layer_name(content, d), tile.n_rows * wordlines_per_input(d.encoding, tile),
            tile.n_cols, tile.n_bias_rows,
        )
        for d in first_runs(content)
        for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]
    ]  # fmt: skip


def cut_tiles(content: ImageContent, width: int) -> ImageContent:
    """The same program with no tile wider than `width` bitlines, in parts as equal as possible.

    The tiles of a column group are cut at the same columns and form a group for each part.
    """
    program, weights = list(content.program), bytearray()
    tiles: list[Tile] = []
    cut: dict[int, tuple[int, int]] = {}  # old first tile: new one, and how many
    for number, d in enumerate(content.program):
        if d.opcode != Opcode.MVM:
            continue
        if d.tile_base in cut:
            base, count = cut[d.tile_base]
            program[number] = replace(d, tile_base=base, n_tiles=count)
            continue
        base = len(tiles)
        group: list[Tile] = []
        for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
            group.append(tile)
            if tile.last:
                for start, end in itertools.pairwise(equal_cuts(tile.n_cols, width)):
                    for whole in group:
                        tiles.append(
                            replace(
                                whole, out_c_first=whole.out_c_first + start, n_cols=end - start,
                                cells=len(weights),
                            )
                        )  # fmt: skip
                        weights += _columns(content, d, whole, start, end)
                group = []
        cut[d.tile_base] = base, len(tiles) - base
        program[number] = replace(d, tile_base=base, n_tiles=len(tiles) - base)
    return replace(content, program=tuple(program), tiles=tuple(tiles), weights=bytes(weights))


def _columns(content: ImageContent, d: Descriptor, tile: Tile, start: int, end: int) -> bytes:
    """The cells of some columns of a tile, its bias rows after its wordlines."""
    n_lines = tile.n_rows * wordlines_per_input(d.encoding, tile) + tile.n_bias_rows
    rows = range(tile.cells, tile.cells + n_lines * tile.n_cols, tile.n_cols)
    return b"".join(content.weights[row + start : row + end] for row in rows)


def check_room(blocks: Sequence[Block], chip: Chip) -> None:
    """Whether blocks fit, whole or cut. Raises NC-E0302 or NC-E0303 if they do not."""
    refusal: NorcimError | None = None
    for width in (None, *WIDTHS):
        try:
            place_blocks(blocks if width is None else cut_blocks(blocks, width), chip)
        except NorcimError as error:
            if error.id == "NC-E0303":
                raise
            refusal = refusal or error
        else:
            return
    assert refusal is not None, "whole tiles were tried"
    raise refusal


def cut_blocks(blocks: Sequence[Block], width: int) -> list[Block]:
    """Blocks of at most `width` bitlines, as `cut_tiles` makes them."""
    return [
        replace(block, n_cols=end - start)
        for block in blocks
        for start, end in itertools.pairwise(equal_cuts(block.n_cols, width))
    ]
