"""`norcim board`."""

from __future__ import annotations

import click

from norcim_cli import options
from norcim_cli.commands.bitstream import bitstream


@click.group()
@options.common
def board() -> None:
    """Build the overlay for an FPGA board."""


board.add_command(bitstream)
