"""`norcim board`: virtual boards, and bitstreams for real ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from norcim.errors import EXIT_FAILED
from norcim_cli import console, options, virtual
from norcim_cli.commands.bitstream import bitstream

if TYPE_CHECKING:
    from norcim.transport.virtual import BoardFiles

name_option = click.option(
    "--name", default="board", show_default=True, help="Name that the board is found by."
)


@click.group()
@options.common
def board() -> None:
    """Virtual boards, and bitstreams for real ones.

    The virtual board is the overlay's SoC with its NPU, simulated cycle by cycle, running the
    firmware that runs on an FPGA. It needs the extra `overlay`, no hardware and no compiler.
    """


board.add_command(bitstream)


@board.command()
@click.option("--force", is_flag=True, help="Build it again.")
@options.common
def build(force: bool) -> None:
    """Build the virtual board, or take it from the cache.

    Takes some minutes the first time, and again whenever gateware or firmware have changed.
    """
    started = time.perf_counter()
    path = virtual.build(force).program
    elapsed_s = time.perf_counter() - started
    if console.STATE.json_mode:
        console.emit("board-build.v1", {"program": str(path), "elapsed_s": round(elapsed_s, 3)})
    console.say(f"the virtual board is built ({elapsed_s:.1f} s): {path}")


@board.command()
@name_option
@click.option("--flash", metavar="FILE", help="Keep the flash here; default: a file by its name.")
@click.option("--volatile", is_flag=True, help="Keep the flash in no file.")
@click.option("--detach", is_flag=True, help="Leave it running and return.")
@options.common
def run(name: str, flash: str | None, volatile: bool, detach: bool) -> int:
    """Run a virtual board and print its port.

    Give the port to --port of other commands. The board runs until Ctrl-C, or until `norcim board
    stop` with --detach. Its flash outlives it, as that of a board does.
    """
    built = virtual.build()
    from norcim.transport import wait_for_device
    from norcim_overlay.sim.virtual_board import default_flash, overlay_options, start

    chosen = Path(flash).expanduser() if flash else default_flash(name)
    settings = overlay_options(name, None if volatile else chosen, detach=detach)
    with console.progress() as progress:
        progress("start", 0, 1)
        running = start(built, settings)
    try:
        wait_for_device(running.port)
        _say_running(running.files, settings.flash)
        if detach:
            running.leave()
            return 0
        console.log("Ctrl-C ends it")
        return EXIT_FAILED if running.process.wait() else 0
    except KeyboardInterrupt:
        return 0
    finally:
        running.stop()


@board.command()
@name_option
@options.common
def stop(name: str) -> None:
    """Stop a virtual board."""
    from norcim.transport.virtual import stop_board

    stop_board(name)
    if console.STATE.json_mode:
        console.emit("board-stop.v1", {"name": name})
    console.say(f"{name} has ended")


@board.command()
@name_option
@options.common
def status(name: str) -> None:
    """Show what a virtual board has done: cycles, bytes, flash."""
    found = _ask(name, "status", "flash")
    if console.STATE.json_mode:
        console.emit("board-status.v1", found)
    rows = [(key, _shown(value)) for key, value in found.items() if key != "flash"]
    rows += [(f"flash {key}", _shown(value)) for key, value in found["flash"].items()]
    console.table(("what", "value"), rows, right=" r")


@board.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@name_option
@options.common
def power(state: str, name: str) -> None:
    """Switch a virtual board on or off.

    Off loses what is in its memories, and tears what its flash is doing.
    """
    _do(name, f"power {state}")


@board.command()
@name_option
@options.common
def reset(name: str) -> None:
    """Press the reset button of a virtual board."""
    _do(name, "reset")


def _say_running(files: BoardFiles, flash: Path | None) -> None:
    if console.STATE.json_mode:
        found = {"name": files.name, "port": str(files.port), "flash": str(flash or "")}
        console.emit("board-run.v1", found)
    console.log(f"virtual board {files.name}, its flash in {flash or 'memory'}")
    console.say(str(files.port))


def _ask(name: str, *lines: str) -> dict[str, Any]:
    from norcim.transport.virtual import board_files

    files = board_files(name)
    first, *others = lines
    found = {**files.command(first), "port": str(files.port)}
    return {**found, **{line: files.command(line) for line in others}}


def _do(name: str, line: str) -> None:
    found = _ask(name, line)
    if console.STATE.json_mode:
        console.emit("board-status.v1", found)
    console.say(f"{name}: power {'on' if found['power'] else 'off'}, {found['resets']} reset(s)")


def _shown(value: Any) -> str:
    return f"{value:,}" if type(value) is int else str(value)
