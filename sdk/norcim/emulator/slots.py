"""The slot table (norcim.spec.slot_table): power-cut-safe commits."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from norcim.emulator.flash import NorFlash
from norcim.errors import NorcimError
from norcim.spec.protocol import NO_SLOT, PAGE_BYTES, SECTOR_BYTES
from norcim.spec.record import pack_record, unpack_record
from norcim.spec.slot_table import (
    CLOSE_MAGIC,
    DONE_MAGIC,
    RECORD_MAGIC,
    SLOT_RECORD_BYTES,
    SLOT_RECORD_WORDS,
    SLOT_TABLE_SECTORS,
    SlotRecord,
)

_MAGICS = (RECORD_MAGIC, CLOSE_MAGIC, DONE_MAGIC)


@dataclass(frozen=True)
class Commit:
    """Which slot is active. sha256 is that of the image in it."""

    counter: int
    slot: int
    image_bytes: int
    sha256: bytes


@dataclass(frozen=True)
class _SectorState:
    """What a table sector reads as."""

    sector: int
    commit: Commit | None  # of its first page
    closed: bool
    done: bool

    @property
    def counter(self) -> int:
        return self.commit.counter if self.commit else -1


class SlotTable:
    """Reads, repairs and writes the table in the first sectors of a flash."""

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def recover(self) -> tuple[Commit, ...]:
        """The commits at boot, the effective one first, then others that read as closed.

        Writes to the flash if the last commit may not read the same at the next boot.
        """
        states = self._read_all()
        closed = _by_counter([state for state in states if state.closed])
        readable = _by_counter([state for state in states if state.commit])
        if not readable:
            return (self._write(0, Commit(1, NO_SLOT, 0, bytes(32))),)
        winner = (closed or readable)[0]
        commits = tuple(state.commit for state in closed or readable if state.commit)
        if winner.done and readable[0] is winner:
            return commits
        kept = {winner.sector, *[state.sector for state in closed if state.done][:1]}
        free = [state for state in _by_counter(states) if state.sector not in kept]
        again = replace(commits[0], counter=readable[0].counter + 1)
        return (self._write(free[-1].sector, again), *commits[1:])

    def commit(self, slot: int, image_bytes: int, sha256: bytes, *, keep: Commit) -> Commit:
        """Make a slot the active one; after this, it is so at every boot.

        keep  the commit in force, whose sector is not touched
        """
        states = _by_counter(self._read_all())
        free = [state for state in states if state.commit != keep]
        counter = states[0].counter + 1
        return self._write(free[-1].sector, Commit(counter, slot, image_bytes, sha256))

    def _read_all(self) -> list[_SectorState]:
        return [self._read_sector(sector) for sector in range(SLOT_TABLE_SECTORS)]

    def _read_sector(self, sector: int) -> _SectorState:
        pages = [self._read_page(sector, index) for index in range(len(_MAGICS))]
        first, close, done = pages
        closed = first is not None and close == first
        return _SectorState(sector, first, closed, closed and done == first)

    def _read_page(self, sector: int, index: int) -> Commit | None:
        """The commit in one page, None unless it is valid and of the right magic."""
        raw = self._flash.read(sector * SECTOR_BYTES + index * PAGE_BYTES, SLOT_RECORD_BYTES)
        body, crc = raw[:-4], int.from_bytes(raw[-4:], "little")
        if zlib.crc32(body) != crc or body[:4] != _MAGICS[index].to_bytes(4, "little"):
            return None
        try:
            record = unpack_record(SlotRecord, body[: 4 * SLOT_RECORD_WORDS])
        except NorcimError:  # of a later ABI level
            return None
        return Commit(record.counter, record.slot, record.image_bytes, body[-32:])

    def _write(self, sector: int, commit: Commit) -> Commit:
        """Erase first, whatever the sector reads as: only this session's erasure is sound."""
        self._flash.erase(sector)
        for index, magic in enumerate(_MAGICS):
            record = SlotRecord(magic, commit.counter, commit.slot, commit.image_bytes)
            body = pack_record(record, SLOT_RECORD_WORDS) + commit.sha256
            page = body + zlib.crc32(body).to_bytes(4, "little")
            self._flash.program(sector * SECTOR_BYTES + index * PAGE_BYTES, page)
        return commit


def _by_counter(states: list[_SectorState]) -> list[_SectorState]:
    """Newest first."""
    return sorted(states, key=lambda state: state.counter, reverse=True)
