"""The SoC as the virtual board has it."""

from __future__ import annotations

from norcim_overlay.soc.config import OVERLAY_SIZES, SocConfig
from norcim_overlay.soc.top import Soc

#: Cycles that the firmware takes for a second: virtual seconds last about as long as real ones.
CLOCK_HZ = 4_000_000
#: 8 cycles a bit at the protocol's default rate.
UART_HZ = 921_600


def simulated_soc(firmware: bytes) -> Soc:
    """The SoC with the sizes of the overlay, its clocks open, and the flash's own unique id."""
    return Soc(SocConfig(OVERLAY_SIZES, clock_hz=CLOCK_HZ, uart_hz=UART_HZ), firmware)
