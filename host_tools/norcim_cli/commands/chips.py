"""`norcim chips`."""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

import click

from norcim_cli import console, options

if TYPE_CHECKING:
    from norcim.chips import Chip


@click.command()
@click.argument("name", required=False, metavar="[NAME|FILE]")
@click.option("--toml", is_flag=True, help="Print the chip file itself, to start your own from.")
@options.common
def chips(name: str | None, toml: bool) -> None:
    """List the chips, or every value of one.

    With a name or the path of a chip file, every value is shown with its unit and its source.
    """
    from norcim.chips import list_chips, load_chip

    if name is None:
        _print_list([load_chip(each) for each in list_chips()])
    elif toml:
        _print_file(name)
    else:
        _print_one(load_chip(name))


def _print_file(name: str) -> None:
    from norcim.chips import list_chips, load_chip
    from norcim_cli.files import read_bytes

    load_chip(name)
    if name in list_chips():
        text = (resources.files("norcim.chips") / "data" / f"{name}.toml").read_text("utf-8")
    else:
        text = read_bytes(name).decode("utf-8")
    click.echo(text, nl=False)


def _print_list(found: list[Chip]) -> None:
    rows = []
    for chip in found:
        arrays = chip.arrays
        console_row = {
            "name": chip.name,
            "title": chip.title,
            "arrays": arrays.count,
            "n_rows": arrays.n_rows,
            "n_columns": arrays.n_columns,
            "n_cells": chip.n_cells,
            "fingerprint": chip.fingerprint,
            "memory": chip.about.memory,
            "domain": chip.about.domain,
            "role": chip.about.role,
            "published": asdict(chip.published),
        }
        if console.STATE.json_mode:
            console.emit("chip.v1", console_row)
        size = f"{arrays.count} x {arrays.n_rows} x {arrays.n_columns}"
        runs = chip.about.role == "network"
        kind = f"{chip.about.memory} {chip.about.domain}"
        rows.append((chip.name, kind, size if runs else "", _published(chip), chip.title))
    console.table(("chip", "memory", "arrays", "published", "what"), rows, right="  r  ")
    console.say("without arrays: for estimates only; sources and ASSUMED marks: norcim chips NAME")


def _published(chip: Chip) -> str:
    """What the maker published, in short."""
    due = chip.published
    parts = ((due.tops, "TOPS"), (due.tops_per_w, "TOPS/W"), (due.power_w, "W"))
    return ", ".join(f"{value:g} {unit}" for value, unit in parts if value)


def _print_one(chip: Chip) -> None:
    if console.STATE.json_mode:
        heading = {"name": chip.name, "title": chip.title, "fingerprint": chip.fingerprint}
        console.emit("chip-values.v1", {**heading, "values": sourced(chip)})
        return
    console.say(f"{chip.name}: {chip.title}\nfingerprint {chip.fingerprint}")
    print_values(sourced(chip))


def sourced(chip: Chip, *sections: str) -> dict[str, dict[str, Any]]:
    """Values of a chip file with their sources, by key; of some sections or of all."""
    from norcim.chips.schema import SCHEMA

    keys = [key for key in SCHEMA if not sections or key.split(".")[0] in sections]
    return {key: {"value": value_of(chip, key), "source": chip.sources[key]} for key in keys}


def print_values(values: dict[str, dict[str, Any]]) -> None:
    """A table of what `sourced` gives."""
    from norcim.chips.schema import SCHEMA

    rows = [
        (key, _spell(entry["value"]), SCHEMA[key].unit, entry["source"])
        for key, entry in values.items()
    ]
    console.table(("value", "", "unit", "source"), rows, right=" r")


def value_of(chip: Chip, key: str) -> Any:
    """The value of a dotted key in JSON's types."""
    if key == "digital.stage":
        return chip.stage.name.lower()
    if key == "digital.vector_ops":
        return sorted(chip.vector_ops)
    section, name = key.split(".")
    value = getattr(getattr(chip, section), name)
    if key == "arrays.regions":
        return [[region.first, region.n_rows] for region in value]
    return value.name.lower() if key == "converter.rule" else value


def _spell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return " ".join(f"{v[0]}+{v[1]}" if isinstance(v, list) else str(v) for v in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
