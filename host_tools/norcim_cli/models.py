"""Finds the models that ship with norcim, in a wheel or in a checkout (docs/decisions/0002)."""

from __future__ import annotations

from pathlib import Path

import norcim
from norcim.errors import NorcimError


def find_model(name: str) -> Path:
    """The folder of a shipped model. Raises NC-E0108 if it is not there."""
    package = Path(norcim.__file__).parent
    candidates = (package / "models" / name, package.parents[1] / "models" / name)
    for folder in candidates:
        if (folder / f"{name}.onnx").is_file():
            return folder
    raise NorcimError(
        "NC-E0108",
        f"the model '{name}' that ships with norcim is missing",
        where=str(candidates[0]),
        expected=f"{name}.onnx and what belongs to it",
        got="no such file",
        fix="install norcim again, or run from a complete checkout",
    )
