"""Options that several commands share, spelt and explained once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from norcim_cli import console, settings

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
overwrite = click.option("--overwrite", is_flag=True, help="Replace an existing output.")
dry_run = click.option("--dry-run", is_flag=True, help="Do all but write.")


def output(required: bool = False, doc: str = "Write the result here.") -> Callable[[F], F]:
    """-o/--output."""
    return click.option("-o", "--output", metavar="FILE", required=required, help=doc)
