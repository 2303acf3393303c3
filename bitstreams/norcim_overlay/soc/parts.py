"""What comes from luna-soc, imported in one place.

luna_soc has to come before amaranth_soc and amaranth_stdio: it puts its own copies of them on the
import path (the package registry's amaranth-soc is empty).
"""

import luna_soc  # noqa: F401  # isort: skip
from amaranth_soc import wishbone
from amaranth_stdio.serial import AsyncSerial
from luna_soc.gateware.core.spiflash import SPIPHYController

__all__ = [
    "AsyncSerial",
    "SPIPHYController",
    "bus_signature",
]


def bus_signature() -> wishbone.Signature:
    """The CPU's buses: Wishbone with 32-bit words, bursts and errors."""
    return wishbone.Signature(
        addr_width=30, data_width=32, granularity=8, features={"err", "cti", "bte"}
    )
