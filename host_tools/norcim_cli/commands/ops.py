"""`norcim ops`."""

from __future__ import annotations

import click

from norcim_cli import console, options


@click.command()
@click.option("--unsupported", is_flag=True, help="List known operators that are refused instead.")
@click.option("--markdown", is_flag=True, help="Print the reference page instead of a table.")
@options.common
def ops(unsupported: bool, markdown: bool) -> None:
    """List the ONNX operators that are supported.

    With --unsupported: operators that are refused, and what to do instead.
    """
    from norcim.frontend.operators import operators, page
    from norcim.frontend.registry import HANDLERS, WORKAROUNDS

    if unsupported:
        pairs = [(name, WORKAROUNDS[name]) for name in sorted(WORKAROUNDS) if name not in HANDLERS]
        if console.STATE.json_mode:
            for name, workaround in pairs:
                console.emit(
                    "op.v1", {"operator": name, "supported": False, "workaround": workaround}
                )
        console.table(("operator", "instead"), pairs)
        return
    rows = operators()
    if markdown:
        click.echo(page(rows), nl=False)
        return
    if console.STATE.json_mode:
        for row in rows:
            entry = {"operator": row.name, "supported": True, "note": row.note}
            console.emit("op.v1", {**entry, "opsets": row.opsets, "runs_on": row.where})
    cells = [(row.name, row.opsets, row.where, row.note) for row in rows]
    console.table(("operator", "opsets", "runs on", "note"), cells)
