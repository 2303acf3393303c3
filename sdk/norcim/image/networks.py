"""Several networks in one image: they share arrays, memories and records, each has its program.

Their programs follow each other, each with its END, and so do their ports; `Port.first` tells
whose a port is. A vector of the known-answer test holds the inputs of all networks in order, and
the outputs of all. The metadata of several is {"name": ..., "networks": [one object each]}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from norcim.errors import EXIT_USAGE, NorcimError
from norcim.image.model import ImageContent
from norcim.image.needs import port_bytes
from norcim.spec.program import (
    TABLE_BYTES,
    Column,
    Descriptor,
    Function,
    Opcode,
    Port,
    Stage,
    Tile,
    second_extent,
)


def first_descriptors(ports: Sequence[Port]) -> tuple[int, ...]:
    """Number of the first descriptor of each network, in the order of their ports."""
    return tuple(dict.fromkeys(port.first for port in ports))


def networks(content: ImageContent) -> tuple[ImageContent, ...]:
    """The networks of a checked image, each as an image of its own would hold it.

    They share tiles, columns, weights and tables, and the activation memory of the largest.
    """
    firsts = first_descriptors(content.ports)
    if len(firsts) == 1:
        return (content,)
    ends = (*firsts[1:], len(content.program))
    found = content.meta.get("networks")
    metas = found if isinstance(found, list) and len(found) == len(firsts) else [{}] * len(firsts)
    inputs = _share(content, content.kat_input, firsts, is_output=0)
    outputs = _share(content, content.kat_output, firsts, is_output=1)
    return tuple(
        replace(
            content,
            program=content.program[first:end],
            ports=tuple(replace(p, first=0) for p in content.ports if p.first == first),
            kat_input=kat_input,
            kat_output=kat_output,
            meta=meta if isinstance(meta, dict) else {},
        )
        for first, end, kat_input, kat_output, meta in zip(
            firsts, ends, inputs, outputs, metas, strict=True
        )
    )


def _share(
    content: ImageContent, data: bytes, firsts: Sequence[int], *, is_output: int
) -> list[bytes]:
    """Each network's part of the known-answer test."""
    sizes = [
        sum(port_bytes(p) for p in content.ports if (p.first, p.is_output) == (first, is_output))
        for first in firsts
    ]
    total, found, start = sum(sizes), [], 0
    for size in sizes:
        parts = (data[at : at + size] for at in range(start, len(data), total))
        found.append(b"".join(parts))
        start += size
    return found


def network_names(content: ImageContent) -> tuple[str, ...]:
    """Names of an image's networks; one without a name goes by its number."""
    metas = [network.meta for network in networks(content)]
    return tuple(str(meta.get("name", index)) for index, meta in enumerate(metas))


def find_network(content: ImageContent, name: str | None) -> int:
    """Index of the network of that name, or of that number; None: 0.

    Raises NC-E0554 if the image has no such network.
    """
    names = network_names(content)
    if name is None:
        return 0
    if name in names:
        return names.index(name)
    if name.isascii() and name.isdecimal() and int(name) < len(names):
        return int(name)
    raise NorcimError(
        "NC-E0554", "the image has no such network", where="--network",
        expected=f"one of {', '.join(names)}, or a number from 0 to {len(names) - 1}", got=name,
        fix="`norcim info` lists the networks of an image", exit_code=EXIT_USAGE,
    )  # fmt: skip


def join_networks(parts: Sequence[ImageContent]) -> ImageContent:
    """One image's content of several networks', whose tiles are placed apart already.

    parts  at least one, all for one chip, each with one network and as many known-answer vectors
    One network alone comes back as it is.
    """
    if len(parts) == 1:
        return parts[0]
    chip = parts[0]
    program: list[Descriptor] = []
    ports: list[Port] = []
    tiles: list[Tile] = []
    columns: list[Column] = []
    weights, vector_weights, tables = bytearray(), bytearray(), bytearray()
    for part in parts:
        ports += [replace(port, first=len(program)) for port in part.ports]
        bases = (len(tiles), len(columns), len(vector_weights), len(tables) // TABLE_BYTES)
        program += [_moved(d, *bases) for d in part.program]
        tiles += [replace(tile, cells=tile.cells + len(weights)) for tile in part.tiles]
        columns += part.columns
        weights += part.weights
        vector_weights += part.vector_weights
        tables += part.tables
    metas = [part.meta for part in parts]
    return ImageContent(
        chip.chip, chip.chip_hash, max(part.activation_bytes for part in parts), tuple(program),
        tuple(tiles), tuple(columns), tuple(ports), bytes(weights), bytes(vector_weights),
        bytes(tables),
        _interleave([_vectors(part, part.kat_input, 0) for part in parts]),
        _interleave([_vectors(part, part.kat_output, 1) for part in parts]), _joined_meta(metas),
    )  # fmt: skip


def at_address(content: ImageContent, base: int) -> ImageContent:
    """The same network, its activation memory `base` bytes further on."""

    def moved(d: Descriptor) -> Descriptor:
        if d.opcode == Opcode.END:
            return d
        if d.opcode == Opcode.FIRMWARE and d.function == Function.UPDATE:
            d = replace(d, argument=d.argument + base)
        second = d.in2_addr + base if second_extent(d) else d.in2_addr
        return replace(d, in_addr=d.in_addr + base, in2_addr=second, out_addr=d.out_addr + base)

    return replace(
        content,
        activation_bytes=content.activation_bytes + base,
        program=tuple(moved(d) for d in content.program),
        ports=tuple(replace(port, addr=port.addr + base) for port in content.ports),
    )


def _moved(d: Descriptor, tile: int, column: int, weight: int, table: int) -> Descriptor:
    """A descriptor whose records lie further on."""
    if d.opcode == Opcode.MVM:
        d = replace(d, tile_base=d.tile_base + tile)
        if d.stage == Stage.REQUANTISE:
            d = replace(d, column_base=d.column_base + column)
    elif d.opcode == Opcode.DWCONV:
        d = replace(d, weight_base=d.weight_base + weight, column_base=d.column_base + column)
    elif d.opcode == Opcode.AVGPOOL:
        d = replace(d, column_base=d.column_base + column)
    elif d.opcode == Opcode.FIRMWARE and d.function == Function.SOFTMAX:
        d = replace(d, argument=d.argument + table)
    return replace(d, table=d.table + table) if d.use_table else d


def _vectors(part: ImageContent, data: bytes, is_output: int) -> list[bytes]:
    size = sum(port_bytes(port) for port in part.ports if port.is_output == is_output)
    return [data[at : at + size] for at in range(0, len(data), size)]


def _interleave(vectors: Sequence[list[bytes]]) -> bytes:
    return b"".join(b"".join(vector) for vector in zip(*vectors, strict=True))


def _joined_meta(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "+".join(str(meta.get("name", "")) for meta in metas),
        "networks": list(metas),
    }
