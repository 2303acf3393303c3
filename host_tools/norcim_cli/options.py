"""Options that several commands share, spelt and explained once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import console, settings
from norcim_cli.ages import parse_age

if TYPE_CHECKING:
    from norcim.emulator.cells import CellModel
    from norcim.emulator.compensate import Calibration
    from norcim.frontend import Fixed
    from norcim.image.model import ImageContent

F = TypeVar("F", bound=Callable[..., Any])


def _set_json(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    console.STATE.json_mode = console.STATE.json_mode or value


def _set_verbose(_ctx: click.Context, _param: click.Parameter, value: int) -> None:
    console.STATE.verbose = value


def _set_quiet(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    console.STATE.quiet = value


def common(command: F) -> F:
    """--json, -v and -q, which every command takes."""
    flags = (
        click.option(
            "--json", is_flag=True, expose_value=False, is_eager=True, callback=_set_json,
            help="Print one JSON object a line instead of text.",
        ),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, is_eager=True,
            callback=_set_verbose, help="Say more on stderr; twice for still more.",
        ),
        click.option(
            "-q", "--quiet", is_flag=True, expose_value=False, is_eager=True,
            callback=_set_quiet, help="Say nothing on stderr but errors.",
        ),
    )  # fmt: skip
    for flag in reversed(flags):
        command = flag(command)
    return command


def _configured(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def resolve(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        return settings.resolve(name, value).value

    return resolve


def _setting(name: str, *flags: str, **extra: Any) -> Callable[[F], F]:
    item = settings.SETTINGS[name]
    note = f"  [{item.variable}; default: {item.default}]"
    return click.option(
        *flags, name, type=item.kind, callback=_configured(name), help=item.doc + note, **extra
    )


def _complete_chip(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from norcim.chips import list_chips

    return [name for name in list_chips() if name.startswith(incomplete)]


chip = _setting("chip", "-c", "--chip", metavar="NAME|FILE", shell_complete=_complete_chip)
port = _setting("port", "-p", "--port", metavar="URL")
seed = _setting("seed", "--seed")

baud = click.option(
    "-b", "--baud", type=click.IntRange(9600, 12_000_000), metavar="RATE",
    help="Rate of a serial port, in bits a second; tried, and given up if it does not work.",
)  # fmt: skip
optional_port = click.option(
    "-p", "--port", metavar="URL", help="Run on this device (emulator: or a serial port)."
)
network = click.option(
    "--network", metavar="NAME",
    help="Which network of an image that holds several; default: the first.",
)  # fmt: skip
overwrite = click.option("--overwrite", is_flag=True, help="Replace an existing output.")
dry_run = click.option("--dry-run", is_flag=True, help="Do all but write.")


def output(required: bool = False, doc: str = "Write the result here.") -> Callable[[F], F]:
    """-o/--output."""
    return click.option("-o", "--output", metavar="FILE", required=required, help=doc)


@dataclass(frozen=True)
class CellOptions:
    """What --cells and its companions say: a condition of a population of chips."""

    corner: str
    age_s: float
    temperature_c: float
    n_cycles: float
    compensate: str
    chip: str | None
    calibration_file: str | None

    def model(self, content: ImageContent) -> CellModel:
        """The cell model of the image's chip, or of --cells-from. Raises NC-E0708 to NC-E0710."""
        from norcim.chips import load_chip
        from norcim.emulator.cells import CellModel

        return CellModel.of(
            load_chip(self.chip or content.chip), self.corner, age_s=self.age_s,
            temperature_c=self.temperature_c, n_cycles=self.n_cycles,
            compensation=parse_compensation(self.compensate),
        )  # fmt: skip

    def calibration(self, content: ImageContent, seed: int) -> Calibration | None:
        """Calibration inputs of their own, if a file was given."""
        from norcim.emulator.compensate import calibration_of
        from norcim_cli.vectors import load_samples

        if self.calibration_file is None:
            return None
        inputs, _ = load_samples(self.calibration_file, content)
        return calibration_of(content, inputs, seed)

    def described(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "cells": self.corner, "age_s": self.age_s, "temperature_c": self.temperature_c,
            "n_cycles": self.n_cycles, "compensate": self.compensate,
        }  # fmt: skip


