"""Builds a board's bitstream and its manifest into a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from norcim.errors import NorcimError
from norcim_overlay.boards import flow, manifest, ram_content
from norcim_overlay.boards.board import Board
from norcim_overlay.soc.firmware import build_firmware

Report = Callable[[str, int, int], None]


def build(
    board: Board, output: Path, seeds: Sequence[int], report: Report, *, rebuild: bool = False
) -> dict[str, Any]:
    """Make BOARD.bit and manifest.json in `output`; returns the manifest.

    seeds    of the placer; the fastest is taken. None given: the seed of the bitstream that a
             clone ships, or 1
    report   progress(stage, done, total)
    rebuild  place and route even if `output` has the same design placed already
    Intermediate files and logs are left in `output`/work. Raises NorcimError NC-E0650 to NC-E0653.
    """
    work = output / "work"
    work.mkdir(parents=True, exist_ok=True)
    old = manifest.read_manifest(output)
    seeds = seeds or [_usual_seed(board)]
    total = 4 + len(seeds)
    watch = flow.Stopwatch()
    report("elaborate", 0, total)
    content = build_firmware(board.config.n_ram_bytes)
    flow.elaborate(board, work)
    watch.lap("elaborate")
    design = manifest.design_hash(board, work)
    if old and not rebuild and _is_placed(old, design, seeds, output, board):
        made, config = dict(old["placed"]), flow.unpack(output / f"{board.name}.bit", work)
    else:
        made, config = _place(board, work, seeds, report, watch, total)
        made = {"design": design, **made}
    report("pack", total - 1, total)
    places = ram_content.Places(made["ram"]["bytes"], tuple(map(tuple, made["ram"]["rows"])))
    packed = flow.pack(board, work, ram_content.replace(config, places, content), board.name)
    (output / packed.name).write_bytes(packed.read_bytes())
    watch.lap("pack")
    made["cpu_seconds"] = {**made.get("cpu_seconds", {}), **watch.seconds}
    entry = {
        **manifest.describe(board),
        "firmware": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        "tools": manifest.tool_versions(),
        "files": {packed.name: manifest.file_entry(packed)},
        "placed": made,
    }
    (output / manifest.FILE).write_text(to_json(entry), encoding="utf-8", newline="\n")
    report("pack", total, total)
    return entry


def to_json(entry: dict[str, Any]) -> str:
    """The text of a manifest: the places in the block RAMs on one line."""
    rows = json.dumps(entry["placed"]["ram"]["rows"], separators=(",", ":"))
    marked = json.dumps(
        {**entry, "placed": {**entry["placed"], "ram": {**entry["placed"]["ram"], "rows": "@"}}},
        indent=2,
    )
    return marked.replace('"@"', rows) + "\n"


def _usual_seed(board: Board) -> int:
    shipped = manifest.read_manifest(manifest.release_folder(board))
    return shipped["placed"]["seed"] if shipped else 1


def _is_placed(
    old: dict[str, Any], design: str, seeds: Sequence[int], output: Path, board: Board
) -> bool:
    """Whether the folder's bitstream is sound and holds this design, placed with these seeds."""
    placed, path = old["placed"], output / f"{board.name}.bit"
    return (
        placed["design"] == design
        and {str(seed) for seed in seeds} <= set(placed["seeds_mhz"])
        and path.is_file()
        and manifest.file_entry(path) == old["files"].get(path.name)
    )


def _place(
    board: Board, work: Path, seeds: Sequence[int], report: Report, watch: flow.Stopwatch,
    total: int,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Synthesise, try every seed, take the fastest; returns what there is to say and its text.

    Raises NorcimError NC-E0653 if none is as fast as the board's clock.
    """
    report("synthesise", 1, total)
    cells = flow.synthesise(work)
    watch.lap("synthesise")
    tried = []
    for number, seed in enumerate(seeds):
        report(f"place seed {seed}", 2 + number, total)
        tried.append(flow.place_and_route(board, work, seed))
        watch.lap(f"place and route, seed {seed}")
    best = max(tried, key=lambda placed: placed.slowest_hz)
    if best.slowest_hz < board.config.clock_hz:
        raise NorcimError(
            "NC-E0653",
            "the design is too slow for the board's clock",
            where=str(work / f"seed-{best.seed}.log"),
            expected=f"{board.config.clock_hz / 1e6:.1f} MHz",
            got=f"{best.slowest_hz / 1e6:.1f} MHz with seed {best.seed}, the best of {len(tried)}",
            fix="try other seeds: --seeds 1-8; the log has the critical path",
        )
    report("find", total - 2, total)
    config = (work / f"seed-{best.seed}.config").read_text("ascii")
    places = ram_content.find(config, ram_content.pattern(board.config.n_ram_bytes))
    watch.lap("pack")
    return {
        "seed": best.seed,
        "fmax_mhz": {name: round(hz / 1e6, 2) for name, hz in best.fmax_hz.items()},
        "seeds_mhz": {str(p.seed): round(p.slowest_hz / 1e6, 2) for p in tried},
        "resources": best.resources,
        "cells": cells,
        "ram": {"bytes": places.n_bytes, "rows": [list(row) for row in places.rows]},
    }, config
