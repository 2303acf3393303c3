"""What a board is to the bitstream flow, and which ones there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from norcim.errors import NorcimError
from norcim_overlay.soc.config import SocConfig

BOARDS = {"ulx3s-85f": "norcim_overlay.boards.ulx3s"}


@dataclass(frozen=True)
class Board:
    """A board.

    name             as on the command line
    device           the FPGA's part number
    config           of the SoC
    design           module with `prepare`
    device_options   of nextpnr
    pack_options     of ecppack
    """

    name: str
    device: str
    config: SocConfig
    design: str
    device_options: tuple[str, ...]
    pack_options: tuple[str, ...]

    def prepare(self, ram: bytes) -> Mapping[str, str | bytes]:
        """Elaborate: files by name, for synthesis and for place and route."""
        files: Mapping[str, str | bytes] = import_module(self.design).prepare(self.config, ram)
        return files


def find_board(name: str) -> Board:
    """A board of BOARDS. Raises NorcimError NC-E0652 if there is none of that name."""
    if name not in BOARDS:
        raise NorcimError(
            "NC-E0652",
            f"no board is called {name}",
            expected=" or ".join(BOARDS),
            got=name,
            fix="give one of these",
            exit_code=2,
        )
    board: Board = import_module(BOARDS[name]).BOARD
    return board
