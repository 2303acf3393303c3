"""The SoC as the virtual board has it."""

from __future__ import annotations

from norcim_overlay.npu.macro import Sizes
from norcim_overlay.soc.config import SocConfig
from norcim_overlay.soc.top import Soc

#: Cycles that the firmware takes for a second: virtual seconds last about as long as real ones.
CLOCK_HZ = 4_000_000
#: 8 cycles a bit at the protocol's default rate.
UART_HZ = 921_600
