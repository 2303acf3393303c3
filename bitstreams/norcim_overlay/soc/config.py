"""What a build of the SoC is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from norcim_overlay.npu.macro import Sizes

SOURCES = ("npu", "soc")
#: Of these folders, what builds something else than the FPGA's design.
NOT_GATEWARE = ("firmware.py", "simulation.py")

#: Of the chip file `overlay`, as an ECP5-85F holds it.
OVERLAY_SIZES = Sizes(
    n_lanes=64,
    n_vector_lanes=32,
    n_activation_bytes=1 << 16,
    n_weight_bytes=64 * (4096 + 64),
    n_record_words=1 << 13,
    n_descriptors=256,
)


@dataclass(frozen=True)
class SocConfig:
    """Sizes and constants that the gateware is built with; the firmware reads them.

    sizes          of the NPU
    clock_hz       clock cycles a second
    uart_hz        the UART's divisor is this, divided by the baud rate; None: clock_hz
    flash_base     first byte of the flash that is ours, a multiple of 4096
    flash_bytes    bytes from there on that are ours
    unique_id      64 bits; 0: the flash chip's own
    n_ram_bytes    memory of the CPU, a power of two
    n_receive_bytes, n_send_bytes   FIFOs of the UART
    """

    sizes: Sizes
    clock_hz: int = 50_000_000
    uart_hz: int | None = None
    flash_base: int = 0
    flash_bytes: int = 4 << 20
    unique_id: int = 0
    n_ram_bytes: int = 32 << 10
    n_receive_bytes: int = 2048
    n_send_bytes: int = 64


def gateware_id(config: SocConfig) -> int:
    """A 32-bit hash of the gateware's sources and of its configuration."""
    digest = hashlib.sha256(repr(config).encode())
    root = Path(__file__).parents[1]
    for folder in SOURCES:
        for path in sorted((root / folder).glob("*.py")):
            if path.name not in NOT_GATEWARE:
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:4], "little")
