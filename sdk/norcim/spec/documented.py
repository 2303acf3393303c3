"""The documentation that stands beside definitions, for the C header and the reference pages."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType

_DOC = re.compile(r"^\s*(\w+) = .*?#: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Member:
    """One enumeration member or constant."""

    name: str
    value: int
    doc: str


def members(enum: type[IntEnum]) -> tuple[Member, ...]:
    """The members of an enumeration with the `#:` comment of each. Raises KeyError if one lacks."""
    docs = dict(_DOC.findall(inspect.getsource(enum)))
    return tuple(Member(m.name, int(m), docs[m.name]) for m in enum)


def constants(module: ModuleType) -> tuple[Member, ...]:
    """The public integer constants of a module in the order in which they are written.

    The documentation is the `#:` comment or the string below, empty where there is none.
    """
    source = inspect.getsource(module)
    docs = dict(_DOC.findall(source))
    docs |= dict(re.findall(r'^([A-Z]\w*) = .*\n"""(.*?)"""', source, re.MULTILINE))
    return tuple(
        Member(name, value, docs.get(name, ""))
        for name, value in vars(module).items()
        if name.isupper() and type(value) is int and re.search(f"^{name} = ", source, re.MULTILINE)
    )


def summary(item: type) -> str:
    """First line of a class's docstring."""
    return inspect.cleandoc(item.__doc__ or "").splitlines()[0]
