"""`norcim info`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import click

from norcim_cli import console, files, options

if TYPE_CHECKING:
    from norcim.image import ImageContent, SectionInfo


@click.command()
@click.argument("file", metavar="IMAGE|MODEL")
@options.common
def info(file: str) -> None:
    """Show what a weight image or a model holds.

    Of an image: layers, tiles, occupancy of the arrays, sections and hashes. Of an ONNX model:
    its operations. Which of the two a file is, is found from its content.
    """
    if files.is_image(file):
        _image_info(file)
    else:
        _model_info(file)


def _image_info(file: str) -> None:
    from norcim.image import describe_image, network_names, networks

    data, content = files.load_image(file)
    sections = describe_image(data)
    names = network_names(content)
    layers = [
        {"network": name, **row}
        for name, network in zip(names, networks(content), strict=True)
        for row in layer_rows(network)
    ]
    arrays = occupancy(content)
    heading = {
        "name": content.meta.get("name", ""),
        "networks": list(names),
        "chip": content.chip,
        "chip_hash": content.chip_hash,
        "n_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "activation_bytes": content.activation_bytes,
        "n_descriptors": len(content.program),
        "n_tiles": len(content.tiles),
        "labels": content.meta.get("labels", []),
        "notes": [n for network in networks(content) for n in network.meta.get("notes", [])],
    }
    if console.STATE.json_mode:
        listed = [_section(section) for section in sections]
        console.emit("info.v1", {**heading, "layers": layers, "arrays": arrays, "sections": listed})
        return
    for key in ("name", "chip", "chip_hash", "n_bytes", "sha256", "activation_bytes"):
        value = heading[key]
        text = f"{value:,}" if isinstance(value, int) else value
        console.say(f"{key + ':':<18}{text}")
    for note in heading["notes"]:
        console.say(f"note:             {note}")
    console.table(
        ("layer", "does", "output", "tiles", "gain", "weights"),
        [
            (
                r["network"] + ": " + r["name"] if len(names) > 1 else r["name"],
                r["opcodes"],
                r["output"],
                r["n_tiles"],
                r["gains"],
                f"{r['n_cells']:,}",
            )
            for r in layers
        ],
        right="   r r",
    )
    console.table(
        ("array", "cells used", "rows", "columns"),
        [(a["array"], f"{a['n_cells']:,}", a["rows"], a["columns"]) for a in arrays],
        right="rr",
    )
    console.table(
        ("section", "offset", "bytes", "CRC-32"),
        [(s.name, f"{s.offset:,}", f"{s.length:,}", f"{s.crc32:08x}") for s in sections],
        right=" rr",
    )


def _section(section: SectionInfo) -> dict[str, Any]:
    return {
        "name": section.name,
        "offset": section.offset,
        "length": section.length,
        "crc32": f"{section.crc32:08x}",
    }


def layer_rows(content: ImageContent) -> list[dict[str, Any]]:
    """One row a layer of the image, in program order."""
    from norcim.analysis.estimate import layer_name, tiles_of
    from norcim.spec.program import Opcode

    rows = []
    steps = [step for step in content.program if step.opcode != Opcode.END]
    for index in dict.fromkeys(step.layer for step in steps):
        own = [step for step in steps if step.layer == index]
        tiles = [t for s in own if s.opcode == Opcode.MVM for t in tiles_of(content, s)]
        last = own[-1]
        rows.append(
            {
                "index": index,
                "name": layer_name(content, index),
                "opcodes": " ".join(dict.fromkeys(Opcode(s.opcode).name for s in own)),
                "output": f"{last.out_h}x{last.out_w}x{last.out_c}",
                "n_tiles": len(tiles),
                "gains": " ".join(map(str, sorted({tile.gain for tile in tiles}))),
                "n_cells": sum(tile.n_rows * tile.n_cols for tile in tiles),
            }
        )
    return rows


def occupancy(content: ImageContent) -> list[dict[str, Any]]:
    """Cells that are used on each array, and the rows and columns that they span."""
    from norcim.analysis.estimate import n_wordlines, tiles_of
    from norcim.spec.program import Opcode

    used: dict[int, list[tuple[int, int, int, int]]] = {}
    for step in content.program:
        if step.opcode == Opcode.MVM:
            for tile in tiles_of(content, step):
                rows = n_wordlines(step, tile) - tile.n_bias_rows
                used.setdefault(tile.array, []).append((tile.row, rows, tile.col, tile.n_cols))
    return [
        {
            "array": array,
            "n_cells": sum(rows * cols for _, rows, _, cols in boxes),
            "rows": f"{min(b[0] for b in boxes)}..{max(b[0] + b[1] for b in boxes) - 1}",
            "columns": f"{min(b[2] for b in boxes)}..{max(b[2] + b[3] for b in boxes) - 1}",
        }
        for array, boxes in sorted(used.items())
    ]


def _model_info(file: str) -> None:
    from norcim.frontend import import_onnx
    from norcim_cli.commands.analyse import op_rows, print_ops

    graph = import_onnx(file)
    rows = op_rows(graph)
    ports: list[dict[str, Any]] = [
        {"tensor": p.tensor, "shape": list(p.shape), "codes": p.codes, "is_output": is_output}
        for is_output, group in ((False, graph.inputs), (True, graph.outputs))
        for p in group
    ]
    if console.STATE.json_mode:
        console.emit("model-info.v1", {"name": graph.name, "ports": ports, "ops": rows})
        return
    console.say(f"name:   {graph.name}")
    for port in ports:
        side = "output" if port["is_output"] else "input"
        console.say(f"{side + ':':<8}{port['tensor']} {tuple(port['shape'])} {port['codes']}")
    print_ops(rows)
