"""The slot table on its own."""

from __future__ import annotations

from norcim.emulator.flash import NorFlash
from norcim.emulator.slots import Commit, SlotTable
from norcim.spec.protocol import NO_SLOT
from tests.unit.device.torn_flash import every_table

DIGEST = bytes(range(32))


def test_new_table_says_that_no_slot_is_active() -> None:
    flash = NorFlash(3)
    assert SlotTable(flash).recover() == (Commit(1, NO_SLOT, 0, bytes(32)),)
    assert SlotTable(flash).recover() == (Commit(1, NO_SLOT, 0, bytes(32)),)
    assert sum(flash.erase_counts) == 1


def test_a_boot_after_a_whole_commit_writes_nothing() -> None:
    flash = NorFlash(3)
    table = SlotTable(flash)
    commit = table.commit(1, 100, DIGEST, keep=table.recover()[0])
    before = flash.erase_counts.copy()
    assert SlotTable(flash).recover()[0] == commit == Commit(2, 1, 100, DIGEST)
    assert flash.erase_counts == before


def test_commits_wear_the_sectors_evenly() -> None:
    flash = NorFlash(3)
    table = SlotTable(flash)
    commit = table.recover()[0]
    for index in range(30):
        commit = table.commit(index % 2, 100, DIGEST, keep=commit)
    assert commit.counter == 31
    assert max(flash.erase_counts) - min(flash.erase_counts) <= 1


def test_the_commit_in_force_is_kept_even_if_it_is_the_oldest() -> None:
    """Slot 1 was committed twice and is rotten, so that slot 0, the oldest, is in force."""
    flash = NorFlash(3)
    table = SlotTable(flash)
    oldest = table.commit(0, 100, DIGEST, keep=table.recover()[0])
    newer = table.commit(1, 100, bytes(32), keep=oldest)
    table.commit(1, 100, bytes(32), keep=newer)
    newest = table.commit(1, 200, bytes(32), keep=oldest)
    assert newest.counter == 5
    assert oldest in SlotTable(flash).recover()


def test_a_page_with_a_flipped_bit_is_not_a_commit() -> None:
    flash = NorFlash(3)
    table = SlotTable(flash)
    first = table.recover()[0]
    table.commit(1, 100, DIGEST, keep=first)
    sector = flash.erase_counts.index(1, 1)
    for page in (0, 1):
        flash.data[sector * 4096 + page * 256 + 20] ^= 1
    assert SlotTable(flash).recover()[0].slot == NO_SLOT


def test_recovery_erases_neither_the_commit_in_force_nor_the_last_done_one() -> None:
    """Nor does it do anything at the boot after."""
    for flash, sectors in every_table(3):
        closed, done, readable = (
            max(
                ((counter, i) for i, (counter, n) in enumerate(sectors) if n >= n_pages), default=()
            )
            for n_pages in (2, 3, 1)
        )
        in_force = closed or readable
        before = flash.erase_counts.copy()
        commits = SlotTable(flash).recover()
        erased = [i for i in range(3) if flash.erase_counts[i] > before[i]]
        assert commits[0].slot == (in_force[0] % 2 if in_force else NO_SLOT)
        assert not [kept for kept in (in_force, done) if kept and kept[1] in erased]
        before = flash.erase_counts.copy()
        assert SlotTable(flash).recover()[0] == commits[0]
        assert flash.erase_counts == before
