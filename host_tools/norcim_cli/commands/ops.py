"""`norcim ops`."""

from __future__ import annotations

import click

from norcim_cli import console, options


@click.command()
@click.option("--unsupported", is_flag=True, help="List known operators that are refused instead.")
@options.common
def ops(unsupported: bool) -> None:
    """List the ONNX operators that are supported.

    With --unsupported: operators that are refused, and what to do instead.
    """
    from norcim.frontend.registry import HANDLERS, WORKAROUNDS

    if unsupported:
        rows = [(name, WORKAROUNDS[name]) for name in sorted(WORKAROUNDS) if name not in HANDLERS]
        headings = ("operator", "instead")
    else:
        rows = [(name, _first_line(HANDLERS[name].__doc__)) for name in sorted(HANDLERS)]
        headings = ("operator", "note")
    if console.STATE.json_mode:
        key = "workaround" if unsupported else "note"
        for name, note in rows:
            console.emit("op.v1", {"operator": name, "supported": not unsupported, key: note})
    console.table(headings, rows)


def _first_line(doc: str | None) -> str:
    lines = (doc or "").strip().splitlines()
    return lines[0] if lines else ""
