"""Configuration: flag, then NORCIM_* variable, then project file, then user file, then default.

The project file is the nearest norcim.toml, or pyproject.toml with [tool.norcim], from the working
folder upwards. The user file is config.toml in the user's configuration folder for norcim.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from norcim.errors import EXIT_USAGE, NorcimError


@dataclass(frozen=True)
class Setting:
    """A value that can be configured."""

    kind: type
    default: Any
    doc: str
    variable: str


@dataclass(frozen=True)
class Resolved:
    """A setting's value and where it comes from."""

    value: Any
    source: str


SETTINGS = {
    "chip": Setting(str, "nor1", "Chip, by name or by the path of its file.", "NORCIM_CHIP"),
    "port": Setting(
        str, "emulator:", "Device: emulator:, emulator:FILE or a serial port.", "NORCIM_PORT"
    ),
    "seed": Setting(int, 0, "Seed of everything random.", "NORCIM_SEED"),
}


def resolve(name: str, flag: Any = None) -> Resolved:
    """The value of a setting and its source. Raises NC-E0104 for a bad variable or file."""
    if flag is not None:
        return Resolved(flag, "flag")
    item = SETTINGS[name]
    if item.variable in os.environ:
        where = f"environment variable {item.variable}"
        return Resolved(_convert(item, os.environ[item.variable], where), where)
    for path, values in config_files():
        if name in values:
            return Resolved(_convert(item, values[name], str(path)), str(path))
    return Resolved(item.default, "default")


def config_files() -> list[tuple[Path, dict[str, Any]]]:
    """The configuration files that are there, the strongest first, with their values."""
    found = []
    project = _find_project_file()
    if project is not None:
        found.append(project)
    user = user_config_path()
    if user.is_file():
        found.append((user, _checked(_read_toml(user), user)))
    return found


def user_config_path() -> Path:
    """Where the user's own configuration is looked for."""
    return Path(click.get_app_dir("norcim")) / "config.toml"


def _find_project_file() -> tuple[Path, dict[str, Any]] | None:
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "norcim.toml"
        if path.is_file():
            return path, _checked(_read_toml(path), path)
        path = folder / "pyproject.toml"
        if path.is_file():
            values = _read_toml(path).get("tool", {}).get("norcim")
            if values is not None:
                return path, _checked(values, path)
    return None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise _bad(str(path), "a TOML file that can be read", str(cause)) from cause


def _checked(values: Any, path: Path) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise _bad(str(path), "a table [tool.norcim]", repr(values))
    unknown = [key for key in values if key not in SETTINGS]
    if unknown:
        raise _bad(str(path), "the keys " + ", ".join(SETTINGS), ", ".join(unknown))
    return values


def _convert(item: Setting, value: Any, where: str) -> Any:
    if item.kind is int and isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise _bad(where, "an integer", repr(value)) from None
    if type(value) is not item.kind or value == "":
        raise _bad(where, f"a value of type {item.kind.__name__}", repr(value))
    return value


def _bad(where: str, expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0104",
        "the configuration cannot be used",
        where=where,
        expected=expected,
        got=got,
        fix="correct or remove it; `norcim doctor` shows what is configured where",
        exit_code=EXIT_USAGE,
    )
