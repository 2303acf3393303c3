"""`norcim board bitstream`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from norcim_cli import console, options


@click.command()
@click.argument("board", metavar="BOARD")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of the placer; default: the released one."
)
@click.option("--seeds", metavar="FIRST-LAST", help="Try these seeds, take the fastest.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where to; default: build/BOARD.",
)  # fmt: skip
@click.option("--rebuild", is_flag=True, help="Place and route again even if nothing has changed.")
@options.common
def bitstream(
    board: str, seed: int | None, seeds: str | None, output: Path | None, rebuild: bool
) -> int:
    """Synthesise, place, route and pack a board's FPGA design.

    Takes minutes for each seed. If the folder has the same design placed already, only the firmware
    is put in. Boards: ulx3s-85f.
    """
    from norcim_overlay.boards.board import find_board
    from norcim_overlay.boards.release import build

    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    chosen = find_board(board)
    folder = output or Path("build") / board
    tried = [seed] if seed is not None else _range(seeds) if seeds else []
    with console.progress() as progress:
        made = build(chosen, folder, tried, progress, rebuild=rebuild)
    _show(made, folder)
    return 0


def _range(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    if not (dash and first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise click.BadParameter(f"'{text}' is not like 1-8", param_hint="--seeds")
    return list(range(int(first), int(last) + 1))


def _show(made: dict[str, Any], folder: Path) -> None:
    placed = made["placed"]
    if console.STATE.json_mode:
        rows = {key: value for key, value in placed.items() if key != "ram"}
        console.emit("board-bitstream.v1", {**made, "placed": rows, "folder": str(folder)})
    name, entry = next(iter(made["files"].items()))
    console.say(f"{folder / name}: {entry['bytes']:,} bytes, SHA-256 {entry['sha256']}")
    clock = made["clock_hz"] / 1e6
    for net, mhz in placed["fmax_mhz"].items():
        console.say(f"clock {net}: up to {mhz:.2f} MHz, runs at {clock:g} MHz")
    console.table(["seed", "MHz"], list(placed["seeds_mhz"].items()), right="rr")
    console.table(["cells", "used"], list(placed["resources"].items()), right=" r")
    console.say(f"load it with: openFPGALoader -b ulx3s {folder / name}")
