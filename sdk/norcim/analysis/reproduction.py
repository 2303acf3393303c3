"""A difference cut down to one descriptor, in a file that any machine can run again.

The file holds a weight image whose program is that descriptor alone, with its own tiles, columns,
weights and tables, and its inputs as input ports; so a device runs it as it runs any image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.analysis.divergence import Evidence
from norcim.emulator import Emulator
from norcim.emulator.reference import execute, missing_taps
from norcim.emulator.regions import Region, input_regions, output_region, port_region
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.image import ImageContent, build_image, read_image
from norcim.spec.program import (
    TABLE_BYTES,
    Descriptor,
    Function,
    Opcode,
    Port,
    Tile,
    wordlines_per_input,
)
from norcim.transport.base import Device

Bytes = npt.NDArray[np.uint8]

FORMAT = "norcim.divergence.v1"
ONE = 0x3F800000  #: 1.0 as binary32: ports of raw codes
PORT_BYTES = 1 << 15  #: a port's sizes have 16 bits, so that longer spans take several


@dataclass(frozen=True)
class Reproduction:
    """What the file holds.

    about     the divergence as it was found, as JSON
    image     the weight image
    inputs    bytes of each input port
    expected  bytes of each output port by the golden executor
    """

    about: dict[str, Any]
    image: bytes
    inputs: tuple[bytes, ...]
    expected: tuple[bytes, ...]


def reproduce(content: ImageContent, evidence: Evidence) -> Reproduction:
    """Cut a difference down to its descriptor; one of a whole run keeps the whole image."""
    found, memory = evidence.divergence, evidence.memory[None].copy()
    if not found.whole_run:
        content = _alone(content, found.descriptor)
    inputs = _port_bytes(content, 0, memory)
    for d in content.program[:-1]:
        execute(d, content, memory)
    expected = _port_bytes(content, 1, memory)
    content = replace(content, kat_input=b"".join(inputs), kat_output=b"".join(expected))
    return Reproduction(asdict(found), build_image(content), inputs, expected)


def to_arrays(found: Reproduction, evidence: Evidence) -> dict[str, Bytes]:
    """What `numpy.savez` writes. got and due are the differing output, (h, w, c)."""
    arrays = {
        "format": np.array(FORMAT),
        "about": np.array(json.dumps(found.about, sort_keys=True)),
        "image": np.frombuffer(found.image, np.uint8),
        "due": evidence.expected,
        "got": evidence.got,
    }
    for name, parts in (("input", found.inputs), ("expected", found.expected)):
        for index, part in enumerate(parts):
            arrays[f"{name}_{index}"] = np.frombuffer(part, np.uint8)
    return arrays


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> Reproduction:
    """Back from the arrays of a file. Raises NC-E0907 if they are not what `to_arrays` gave."""
    if str(arrays.get("format")) != FORMAT or not {"about", "image"} <= set(arrays):
        raise NorcimError(
            "NC-E0907", "the file holds no difference that can be replayed",
            expected=f"a file of norcim validate, format {FORMAT}",
            got=str(arrays.get("format", "other arrays")),
            fix="give the .npz file that norcim validate saved", exit_code=EXIT_USAGE,
        )  # fmt: skip
    return Reproduction(
        json.loads(str(arrays["about"])),
        arrays["image"].astype(np.uint8).tobytes(),
        _numbered(arrays, "input"),
        _numbered(arrays, "expected"),
    )


def replay(found: Reproduction, device: Device | None = None) -> dict[str, int]:
    """Run it again; returns how many output bytes of each machine differ from `expected`.

    device  the image is loaded there already; None: emulator and golden executor alone
    """
    content = read_image(found.image)
    ports = [port for port in content.ports if not port.is_output]
    arrays = [
        np.frombuffer(data, np.uint8).reshape(1, port.h, port.w, port.c)
        for data, port in zip(found.inputs, ports, strict=True)
    ]
    memory = np.zeros((1, content.activation_bytes), np.uint8)
    for port, array in zip(ports, arrays, strict=True):
        port_region(port).view(memory)[...] = array
    for d in content.program[:-1]:
        execute(d, content, memory)
    outputs = {
        "golden": _port_bytes(content, 1, memory),
        "emulator": [array.tobytes() for array in Emulator(content).run(arrays)],
    }
    if device is not None:
        outputs["device"] = device.run(list(found.inputs))
    return {name: _count(parts, found.expected) for name, parts in outputs.items()}


def _count(found: Sequence[bytes], due: Sequence[bytes]) -> int:
    pairs = zip(found, due, strict=True)
    return sum(x != y for a, b in pairs for x, y in zip(a, b, strict=True))


def _numbered(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> tuple[bytes, ...]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return tuple(arrays[f"{name}_{index}"].astype(np.uint8).tobytes() for index in range(count))


def _port_bytes(content: ImageContent, is_output: int, memory: Bytes) -> tuple[bytes, ...]:
    ports = [port for port in content.ports if port.is_output == is_output]
    return tuple(port_region(port).view(memory)[0].tobytes() for port in ports)


def _alone(content: ImageContent, index: int) -> ImageContent:
    """An image of one descriptor, at the same addresses."""
    d = content.program[index]
    tiles, weights = _own_tiles(content, d)
    tables, moved = _own_tables(content, d)
    columns = content.columns[d.column_base : d.column_base + _n_columns(d)]
    first = d.weight_base
    n_vector = d.kernel_h * d.kernel_w * d.out_c if d.opcode == Opcode.DWCONV else 0
    alone = replace(moved, tile_base=0, column_base=0, weight_base=0, layer=0)
    ports = _span_ports(d)
    layers = content.meta.get("layers", [])
    name = f"descriptor {index} of {content.meta.get('name', 'an image')}"
    meta = {
        "name": name,
        "layers": layers[d.layer : d.layer + 1],
        "inputs": [_port_meta("input", port) for port in ports if not port.is_output],
        "outputs": [_port_meta("output", port) for port in ports if port.is_output],
    }
    return replace(
        content, program=(alone, Descriptor(opcode=Opcode.END)), tiles=tiles, columns=columns,
        weights=weights, vector_weights=content.vector_weights[first : first + n_vector],
        tables=tables, ports=ports, kat_input=b"", kat_output=b"", meta=meta,
    )  # fmt: skip


def _port_meta(name: str, port: Port) -> dict[str, Any]:
    return {"name": f"{name}_{port.addr}", "shape": [port.c], "perm": [0], "codes": "uint8"}


def _own_tiles(content: ImageContent, d: Descriptor) -> tuple[tuple[Tile, ...], bytes]:
    tiles: list[Tile] = []
    weights = b""
    for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
        n_lines = tile.n_rows * wordlines_per_input(d.encoding, tile) + tile.n_bias_rows
        tiles.append(replace(tile, cells=len(weights)))
        weights += content.weights[tile.cells : tile.cells + n_lines * tile.n_cols]
    return tuple(tiles), weights


def _own_tables(content: ImageContent, d: Descriptor) -> tuple[bytes, Descriptor]:
    """The tables that a descriptor uses, and the descriptor with their new numbers."""
    tables = b""
    if d.opcode == Opcode.FIRMWARE and d.function == Function.SOFTMAX:
        first = d.argument * TABLE_BYTES
        tables = content.tables[first : first + 2 * TABLE_BYTES]
        d = replace(d, argument=0)
    if d.use_table:
        first = d.table * TABLE_BYTES
        d = replace(d, table=len(tables) // TABLE_BYTES)
        tables += content.tables[first : first + TABLE_BYTES]
    return tables, d


def _n_columns(d: Descriptor) -> int:
    if d.opcode in (Opcode.MVM, Opcode.DWCONV):
        return d.out_c
    return int(missing_taps(d).max()) + 1 if d.opcode == Opcode.AVGPOOL else 0


def _span_ports(d: Descriptor) -> tuple[Port, ...]:
    """Ports over the whole spans of a descriptor's regions, gaps included.

    An output with gaps is an input too, so that what is between its bytes is known.
    """
    out = output_region(d)
    read = list(dict.fromkeys(input_regions(d)))
    if not out.is_dense:
        read.append(out)
    inputs = [port for region in read for port in _ports_over(region, 0)]
    return (*inputs, *_ports_over(out, 1))


def _ports_over(region: Region, is_output: int) -> list[Port]:
    ports = []
    for start in range(region.addr, region.end, PORT_BYTES):
        n = min(PORT_BYTES, region.end - start)
        ports.append(
            Port(
                is_output=is_output, scale=ONE, addr=start, row_stride=n, pixel_stride=n,
                h=1, w=1, c=n,
            )
        )  # fmt: skip
    return ports
