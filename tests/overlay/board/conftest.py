"""What the tests of the virtual board share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from norcim_overlay.sim.toolchain import missing_packages


@pytest.fixture(scope="session")
def tools() -> None:
    """Skips without the tools that build the board, fails in CI."""
    if missing := missing_packages():
        message = f"not installed: {', '.join(missing)}; run: pip install 'norcim[dev]'"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for running boards; short, as the path of a socket must be."""
    with tempfile.TemporaryDirectory(prefix="nc-") as folder:
        monkeypatch.setenv("NORCIM_BOARDS", folder)
        yield Path(folder)
