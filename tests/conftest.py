"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the third-party models and data, `../shared/data` beside the checkout.

    NORCIM_TEST_DATA overrides it. It is never part of the product, so its absence skips.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NORCIM_TEST_DATA", beside))
    if not (folder / "models").is_dir():
        pytest.skip(f"no test data in {folder}; set NORCIM_TEST_DATA to its folder")
    return folder
