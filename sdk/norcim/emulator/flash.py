"""NOR flash: erase sets a sector to 1s, programming only clears bits, once a page.

Source of the sizes: SPI NOR parts of dev boards (W25Q, IS25LP, GD25Q): 4 KiB sectors, 256-byte
pages.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from norcim.errors import EXIT_DEVICE, NorcimError
from norcim.spec.error_codes import DeviceError
from norcim.spec.protocol import PAGE_BYTES, SECTOR_BYTES

BLANK_PAGE = b"\xff" * PAGE_BYTES
_PAGES_PER_SECTOR = SECTOR_BYTES // PAGE_BYTES


class DeviceFault(Exception):
    """A device refuses or fails: a code of the wire protocol and what it is about."""

    def __init__(self, code: DeviceError, detail: str = "", descriptor: int | None = None) -> None:
        self.code = code
        self.detail = detail
        self.descriptor = descriptor
        super().__init__(f"{code.name}: {detail}" if detail else code.name)


class NorFlash:
    """A flash chip in memory.

    data          what the cells hold
    erase_counts  cycles of each sector
    """

    def __init__(self, n_sectors: int) -> None:
        self.n_sectors = n_sectors
        self.data = bytearray(b"\xff" * (n_sectors * SECTOR_BYTES))
        self.erase_counts = [0] * n_sectors
        self._programmed: set[int] = set()

    def read(self, offset: int, length: int) -> bytes:
        """Bytes as the cells read now."""
        return bytes(self.data[offset : offset + length])

    def erase(self, sector: int) -> None:
        """Set a sector to 1s."""
        first = sector * SECTOR_BYTES
        self.data[first : first + SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
        self.erase_counts[sector] += 1
        pages = range(sector * _PAGES_PER_SECTOR, (sector + 1) * _PAGES_PER_SECTOR)
        self._programmed.difference_update(pages)

    def program(self, offset: int, data: bytes) -> None:
        """Clear bits of one page.

        Raises DeviceFault NOT_ERASED if the page was programmed since its last erasure, BAD_RANGE
        if `data` leaves the page.
        """
        page = offset // PAGE_BYTES
        if not data or (offset + len(data) - 1) // PAGE_BYTES != page:
            raise DeviceFault(DeviceError.BAD_RANGE, f"{len(data)} bytes at {offset:#x}")
        if page in self._programmed:
            raise DeviceFault(DeviceError.NOT_ERASED, f"page at {page * PAGE_BYTES:#x}")
        self._programmed.add(page)
        old = self.data[offset : offset + len(data)]
        self.data[offset : offset + len(data)] = bytes(
            a & b for a, b in zip(old, data, strict=True)
        )

    def close(self) -> None:
        """Let go of what backs the flash."""

    def _find_programmed(self) -> None:
        """Take every page that is not blank as programmed."""
        self._programmed = {
            page
            for page in range(self.n_sectors * _PAGES_PER_SECTOR)
            if self.data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] != BLANK_PAGE
        }


_HEADER = struct.Struct("<8sII")
_MAGIC = b"NCFLASH1"
_INVERT = bytes(255 - value for value in range(256))


class FileFlash(NorFlash):
    """A flash chip whose cells and erase counts are kept in a file, written through.

    The file is as cut-safe as the flash that it stands for: a killed process leaves at worst one
    sector or page torn. Cells are stored inverted, so that blank flash is a hole in the file.
    """

    def __init__(self, path: str | os.PathLike[str], n_sectors: int) -> None:
        """Open or create `path`.

        Raises NC-E0602 if it is no flash file of this size or cannot be opened, NC-E0603 if
        another process has it open.
        """
        super().__init__(n_sectors)
        self.path = Path(path)
        self._data_offset = _HEADER.size + 4 * n_sectors
        try:
            self._file = self._open()
            _lock(self._file, self.path)
            if self._file.seek(0, os.SEEK_END) == 0:
                self._create()
            self._load()
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error

    def erase(self, sector: int) -> None:
        """Set a sector to 1s, here and in the file."""
        super().erase(sector)
        self._write(self._data_offset + sector * SECTOR_BYTES, bytes(SECTOR_BYTES))
        self._write(_HEADER.size + 4 * sector, struct.pack("<I", self.erase_counts[sector]))

    def program(self, offset: int, data: bytes) -> None:
        """Clear bits of one page, here and in the file."""
        super().program(offset, data)
        stored = self.data[offset : offset + len(data)].translate(_INVERT)
        self._write(self._data_offset + offset, bytes(stored))

    def close(self) -> None:
        """Close the file; its lock goes with it."""
        self._file.close()

    def _open(self) -> BinaryIO:
        with suppress(FileExistsError):
            self.path.open("xb").close()
        return self.path.open("r+b", buffering=0)

    def _create(self) -> None:
        self._write(0, _HEADER.pack(_MAGIC, SECTOR_BYTES, self.n_sectors))
        self._file.truncate(self._data_offset + self.n_sectors * SECTOR_BYTES)

    def _load(self) -> None:
        self._file.seek(0)
        expected = self._data_offset + self.n_sectors * SECTOR_BYTES
        raw = self._file.read(expected + 1)
        header = _HEADER.pack(_MAGIC, SECTOR_BYTES, self.n_sectors)
        if len(raw) != expected or not raw.startswith(header):
            self._file.close()
            raise _unusable(self.path, "it is no flash of an emulated device of this size")
        counts = struct.unpack_from(f"<{self.n_sectors}I", raw, _HEADER.size)
        self.erase_counts = list(counts)
        self.data = bytearray(raw[self._data_offset :].translate(_INVERT))
        self._find_programmed()

    def _write(self, offset: int, data: bytes) -> None:
        self._file.seek(offset)
        self._file.write(data)


def _lock(file: BinaryIO, path: Path) -> None:
    """Take the file for this process, where the system can (not on Windows)."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise NorcimError(
            "NC-E0603", "the device is in use", where=f"emulator:{path}", exit_code=EXIT_DEVICE,
            why="another process has its flash file open",
            fix="wait for the other process to end, or use another file",
        ) from None  # fmt: skip


def _unusable(path: Path, reason: str) -> NorcimError:
    return NorcimError(
        "NC-E0602", "the file cannot serve as a device's flash", where=str(path), got=reason,
        fix="give the path of a new file: it is created", exit_code=EXIT_DEVICE,
    )  # fmt: skip
