"""NOR rules and the file that keeps a flash."""

from __future__ import annotations

from pathlib import Path

import pytest

from norcim.emulator.flash import DeviceFault, FileFlash, NorFlash
from norcim.errors import NorcimError
from norcim.spec.error_codes import DeviceError


def _code(caught: pytest.ExceptionInfo[DeviceFault]) -> DeviceError:
    return caught.value.code


def test_erase_sets_one_sector_to_ones() -> None:
    flash = NorFlash(3)
    for sector in range(3):
        flash.program(sector * 4096, b"\0" * 256)
    flash.erase(1)
    assert flash.read(0, 4097) == b"\0" * 256 + b"\xff" * 3841
    assert flash.read(8192, 256) == b"\0" * 256
    assert flash.erase_counts == [0, 1, 0]


def test_a_page_is_programmed_once() -> None:
    flash = NorFlash(1)
    flash.program(256, b"\x55" * 16)
    with pytest.raises(DeviceFault) as caught:
        flash.program(384, b"\x00")
    assert _code(caught) is DeviceError.NOT_ERASED
    flash.program(512, b"\x00")
    flash.erase(0)
    flash.program(256, b"\xaa")
    assert flash.read(256, 2) == b"\xaa\xff"


def test_a_page_border_is_not_crossed() -> None:
    with pytest.raises(DeviceFault) as caught:
        NorFlash(1).program(250, b"\0" * 7)
    assert _code(caught) is DeviceError.BAD_RANGE


def test_file_keeps_cells_and_wear(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    first = FileFlash(path, 4)
    first.erase(2)
    first.program(8192, b"norcim")
    first.close()
    second = FileFlash(path, 4)
    assert second.read(8192, 7) == b"norcim\xff"
    assert second.erase_counts == [0, 0, 1, 0]
    with pytest.raises(DeviceFault):
        second.program(8200, b"x")
    second.close()


def test_file_in_use_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    flash = FileFlash(tmp_path / "flash.bin", 4)
    with pytest.raises(NorcimError, match="NC-E0603"):
        FileFlash(tmp_path / "flash.bin", 4)
    flash.close()


@pytest.mark.parametrize("content", [b"RIFF", b"NCFLASH1", b"\0" * 20_000])
def test_foreign_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(content)
    with pytest.raises(NorcimError) as caught:
        FileFlash(path, 4)
    assert (caught.value.id, caught.value.exit_code) == ("NC-E0602", 5)
    assert path.read_bytes() == content


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NorcimError, match="NC-E0602"):
        FileFlash(tmp_path, 4)
