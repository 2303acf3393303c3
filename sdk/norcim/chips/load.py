"""Reads chip files: TOML in, a typed and checked `Chip` out."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from norcim.chips.check import check_heading, check_source, check_value, flatten, out_of_range
from norcim.chips.model import (
    About,
    Arrays,
    Cells,
    Chip,
    Converter,
    Energy,
    Memories,
    Published,
    Region,
    Timing,
)
from norcim.chips.schema import NOT_INHERITED, SCHEMA, UNBINDING
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.spec.program import Rule, Stage


def list_chips() -> tuple[str, ...]:
    """Names of the chips that ship with norcim, sorted."""
    data = resources.files("norcim.chips") / "data"
    return tuple(sorted(f.name[:-5] for f in data.iterdir() if f.name.endswith(".toml")))


def load_chip(name_or_path: str | Path) -> Chip:
    """A shipped chip by its name, or any chip file by its path.

    Raises NC-E0701 (no such chip or file), NC-E0702 (not TOML), NC-E0703 to NC-E0707 (bad values).
    """
    return parse_chip(read_chip_file(name_or_path), str(name_or_path))


def read_chip_file(name_or_path: str | Path) -> bytes:
    """The bytes of a shipped chip's file, or of any chip file. Raises NC-E0701."""
    name = str(name_or_path)
    if name in list_chips():
        return (resources.files("norcim.chips") / "data" / f"{name}.toml").read_bytes()
    path = Path(name)
    if not path.is_file():
        raise _unknown_chip(name)
    return path.read_bytes()


def _unknown_chip(name: str) -> NorcimError:
    known = list_chips()
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return NorcimError(
        "NC-E0701",
        "no such chip, and no such file",
        where=name,
        expected="one of " + ", ".join(known) + ", or the path of a chip file",
        got=name,
        fix=f"did you mean '{close[0]}'?" if close else "list the chips with `norcim chips`",
        exit_code=EXIT_USAGE,
    )


def parse_chip(data: bytes, where: str, overrides: Mapping[str, Any] | None = None) -> Chip:
    """Parse and check the bytes of a chip file; `where` names it in errors.

    overrides  dotted key -> value that takes the place of the file's, checked as it
    """
    try:
        tree = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise NorcimError(
            "NC-E0702",
            "chip file is not TOML",
            where=where,
            expected="a TOML document",
            got=str(cause),
            fix="correct the line that the message names",
            exit_code=EXIT_USAGE,
        ) from cause
    tree = _with_base(tree, where)
    for key, value in (overrides or {}).items():
        section, _, name = key.partition(".")
        tree.setdefault(section, {})[name] = {"value": value, "source": "varied"}
    entries = flatten(tree, where)
    sources = {key: check_source(entry, key, where) for key, entry in entries.items()}
    values = {key: check_value(entry, key, where) for key, entry in entries.items()}
    values["name"] = check_heading(tree, "name", where)
    title = check_heading(tree, "title", where)
    _check_consistent(values, where)
    return _build_chip(values, title, sources)


def _with_base(tree: dict[str, Any], where: str) -> dict[str, Any]:
    """The tree with what it lacks taken from the shipped chip that `base` names, if it names one.

    Inherited values are marked as ASSUMED; what a chip is and what its maker published is not
    inherited. Raises NC-E0701 if the base is no shipped chip, or has a base itself.
    """
    if "base" not in tree:
        return tree
    base = check_heading(tree, "base", where)
    own = {key: body for key, body in tree.items() if key != "base"}
    if base not in list_chips():
        raise _unknown_chip(base)
    text = (resources.files("norcim.chips") / "data" / f"{base}.toml").read_text("utf-8")
    source = tomllib.loads(text)
    if "base" in source:
        raise _unknown_chip(base)
    for section, body in source.items():
        if not isinstance(body, dict) or section in NOT_INHERITED:
            continue
        inherited = {key: entry | {"source": f"ASSUMED: as {base}"} for key, entry in body.items()}
        given = own.get(section, {})
        own[section] = inherited | given if isinstance(given, dict) else given
    return own


def _check_consistent(values: dict[str, Any], where: str) -> None:
    n_rows = values["arrays.n_rows"]
    end = 0
    for first, count in sorted(values["arrays.regions"]):
        if first < end or count < 1 or first + count > n_rows:
            expected = f"regions inside rows 0..{n_rows - 1} that do not overlap"
            out_of_range(where, "arrays.regions", expected, values["arrays.regions"])
        end = first + count
    n_columns = values["arrays.n_columns"]
    if values["arrays.reserved_columns"] >= n_columns:
        reserved = values["arrays.reserved_columns"]
        out_of_range(where, "arrays.reserved_columns", f"0..{n_columns - 1}", reserved)
    if values["converter.gain_hi"] < values["converter.gain_lo"]:
        lowest = values["converter.gain_lo"]
        hi = values["converter.gain_hi"]
        out_of_range(where, "converter.gain_hi", f"at least gain_lo = {lowest}", hi)


def _section(values: dict[str, Any], section: str) -> dict[str, Any]:
    return {k.split(".")[1]: v for k, v in values.items() if k.startswith(section + ".")}


def _build_chip(values: dict[str, Any], title: str, sources: dict[str, str]) -> Chip:
    arrays = _section(values, "arrays")
    arrays["regions"] = tuple(Region(*pair) for pair in arrays["regions"])
    converter = _section(values, "converter")
    converter["rule"] = Rule[converter["rule"].upper()]
    return Chip(
        name=values["name"],
        title=title,
        arrays=Arrays(**arrays),
        converter=Converter(**converter),
        stage=Stage[values["digital.stage"].upper()],
        vector_ops=frozenset(values["digital.vector_ops"]),
        memories=Memories(**_section(values, "memories")),
        timing=Timing(**_section(values, "timing")),
        energy=Energy(**_section(values, "energy")),
        about=About(**_section(values, "about")),
        published=Published(**_section(values, "published")),
        cells=Cells(**_section(values, "cells")),
        sources=sources,
        fingerprint=_fingerprint(values),
    )


def _fingerprint(values: dict[str, Any]) -> str:
    """SHA-256 of the values that an image is bound to, hex.

    Sources, title, the order of keys, the sections of UNBINDING and defaults do not count.
    """
    values = {
        key: value
        for key, value in values.items()
        if key.split(".")[0] not in UNBINDING
        and (key not in SCHEMA or value != SCHEMA[key].default)
    }
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
