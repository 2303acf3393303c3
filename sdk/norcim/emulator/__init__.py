"""Executes weight images in numpy: fast kernels, the golden reference and the device model."""

from __future__ import annotations

from norcim.emulator.engine import Counters, Emulator

__all__ = ["Counters", "Emulator"]
