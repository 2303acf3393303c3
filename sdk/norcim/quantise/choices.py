"""What a user fixes for single layers, instead of leaving it to the searches."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from norcim.chips.model import Chip
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.ir.graph import Graph
from norcim.spec.program import Rule, Stage

_MOST = {"gain": 30, "row_tiles": 64, "stack": 16, "copies": 255}
_LEAST = {"gain": 0, "row_tiles": 1, "stack": 1, "copies": 1}


@dataclass(frozen=True)
class LayerChoice:
    """None leaves a value to the search.

    range      real values that the output covers; what is beyond is clipped
    gain       exponent of the converter's divisor
    row_tiles  fewest row tiles
    stack      tiles that convert the same sums, each a stretch of their range
    copies     wordlines that carry the same input
    """

    range: tuple[float, float] | None = None
    gain: int | None = None
    row_tiles: int | None = None
    stack: int | None = None
    copies: int | None = None


Choices = Mapping[str, LayerChoice]
"""By the name of the layer, as `norcim info` shows it."""


def read_choices(path: str | Path) -> Choices:
    """Choices from a TOML file with one table `layers.NAME` a layer. Raises NC-E0101, NC-E0408."""
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as cause:
        raise NorcimError(
            "NC-E0101", "cannot read the file", where=str(path), got=str(cause),
            fix="check the path and its permissions", exit_code=EXIT_USAGE,
        ) from cause  # fmt: skip
    except ValueError as cause:
        raise _bad(str(path), "TOML in UTF-8", str(cause)) from cause
    unknown = sorted(set(data) - {"layers"})
    layers = data.get("layers", {})
    if unknown or not isinstance(layers, dict):
        raise _bad(str(path), "tables layers.NAME only", ", ".join(unknown) or repr(layers))
    return {name: _choice(f"{path}: layers.{name}", table) for name, table in layers.items()}


def _choice(where: str, table: Any) -> LayerChoice:
    known = [field.name for field in fields(LayerChoice)]
    if not isinstance(table, dict) or set(table) - set(known):
        raise _bad(where, "a table with " + ", ".join(known), repr(table))
    values = dict(table)
    if "range" in values:
        span = values["range"]
        numbers = isinstance(span, list) and all(_is_number(value) for value in span)
        if not numbers or len(span) != 2 or not span[0] <= 0 <= span[1] or span[0] == span[1]:
            limits = "range = [low, high], low <= 0 <= high: padding needs the 0"
            raise _bad(where, limits, repr(span))
        values["range"] = (float(span[0]), float(span[1]))
    for name in _MOST.keys() & values.keys():
        value = values[name]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not _LEAST[name] <= value <= _MOST[name]:
            raise _bad(where, f"{name}: a whole number {_LEAST[name]}..{_MOST[name]}", repr(value))
    return LayerChoice(**values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _bad(where: str, expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0408", "the choices for layers cannot be used", where=where, expected=expected,
        got=got, fix="see docs/quantiser.md", exit_code=EXIT_USAGE,
    )  # fmt: skip


def check_choices(choices: Choices, graph: Graph, chip: Chip) -> None:
    """Raises NC-E0409 for a layer that is not there, or a choice that the chip does not have."""
    kinds = {op.node: op.kind for op in graph.ops}
    lossy, shift = chip.converter.rule != Rule.LOSSLESS, chip.stage == Stage.SHIFT
    converter = chip.converter
    for name, choice in choices.items():
        if name not in kinds:
            near = [node for node in kinds if name.lower() in node.lower()][:5]
            raise _refused(name, "a layer of the model", ", ".join(near) or "no such layer")
        asked = {key for key in _MOST if getattr(choice, key) is not None}
        if asked and kinds[name] != "conv":
            raise _refused(name, "a range only: no weights lie on the arrays", str(sorted(asked)))
        if asked and not lossy:
            raise _refused(name, "a range only: the converter loses nothing", str(sorted(asked)))
        if shift and choice.stack is not None:
            raise _refused(name, "no stack: the code of one tile is the output", str(choice.stack))
        if not shift and choice.copies is not None:
            raise _refused(name, "no copies: a requantiser follows", str(choice.copies))
        if choice.gain is not None and not converter.gain_lo <= choice.gain <= converter.gain_hi:
            limits = f"a gain {converter.gain_lo}..{converter.gain_hi}"
            raise _refused(name, limits, str(choice.gain))


def _refused(name: str, expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0409", "a choice for a layer does not fit the model or the chip", where=name,
        expected=expected, got=got, exit_code=EXIT_USAGE,
        fix="`norcim info` names the layers; docs/quantiser.md has what can be chosen",
    )  # fmt: skip
