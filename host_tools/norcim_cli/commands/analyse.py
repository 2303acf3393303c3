"""`norcim analyse`."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from norcim_cli import console, files, options
from norcim_cli.units import spell

if TYPE_CHECKING:
    from norcim.ir.graph import Graph


@click.command()
@click.argument("model", metavar="MODEL")
@options.chip
@options.fixed_inputs
@options.common
def analyse(
    model: str, chip: str, input_shape: tuple[str, ...], fixed_values: tuple[str, ...]
) -> None:
    """Say whether a model fits a chip; what it costs.

    Needs no calibration. Everything that is not supported is listed at once, with what to do;
    the exit code is then 3.
    """
    from norcim.analysis.estimate import cells_used, estimate
    from norcim.chips import load_chip
    from norcim.frontend import import_onnx
    from norcim.image import memory_needs
    from norcim.mapper import check_support
    from norcim.runtime import trial_content

    files.refuse_image(model)
    loaded = load_chip(chip)
    fixed = options.parse_fixed(input_shape, fixed_values)
    graph = import_onnx(model, fixed)
    check_support(graph, loaded)
    rows = op_rows(graph)
    content = trial_content(model, loaded, graph, fixed)
    found = estimate(content, loaded)
    needs = memory_needs(content)
    total = {
        "n_macs": sum(row["n_macs"] for row in rows),
        "n_weights": sum(row["n_weights"] for row in rows),
        "n_cells": loaded.n_cells,
        "n_cells_used": cells_used(content),
        "latency_s": found.latency_s,
        "energy_j": found.energy.total_j,
        **needs,
    }
    name = Path(model).name
    if console.STATE.json_mode:
        console.emit("analyse.v1", {"name": name, "chip": loaded.name, **total, "ops": rows})
        return
    print_ops(rows)
    share = 100 * total["n_cells_used"] / total["n_cells"]
    console.say(
        f"{name}: every operation is supported on {loaded.name}, and it fits; "
        f"{total['n_macs']:,} MACs, {total['n_weights']:,} weights in {total['n_cells_used']:,} "
        f"cells ({share:.1f} % of {total['n_cells']:,})"
    )
    console.say(
        f"{needs['activation_bytes']:,} bytes of activations, {needs['n_descriptors']} "
        f"descriptors, {needs['n_tables']} tables; about {spell(found.latency_s, 's')} and "
        f"{spell(found.energy.total_j, 'J')} an inference"
    )


def print_ops(rows: list[dict[str, Any]]) -> None:
    """A table of `op_rows`."""
    cells = [
        (row["node"], row["kind"], row["output"], f"{row['n_weights']:,}", f"{row['n_macs']:,}")
        for row in rows
    ]
    console.table(("node", "operation", "output", "weights", "MACs"), cells, right="   rr")


def op_rows(graph: Graph) -> list[dict[str, Any]]:
    """One row an operation: node, kind, output shape, weights and MACs an inference."""
    rows = []
    for op in graph.ops:
        h, w, c = graph.tensors[op.output].shape
        n_weights = 0 if op.weight is None else int(op.weight.size)
        per_position = 0 if op.weight is None else prod(op.weight.shape)
        rows.append(
            {
                "node": op.node,
                "kind": "depthwise conv" if _is_depthwise(op.kind, op.attrs) else op.kind,
                "output": f"{h}x{w}x{c}",
                "n_weights": n_weights,
                "n_macs": h * w * per_position,
            }
        )
    return rows


def _is_depthwise(kind: str, attrs: Any) -> bool:
    return kind == "conv" and attrs.get("groups", 1) > 1
