"""Checks a parsed chip file against the schema; every fault is a NorcimError of the 07xx range."""

from __future__ import annotations

import difflib
import math
from typing import Any, NoReturn

from norcim.chips.schema import DEFAULT_SOURCE, SCHEMA, SECTIONS, Key
from norcim.errors import EXIT_USAGE, NorcimError

HEADINGS = ("name", "title")


def flatten(tree: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Dotted key -> its {value, source} table, in schema order.

    Raises NC-E0703 for keys that the schema lacks, NC-E0704 for keys that the file lacks.
    """
    entries = {
        f"{section}.{key}": entry
        for section, body in tree.items()
        if section in SECTIONS and isinstance(body, dict)
        for key, entry in body.items()
    }
    strays = [key for key in tree if key not in SECTIONS and key not in HEADINGS]
    _reject_unknown(strays + [key for key in entries if key not in SCHEMA], where)
    needed = (*HEADINGS, *(key for key, rule in SCHEMA.items() if rule.default is None))
    missing = [key for key in needed if key not in entries and key not in tree]
    if missing:
        raise NorcimError(
            "NC-E0704",
            f"chip file lacks {len(missing)} value(s)",
            where=where,
            expected=", ".join(missing),
            got="nothing",
            fix="start from a copy of a shipped file; docs/chips.md explains every value",
            exit_code=EXIT_USAGE,
        )
    return {key: entries.get(key, _default(rule)) for key, rule in SCHEMA.items()}


def _default(rule: Key) -> dict[str, Any]:
    return {"value": rule.default, "source": DEFAULT_SOURCE}


def _reject_unknown(unknown: list[str], where: str) -> None:
    if not unknown:
        return
    close = difflib.get_close_matches(unknown[0], [*SCHEMA, *HEADINGS], n=1)
    raise NorcimError(
        "NC-E0703",
        f"chip file has unknown key(s) {', '.join(unknown)}",
        where=where,
        expected=f"'{close[0]}'" if close else "the keys of docs/chips.md",
        got=f"'{unknown[0]}'",
        why="a misspelt key would silently leave its value at something else",
        fix="rename or remove it",
        exit_code=EXIT_USAGE,
    )


def check_heading(tree: dict[str, Any], key: str, where: str) -> str:
    """The file's name or title: a non-empty string."""
    value = tree[key]
    if not isinstance(value, str) or not value:
        _wrong_type(where, key, "a non-empty string", value)
    return value


def check_source(entry: Any, key: str, where: str) -> str:
    """The source of a value. Raises NC-E0707 if the value has none."""
    source = entry.get("source") if isinstance(entry, dict) else None
    if not isinstance(source, str) or not source.strip():
        raise NorcimError(
            "NC-E0707",
            f"{key} has no source",
            where=where,
            expected='{ value = ..., source = "where it comes from, or ASSUMED" }',
            got=repr(entry),
            why="an estimate is worth as much as the numbers under it",
            fix='name the document, or write source = "ASSUMED: why"',
            exit_code=EXIT_USAGE,
        )
    _reject_unknown([f"{key}.{name}" for name in entry if name not in ("value", "source")], where)
    return source


def check_value(entry: dict[str, Any], key: str, where: str) -> Any:
    """The value in its schema type. Raises NC-E0704, NC-E0705 or NC-E0706."""
    if "value" not in entry:
        raise NorcimError(
            "NC-E0704",
            f"{key} has a source but no value",
            where=where,
            expected="{ value = ..., source = ... }",
            got=repr(entry),
            fix="add the value",
            exit_code=EXIT_USAGE,
        )
    rule = SCHEMA[key]
    value = entry["value"]
    if rule.kind in ("int", "float"):
        return _number(rule, key, value, where)
    if rule.kind == "bool":
        return value if isinstance(value, bool) else _wrong_type(where, key, "true or false", value)
    if rule.kind == "choice":
        return _choice(rule, key, value, where)
    if rule.kind == "text":
        return value if isinstance(value, str) else _wrong_type(where, key, "a string", value)
    if rule.kind == "choices":
        if not isinstance(value, list):
            _wrong_type(where, key, "a list of strings", value)
        return sorted({_choice(rule, key, item, where) for item in value})
    return _regions(key, value, where)


def _number(rule: Key, key: str, value: Any, where: str) -> int | float:
    allowed = (int,) if rule.kind == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        _wrong_type(where, key, "an integer" if rule.kind == "int" else "a number", value)
    if not math.isfinite(value) or not rule.lo <= value <= rule.hi:
        out_of_range(where, key, f"{rule.lo:g}..{rule.hi:g} {rule.unit}".strip(), value)
    return int(value) if rule.kind == "int" else float(value)


def _choice(rule: Key, key: str, value: Any, where: str) -> str:
    if not isinstance(value, str):
        _wrong_type(where, key, "a string", value)
    if value not in rule.choices:
        out_of_range(where, key, "one of " + ", ".join(rule.choices), value)
    return str(value)


def _regions(key: str, value: Any, where: str) -> list[list[int]]:
    good = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(item) is int for item in pair)
        for pair in value
    )
    if not good or not value:
        _wrong_type(where, key, "a list of [first row, number of rows]", value)
    return [list(pair) for pair in value]


def _wrong_type(where: str, key: str, expected: str, value: Any) -> NoReturn:
    raise NorcimError(
        "NC-E0705",
        f"{key} has the wrong type",
        where=where,
        expected=expected,
        got=f"{value!r} ({type(value).__name__})",
        fix="correct the value; docs/chips.md gives the type of each",
        exit_code=EXIT_USAGE,
    )


def out_of_range(where: str, key: str, expected: str, value: Any) -> NoReturn:
    """Raise NC-E0706."""
    raise NorcimError(
        "NC-E0706",
        f"{key} is out of range",
        where=where,
        expected=expected,
        got=repr(value),
        fix="correct the value; docs/chips.md gives the range of each",
        exit_code=EXIT_USAGE,
    )
