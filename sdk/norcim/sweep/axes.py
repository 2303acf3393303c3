"""What a sweep varies: axes as a user writes them, and the points of their product."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from norcim.chips.schema import SCHEMA
from norcim.errors import EXIT_USAGE, NorcimError

ALIASES = {
    "adc_bits": "converter.bits",
    "sigma_w": "cells.program_floor",
    "sigma_read": "cells.read_floor",
}
"""Short names. sigma_w and sigma_read stand for a sigma that does not depend on the state."""

CONDITIONS = ("age", "temperature", "cycles")
"""Axes that are no value of a chip file: seconds, degrees Celsius, program cycles."""

MAX_POINTS = 100_000

Value = int | float


@dataclass(frozen=True)
class Axis:
    """A name as the user gave it, and the values that it takes."""

    name: str
    values: tuple[Value, ...]


def parse_axis(text: str) -> Axis:
    """`name=1,2,4`, `name=4..10` (steps of 1) or `name=0..8:0.5`.

    name  an alias, a dotted key of the chip file that holds a number, age, temperature or cycles
    Raises NC-E0910.
    """
    name, equals, values = text.partition("=")
    key = ALIASES.get(name, name)
    known = key in CONDITIONS or (key in SCHEMA and SCHEMA[key].kind in ("int", "float"))
    if not equals or not known:
        raise _bad(text, "NAME=VALUES, where NAME is " + ", ".join((*ALIASES, *CONDITIONS))
                   + " or a number of the chip file such as timing.clock_hz")  # fmt: skip
    whole = key in SCHEMA and SCHEMA[key].kind == "int"
    try:
        found = _range(values) if ".." in values else [float(v) for v in values.split(",")]
    except ValueError:
        raise _bad(text, "numbers: 4..10, 0..8:0.5 or 1,2,4") from None
    if not found or (whole and any(v != int(v) for v in found)):
        raise _bad(text, "whole numbers, at least one" if whole else "at least one number")
    unique = dict.fromkeys(int(v) if whole else v for v in found)
    return Axis(name, tuple(unique))


def _range(text: str) -> list[float]:
    bounds, _, step_text = text.partition(":")
    first_text, _, last_text = bounds.partition("..")
    first, last = float(first_text), float(last_text)
    step = float(step_text) if step_text else 1.0
    if step <= 0 or (last - first) / step >= MAX_POINTS:
        raise ValueError
    # Multiples of the step, not sums: the last value is there however the step rounds.
    return [first + step * i for i in range(int((last - first) / step + 1e-9) + 1)]


def _bad(text: str, expected: str) -> NorcimError:
    return NorcimError(
        "NC-E0910", "this cannot be varied", where=text, expected=expected, got=text,
        fix="correct --vary", exit_code=EXIT_USAGE,
    )  # fmt: skip


def points_of(axes: Sequence[Axis]) -> list[dict[str, Value]]:
    """Every combination, the last axis fastest. Raises NC-E0910 for too many, or a name twice."""
    names = [axis.name for axis in axes]
    if len({ALIASES.get(name, name) for name in names}) < len(names):
        raise _bad(", ".join(names), "each name once")
    total = 1
    for axis in axes:
        total *= len(axis.values)
    if total > MAX_POINTS:
        raise _bad(f"{total:,} points", f"at most {MAX_POINTS:,}")
    product = itertools.product(*(axis.values for axis in axes))
    return [dict(zip(names, values, strict=True)) for values in product]


def overrides_of(point: dict[str, Value]) -> dict[str, Value | str]:
    """Dotted keys of the chip file that a point sets."""
    found: dict[str, Value | str] = {}
    for name, value in point.items():
        if name not in CONDITIONS:
            found[ALIASES.get(name, name)] = value
    if "sigma_w" in point:
        found["cells.program_slope"] = 0.0
    if "sigma_read" in point:
        found["cells.read_slope"] = 0.0
    return found
