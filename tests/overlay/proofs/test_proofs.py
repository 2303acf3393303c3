"""Proofs of the real gateware, and for each of them a bug that it refutes."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import z3
from amaranth.lib import fifo

from norcim.spec.program import Rule
from norcim_overlay.npu import converter as converter_gateware
from norcim_overlay.npu import fetcher as fetcher_gateware
from norcim_overlay.npu import requantise as requantise_gateware
from norcim_overlay.soc import flash
from norcim_overlay.soc.config import OVERLAY_SIZES, SocConfig
from tests.overlay.mutant import mutant
from tests.overlay.proofs import converter, queues, requantiser
from tests.overlay.proofs.sby import PROVEN, REFUTED, missing_packages, prove

pytestmark = pytest.mark.slow

CONFIG = SocConfig(OVERLAY_SIZES)

# name: (harness, depth, a bug: module, component, text, what replaces it). Depth is more than the
# pipeline is long, and one more behind a cut, which is 0 in the first cycle.
PROOFS: dict[str, tuple[Any, int, tuple[ModuleType, str, str, str]]] = {
    "converter-lossless": (
        lambda: converter.ConverterDefinition(Rule.LOSSLESS), 5,
        (converter_gateware, "Converter", "half.eq(Mux(lossless, 0,", "half.eq(Mux(0, 0,"),
    ),
    "converter-linear": (
        lambda: converter.ConverterDefinition(Rule.LINEAR), 5,
        (converter_gateware, "Converter", "scaled = Signal(signed(SUM_BITS + 3))",
         "scaled = Signal(signed(SUM_BITS))"),
    ),
    "converter-wtm2101": (
        lambda: converter.ConverterDefinition(Rule.WTM2101), 5,
        (converter_gateware, "Converter", "(quarters + 2) >> 2", "(quarters + 1) >> 2"),
    ),
    "converter-monotonic": (
        converter.ConverterMonotonic, 5,
        (converter_gateware, "Converter", "Mux(over, hi, Mux(under, lo, value))",
         "Mux(over, lo, Mux(under, lo, value))"),
    ),
    "requantiser-bias": (
        requantiser.RequantiseBias, 2,
        (requantise_gateware, "Requantise", "biased.eq(self.total + self.bias)",
         "biased.eq(self.total - self.bias)"),
    ),
    "requantiser-product": (
        requantiser.RequantiseProduct, 5,
        (requantise_gateware, "Requantise", "product.eq((upper << 16) + lower)",
         "product.eq((upper << 16) | lower)"),
    ),
    "requantiser-floor": (
        requantiser.RequantiseFloor, 7,
        (requantise_gateware, "Requantise", "rounded = Signal(signed(PRODUCT_BITS))",
         "rounded = Signal(signed(PRODUCT_BITS - 2))"),
    ),
    "requantiser-clamp": (
        requantiser.RequantiseClamp, 4,
        (requantise_gateware, "Requantise", "Signal(signed(PRODUCT_BITS + 1))",
         "Signal(signed(CODE_BITS))"),
    ),
    "fetcher": (
        queues.FetcherBookkeeping, 3,
        (fetcher_gateware, "Fetcher", "self.memory.request & self.memory.ready",
         "self.memory.request"),
    ),
    "fifo-uart-received": (
        lambda: queues.FifoOrder(8, CONFIG.n_receive_bytes), 5,
        (fifo, "SyncFIFOBuffered", "self.level.eq(inner_level + self.r_rdy)",
         "self.level.eq(inner_level)"),
    ),
    "fifo-uart-to-send": (
        lambda: queues.FifoOrder(8, CONFIG.n_send_bytes), 5,
        (fifo, "SyncFIFOBuffered", "inner_r_rdy & (~self.r_rdy | self.r_en)", "inner_r_rdy"),
    ),
    "fifo-flash-received": (
        lambda: queues.FifoOrder(flash.WORD_BITS, flash.FIFO_WORDS), 11,
        (fifo, "SyncFIFOBuffered", "self.w_rdy.eq(inner_level != inner_depth)", "self.w_rdy.eq(1)"),
    ),
    "fifo-flash-to-send": (
        lambda: queues.FifoOrder(flash.WORD_BITS + 11, flash.FIFO_WORDS), 5,
        (fifo, "SyncFIFOBuffered", "r_port.en.eq(do_inner_read)", "r_port.en.eq(1)"),
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _tools() -> None:
    missing = missing_packages()
    if missing:
        message = f"proofs need {' '.join(missing)}: pip install 'norcim[dev]'"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.mark.parametrize("name", PROOFS)
def test_holds(name: str, tmp_path: Path) -> None:
    harness, depth, _ = PROOFS[name]
    status, log = prove(harness(), tmp_path, depth)
    assert status == PROVEN, log[-6000:]


@pytest.mark.parametrize("name", PROOFS)
def test_refutes_a_planted_bug(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness, depth, (module, component, old, new) = PROOFS[name]
    monkeypatch.setattr(module, component, getattr(mutant(module, old, new), component))
    status, log = prove(harness(), tmp_path, depth)
    assert status == REFUTED, log[-6000:]


def test_the_halves_of_a_sum_give_its_product() -> None:
    """What RequantiseProduct takes from the distributive law, over all integers."""
    upper, lower, multiplier = z3.Ints("upper lower multiplier")
    solver = z3.Solver()
    whole = (upper * 2**16 + lower) * multiplier
    solver.add(whole != upper * multiplier * 2**16 + lower * multiplier)
    assert solver.check() == z3.unsat
