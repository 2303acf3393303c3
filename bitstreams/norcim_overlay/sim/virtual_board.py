"""The virtual board: builds the Verilated SoC with its harness, starts it, stops it.

The program behind it (sim/board, C++) runs the whole SoC cycle by cycle with the real firmware, a
flash that keeps to the rules of NOR, and a serial line on a pseudo-terminal, bit by bit.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import norcim
from norcim.errors import EXIT_DEVICE, EXIT_FAILED, NorcimError
from norcim.transport.virtual import DEFAULT_NAME, BoardFiles, board_files
from norcim_overlay.sim.toolchain import (
    PACKAGES,
    Program,
    Report,
    build,
    cache_folder,
    missing_packages,
    processor,
)

HARNESS = Path(__file__).parent / "board"
GATEWARE = {
    "amaranth": "amaranth", "luna_soc": "luna-soc",
    "pythondata_cpu_vexriscv": "pythondata-cpu-vexriscv",
}  # fmt: skip
SOURCE_SUFFIXES = (".py", ".toml", ".cpp", ".h", ".v")
OPTIONS = ("-O2",)
CLOCKS = ("clk", "npu_clk")
MARKER = 0x4E434D4B  #: stands in the gateware for the firmware, which is read at power-on
_KINDS = {
    "name-in-use": ("NC-E0642", "a virtual board of this name runs already",
                    "choose another with --name, or stop it: norcim board stop"),
    "flash-in-use": ("NC-E0603", "the flash file is in use",
                     "wait for the other process to end, or use another file"),
    "flash": ("NC-E0602", "the file cannot serve as the board's flash",
              "give the path of a new file: it is created"),
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How a board is run.

    name         it is found by
    flash        file that keeps the flash, None: it is forgotten at the end
    n_sectors    of 4 KiB that the flash has
    clock_hz     cycles in a second of the board's time
    uart_hz      a bit on the serial line takes uart_hz / baud cycles
    flash_scale  of the flash's busy times; 1 is that of a usual part
    seed         of how torn flash operations end
    detach       outlive the process that starts it
    """

    name: str = DEFAULT_NAME
    flash: Path | None = None
    n_sectors: int = 1024
    clock_hz: float = 4e6
    uart_hz: float = 921_600
    flash_scale: float = 1.0
    seed: int = 0
    detach: bool = False


@dataclass(frozen=True)
class BuiltBoard:
    """A board that can be started.

    program   the simulation, for one gateware
    firmware  hex words that the CPU's memory holds at power-on, None: what the gateware says
    """

    program: Path
    firmware: Path | None = None


def build_board(report: Report | None = None, *, force: bool = False) -> BuiltBoard:
    """The virtual board, from the cache as far as its sources have not changed.

    report  told the stage, and how many of its parts are done
    force   build the simulation again
    Raises NC-E0640 if tools are missing, NC-E0641 with a tool's output if a stage fails.
    """
    if missing := [*missing_packages(), *_missing_gateware()]:
        raise NorcimError(
            "NC-E0640", "the tools that build the virtual board are not installed",
            where=", ".join(missing), fix="pip install 'norcim[overlay]'", exit_code=EXIT_FAILED,
        )  # fmt: skip
    tell = report or (lambda *_: None)
    try:
        tell("firmware", 0, 1)
        firmware = _build_firmware()
        return BuiltBoard(_build_simulation(tell, force=force), firmware)
    except RuntimeError as error:
        raise NorcimError(
            "NC-E0641", "the virtual board cannot be built", got=str(error)[-2000:],
            fix="report it, with the output of `norcim doctor`", exit_code=EXIT_FAILED,
        ) from error  # fmt: skip


def _build_firmware() -> Path:
    """The firmware as hex words, one a line."""
    from norcim_overlay.soc.firmware import build_firmware

    data = build_firmware()
    words = struct.unpack(f"<{-(-len(data) // 4)}I", data + bytes(-len(data) % 4))
    path = cache_folder() / f"firmware-{hashlib.sha256(data).hexdigest()[:16]}.hex"
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text("".join(f"{word:08x}\n" for word in words), "utf-8")
        fresh.replace(path)
    return path


def _build_simulation(report: Report, *, force: bool) -> Path:
    index = cache_folder() / f"board-sources-{_hash_sources()}"
    if not force and index.is_file():
        program = cache_folder() / index.read_text("utf-8")
        if program.is_file():
            return program
    from amaranth.back import rtlil

    from norcim_overlay.soc.cpu import cpu_verilog
    from norcim_overlay.soc.simulation import simulated_soc

    report("gateware", 0, 1)
    top = simulated_soc(struct.pack("<I", MARKER))
    text = rtlil.convert(top, name="soc_core", emit_src=False)
    path = build(board_program(text, cpu_verilog(), MARKER), report, force=force)
    index.write_text(path.name, "utf-8")
    return path


