"""Gateware with a planted bug: a module's source with one piece of text replaced."""

from __future__ import annotations

import inspect
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType


class _Text(InspectLoader):
    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text


def mutant(module: ModuleType, old: str, new: str) -> ModuleType:
    """The module as it would be with `old`, which occurs once, replaced by `new`."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} is in {module.__name__} {source.count(old)} times"
    loader = _Text(source.replace(old, new))
    spec = spec_from_loader(module.__name__, loader)
    assert spec is not None
    changed = module_from_spec(spec)
    loader.exec_module(changed)
    return changed
