"""The firmware, compiled once a session."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.firmware import compiler
from tests.firmware.native import Library


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("firmware")


@pytest.fixture(scope="session")
def lib(build_folder: Path) -> Library:
    """firmware/lib as a shared library."""
    found = compiler.sources(compiler.LIB)
    path = compiler.compile_host(
        build_folder / "libnc.so", [*found, compiler.TESTS / "shim.c"], "-shared", "-fPIC"
    )
    return Library(ctypes.CDLL(str(path)))


@pytest.fixture(scope="session")
def fw_host(build_folder: Path) -> Path:
    """The program norcim-fw-host."""
    return compiler.compile_host(
        build_folder / "norcim-fw-host", compiler.sources(compiler.LIB, compiler.HOST)
    )
