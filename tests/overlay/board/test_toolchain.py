"""How a simulation program is made, without making one."""

from __future__ import annotations

import pytest

from norcim_overlay.sim import toolchain
from norcim_overlay.sim.toolchain import Program, clock_edges

MADE = """
    CData/*0:0*/ __Vtrigprevexpr___TOP__clk__0;
    CData/*0:0*/ __Vtrigprevexpr___TOP__npu_clk__0;
    Vsoc___024root___eval(&(vlSymsp->TOP));
"""


def test_clocks_are_lowered_inside_of_the_class_that_verilator_makes() -> None:
    header = clock_edges(MADE, "soc", ("clk", "npu_clk"))
    assert "top.rootp->__Vtrigprevexpr___TOP__npu_clk__0 = 0;" in header
    assert "{ Vsoc___024root___eval(top.rootp); }" in header


@pytest.mark.parametrize("line", MADE.strip().splitlines())
def test_clocks_are_evaluated_where_that_class_looks_different(line: str) -> None:
    header = clock_edges(MADE.replace(line, ""), "soc", ("clk", "npu_clk"))
    assert "{ top.clk = 0; top.npu_clk = 0; top.eval(); }" in header
    assert "{ top.eval(); }" in header
    assert "___eval(" not in header


def test_a_program_for_another_processor_is_another_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Program("board", "soc", "", {}).digest
    monkeypatch.setattr(toolchain, "processor", lambda: "another")
    assert Program("board", "soc", "", {}).digest != here