def parse_compensation(text: str) -> Any:
    """`all`, `none`, or names with commas. Raises NC-E0710."""
    from norcim.emulator.cells import ALL, NOTHING, Compensation

    if text in ("all", "none"):
        return ALL if text == "all" else NOTHING
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in Compensation.names()]
    if unknown:
        raise NorcimError(
            "NC-E0710", "no such compensation", got=", ".join(unknown),
            expected="all, none, or some of " + ", ".join(Compensation.names()),
            fix="correct --compensate", exit_code=EXIT_USAGE,
        )  # fmt: skip
    return Compensation(**{name: name in names for name in Compensation.names()})


def cells(command: F) -> F:
    """--cells and its companions; the command gets `cells`, a CellOptions or None."""

    @functools.wraps(command)
    def called(
        *args: Any, cells: str, age: float, temperature: float, cycles: float, compensate: str,
        cells_from: str | None, calibration: str | None, **rest: Any,
    ) -> Any:  # fmt: skip
        chosen = None
        if cells != "off":
            chosen = CellOptions(
                cells, age, temperature, cycles, compensate, cells_from, calibration
            )
        return command(*args, cells=chosen, **rest)

    flags = (
        click.option(
            "--cells", type=click.Choice(["off", "best", "typical", "worst"]), default="off",
            show_default=True, help="Run on sampled chips, with the errors of their cells.",
        ),
        click.option(
            "--age", callback=parse_age, default="fresh", show_default=True,
            help="With --cells: time since programming (fresh, 1d, 10y).",
        ),
        click.option(
            "--temperature", type=float, default=25.0, show_default=True,
            help="With --cells: degrees Celsius, in storage and in use.",
        ),
        click.option(
            "--cycles", type=float, default=0.0, show_default=True,
            help="With --cells: program cycles before.",
        ),
        click.option(
            "--compensate", default="all", show_default=True,
            help="With --cells: all, none, or some of reserve, remap, refine, calibrate, recentre.",
        ),
        click.option(
            "--cells-from", metavar="NAME|FILE",
            help="With --cells: take the cells of this chip; default: the image's.",
        ),
        click.option(
            "--calibration", metavar="FILE",
            help="With --cells: inputs for the compensation; default: the first of the data.",
        ),
    )  # fmt: skip
    wrapped: Any = called
    for flag in reversed(flags):
        wrapped = flag(wrapped)
    return cast(F, wrapped)


def fixed_inputs(command: F) -> F:
    """--input-shape and --set, for models that leave something of their inputs open."""
    shape = click.option(
        "--input-shape", multiple=True, metavar="NAME=SIZES",
        help="Fix an input's shape, all of it: x=1,16000. May be given several times.",
    )  # fmt: skip
    value = click.option(
        "--set", "fixed_values", multiple=True, metavar="NAME=NUMBERS",
        help="Make an input a constant: sr=16000. May be given several times.",
    )  # fmt: skip
    return shape(value(command))


def parse_fixed(shapes: Sequence[str], values: Sequence[str]) -> Fixed:
    """What --input-shape and --set say. Raises NC-E0107."""
    from norcim.frontend import Fixed

    return Fixed(
        {name: tuple(int(n) for n in numbers) for name, numbers in _pairs(shapes, int)},
        {name: tuple(numbers) for name, numbers in _pairs(values, float)},
    )


def _pairs(given: Sequence[str], kind: Callable[[str], float]) -> list[tuple[str, list[float]]]:
    found = []
    for text in given:
        name, equals, numbers = text.rpartition("=")
        try:
            found.append((name, [kind(number) for number in numbers.split(",")]))
        except ValueError:
            equals = ""
        if not name or not equals:
            raise NorcimError(
                "NC-E0107", "an input is fixed by its name and numbers", where=text,
                expected="NAME=NUMBER or NAME=NUMBER,NUMBER,...", got=text,
                fix="--input-shape x=1,16000 or --set sr=16000", exit_code=EXIT_USAGE,
            )  # fmt: skip
    return found
