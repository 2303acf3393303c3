"""How the semantic check words what it refuses."""

from __future__ import annotations

from typing import NoReturn

from norcim.errors import EXIT_UNSUPPORTED, NorcimError


def refuse(id: str, where: str, what: str, expected: object = "", got: object = "") -> NoReturn:
    """Raise `id`: the program is not legal at `where`."""
    raise NorcimError(
        id, what, where=where, expected=str(expected), got=str(got),
        why="no machine could execute this program safely",
        fix="compile the model again; if the image came from `norcim compile`, report a bug",
        exit_code=EXIT_UNSUPPORTED,
    )  # fmt: skip


def require_range(id: str, where: str, name: str, value: int, lo: int, hi: int) -> None:
    """Refuse unless lo <= value <= hi."""
    if not lo <= value <= hi:
        refuse(id, where, f"{name} is out of range", f"{lo}..{hi}", value)
