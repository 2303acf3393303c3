"""The Verilated blocks, built once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from norcim_overlay.sim.toolchain import missing_packages
from tests.overlay.npu.blocks import BlockBench


@pytest.fixture(scope="session")
def bench() -> Iterator[BlockBench]:
    missing = missing_packages()
    if missing:
        pytest.skip(f"needs {' '.join(missing)}")
    with BlockBench() as running:
        yield running
