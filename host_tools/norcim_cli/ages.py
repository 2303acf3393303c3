"""Times as a user writes them: 90s, 12h, 1d, 10y."""

from __future__ import annotations

import re

import click

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31557600.0}


def parse_age(_ctx: click.Context | None, _param: click.Parameter | None, text: str) -> float:
    """Seconds of `fresh`, a number with a unit, or plain seconds. Raises click.BadParameter."""
    if text == "fresh":
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)(s|min|h|d|w|y)?", text)
    if match is None:
        units = ", ".join(SECONDS)
        raise click.BadParameter(f"{text!r} is no age: give fresh, or a number and one of {units}")
    return float(match.group(1)) * SECONDS[match.group(2) or "s"]
