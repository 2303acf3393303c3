"""The firmware compiles, fits and starts at address 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from norcim.chips import load_chip
from norcim_overlay.soc import firmware
from tests.firmware import compiler


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler.zig()
    monkeypatch.setenv("NORCIM_CACHE", str(tmp_path / "cache"))


def test_it_fits_with_its_stack_and_comes_out_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = firmware.build_firmware()
    assert len(first) < (32 << 10) - firmware.MIN_STACK_BYTES  # the linker counts the data too
    assert load_chip("overlay").name.encode().ljust(32, b"\0") in first
    assert bytes.fromhex(load_chip("overlay").fingerprint) in first
    monkeypatch.setattr(firmware, "link_firmware", lambda *_: pytest.fail("built again"))
    assert firmware.build_firmware() == first


def test_two_builds_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = []
    for name in ("one", "another"):
        monkeypatch.setenv("NORCIM_CACHE", str(tmp_path / name))
        builds.append(firmware.build_firmware())
    assert builds[0] == builds[1]


def test_memory_that_is_too_small_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no room is left for the stack"):
        firmware.build_firmware(n_ram_bytes=24 << 10)
