"""Virtual boards, for the commands that build or start one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from norcim.errors import NorcimError
from norcim_cli import console

if TYPE_CHECKING:
    from norcim_overlay.sim.virtual_board import BuiltBoard


def build(force: bool = False) -> BuiltBoard:
    """The board. Raises NC-E0640 if tools are missing, NC-E0641 if a stage fails."""
    try:
        from norcim_overlay.sim.virtual_board import build_board
    except ImportError as error:
        raise NorcimError(
            "NC-E0640", "the tools that build the virtual board are not installed",
            where=error.name or "", fix="pip install 'norcim[overlay]'",
        ) from error  # fmt: skip
    with console.progress() as progress:
        return build_board(progress, force=force)


@contextmanager
def running_board(name: str) -> Iterator[str]:
    """The port of a board that runs until the end of the block; its flash is forgotten."""
    built = build()
    from norcim.transport import wait_for_device
    from norcim_overlay.sim.virtual_board import overlay_options, start

    with start(built, overlay_options(name, None)) as board:
        wait_for_device(board.port)
        yield board.port
