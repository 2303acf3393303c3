"""What is printed, and where: results on stdout, everything else on stderr.

rich is imported when a table or a bar is drawn, not before.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from norcim import __version__
from norcim.errors import NorcimError

Progress = Callable[[str, int, int], None]

PIPE_WIDTH = 160
"""Columns of a table that does not go to a terminal."""

HEAD_WIDTH = 80
"""A place or a part longer than this gets lines of its own."""

REPORT_URL = "the issue tracker of norcim"


@dataclass
class State:
    """What the flags of this run ask for."""

    json_mode: bool = False
    verbose: int = 0
    quiet: bool = False


STATE = State()


def reset(json_mode: bool = False) -> None:
    """Forget the flags of an earlier run in this process."""
    STATE.json_mode, STATE.verbose, STATE.quiet = json_mode, 0, False


def log(message: str, *, level: int = 0) -> None:
    """A line on stderr; level 1 and 2 need -v and -vv, none is printed under -q."""
    if not STATE.quiet and STATE.verbose >= level:
        click.echo(message, err=True)


def emit(schema: str, data: dict[str, Any]) -> None:
    """One JSON object on one line of stdout; `schema` is its name and version."""
    click.echo(json.dumps({"schema": f"norcim.{schema}", **data}, allow_nan=False))


def say(message: str = "") -> None:
    """A line of the result, unless --json prints the result."""
    if not STATE.json_mode:
        click.echo(message)


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", right: str = ""
) -> None:
    """A table on stdout; `right` has an `r` where a column is aligned right."""
    if STATE.json_mode:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, align in zip(headings, right.ljust(len(headings)), strict=True):
        drawn.add_column(heading, justify="right" if align == "r" else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(file=sys.stdout, width=width, highlight=False).print(drawn)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A callback progress(step, done, total): a bar on a terminal, else a line a kind of step.

    The first word of a step is its kind: `quantise conv1`, `quantise conv2` are one line, one bar.
    """
    if STATE.quiet:
        yield lambda _step, _done, _total: None
    elif sys.stderr.isatty():
        yield from _bars()
    else:
        yield _line_per_kind()


def _line_per_kind() -> Progress:
    seen: set[str] = set()

    def report(step: str, _done: int, _total: int) -> None:
        kind = step.split(" ")[0]
        if kind not in seen:
            seen.add(kind)
            click.echo(f"{kind} ...", err=True)

    return report


def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<30}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            kind = step.split(" ")[0]
            if kind not in tasks:
                tasks[kind] = bars.add_task(kind, total=total)
            bars.update(tasks[kind], description=step[:30], completed=done, total=total)

        yield report
        for task in bars.tasks:  # reached only if nothing was raised
            bars.update(task.id, description=task.description.split(" ")[0], completed=task.total)


def print_error(error: NorcimError) -> None:
    """A NorcimError in its parts on stderr; a JSON object under --json."""
    if STATE.json_mode:
        fields = {"id": error.id, **error.parts(), "exit_code": error.exit_code}
        click.echo(json.dumps({"schema": "norcim.error.v1", **fields}), err=True)
        return
    parts = error.parts()
    in_head = ("where", "what") if len(error.where) <= HEAD_WIDTH else ("what",)
    head = ": ".join(parts.pop(name) for name in in_head if name in parts)
    lines = [f"error {error.id}: {head}"]
    for name, text in parts.items():
        lines += _part_lines(name, text)
    click.echo("\n".join(lines), err=True)
    if STATE.verbose:
        click.echo("".join(traceback.format_exception(error)), err=True)


def _part_lines(name: str, text: str) -> list[str]:
    """A part of an error; a long list, joined by semicolons, one item a line."""
    items = text.split("; ") if len(text) > HEAD_WIDTH else [text]
    return [f"  {name + ':' if not i else '':<10}{item}" for i, item in enumerate(items)]


def print_usage_error(error: click.ClickException) -> None:
    """A click error on stderr; a JSON object under --json."""
    if STATE.json_mode:
        fields = {"id": "usage", "what": error.format_message(), "exit_code": error.exit_code}
        click.echo(json.dumps({"schema": "norcim.error.v1", **fields}), err=True)
        return
    error.show()


def print_bug(error: Exception, arguments: Sequence[str]) -> None:
    """What to report when something other than a NorcimError is raised."""
    what = f"{type(error).__name__}: {error}"
    if STATE.json_mode:
        fields = {"id": "bug", "what": what, "exit_code": 1}
        click.echo(json.dumps({"schema": "norcim.error.v1", **fields}), err=True)
    else:
        click.echo(
            f"this is a bug in norcim: {what}\n"
            f"  please report it to {REPORT_URL} with this line and the command:\n"
            f"  norcim {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
            f"  norcim {' '.join(arguments)}"
            + ("" if STATE.verbose else "\n  run it again with -v for the traceback"),
            err=True,
        )
    if STATE.verbose:
        click.echo("".join(traceback.format_exception(error)), err=True)