def _missing_gateware() -> list[str]:
    return [package for name, package in GATEWARE.items() if find_spec(name) is None]


def _hash_sources() -> str:
    """Hash of what the gateware can depend on: cheaper than elaborating it."""
    digest = hashlib.sha256(processor().encode())
    for folder in (Path(__file__).parents[1], Path(norcim.__file__).parent):
        for path in sorted(folder.rglob("*")):
            if path.suffix in SOURCE_SUFFIXES and path.is_file():
                name = path.relative_to(folder).as_posix()
                digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    for package in (*PACKAGES.values(), *GATEWARE.values()):
        digest.update(f"{package}={version(package)}\0".encode())
    return digest.hexdigest()[:16]


def board_program(rtlil: str, verilog: str = "", marker: int | None = None) -> Program:
    """The program of a board with this gateware.

    rtlil    module `soc_core` with the pins of soc.top.Soc
    verilog  further modules that it instantiates
    marker   first word of the memory that holds the firmware
    """
    harness = {
        path.name: path.read_bytes() for path in HARNESS.iterdir() if path.suffix in (".cpp", ".h")
    }
    top = (HARNESS / "soc.v").read_text("utf-8")
    return Program("board", "soc", rtlil, harness, top + verilog, OPTIONS, marker, CLOCKS)


def overlay_options(name: str, flash: Path | None, *, detach: bool = False) -> Options:
    """How the overlay's board is run: the clocks that its gateware and firmware are built for."""
    from norcim_overlay.soc.simulation import CLOCK_HZ, UART_HZ

    return Options(name, flash, clock_hz=CLOCK_HZ, uart_hz=UART_HZ, detach=detach)


def default_flash(name: str) -> Path:
    """Where a board's flash is kept unless told."""
    default = Path.home() / ".local" / "state"
    return Path(os.environ.get("XDG_STATE_HOME", default)) / "norcim" / f"{name}.flash"


def start(built: BuiltBoard, options: Options) -> VirtualBoard:
    """Start a board and wait until it can be opened.

    Raises NC-E0642 if one of its name runs, NC-E0602 or NC-E0603 for the flash file, NC-E0646 if it
    does not start.
    """
    files = board_files(options.name)
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flash = options.flash
    if flash:
        flash.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "name": options.name, "port": files.port, "socket": files.socket, "lock": files.lock,
        "flash": flash.absolute() if flash else "", "sectors": options.n_sectors,
        "clock-hz": options.clock_hz, "uart-hz": options.uart_hz,
        "flash-scale": options.flash_scale, "seed": options.seed,
        "firmware": built.firmware or "", "unique-id": _unique_id(options.name),
        "parent": 0 if options.detach else os.getpid(),
    }  # fmt: skip
    given = {name: str(value) for name, value in values.items() if value != ""}
    words = [text for name, value in given.items() for text in (f"--{name}", value)]
    with files.log.open("w") as log:
        process = subprocess.Popen(
            [str(built.program), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log, start_new_session=options.detach, text=True,
        )  # fmt: skip
    with process.stdout as answers:  # type: ignore[union-attr]
        answer = answers.readline()
    if not answer.startswith("ready "):
        process.wait()
        raise _not_started(options, answer, files)
    return VirtualBoard(files, process)


class VirtualBoard:
    """A running board. A context manager, which ends it.

    port  what `norcim.transport.open_device` opens
    """

    def __init__(self, files: BoardFiles, process: subprocess.Popen[str]) -> None:
        self.files, self.process = files, process
        self.port = str(files.port)

    def command(self, line: str) -> dict[str, Any]:
        """A line to the control socket: see BoardFiles.command."""
        return self.files.command(line)

    def leave(self) -> None:
        """Let it run on; it is no longer ours to end."""
        self.process.returncode = 0

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _unique_id(name: str) -> int:
    """From the name and the machine's: the same board keeps it."""
    return int(hashlib.sha256(f"norcim virtual board {name}".encode()).hexdigest()[:16], 16)


def _not_started(options: Options, answer: str, files: BoardFiles) -> NorcimError:
    _, kind, text = [*answer.strip().split(" ", 2), "", "", ""][:3]
    if kind in _KINDS:
        code, what, fix = _KINDS[kind]
        where = options.name if kind == "name-in-use" else str(options.flash)
        return NorcimError(code, what, where=where, got=text, fix=fix, exit_code=EXIT_DEVICE)
    return NorcimError(
        "NC-E0646", "the virtual board did not start", where=options.name,
        got=text or "it ended at once", fix=f"look into {files.log}", exit_code=EXIT_DEVICE,
    )  # fmt: skip
