"""A NOR flash whose power can be cut at any operation: before, after or torn inside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations, product
from typing import Literal

from norcim.emulator.flash import NorFlash
from norcim.emulator.slots import Commit, SlotTable
from norcim.spec.protocol import SECTOR_BYTES
from norcim.spec.slot_table import SLOT_TABLE_SECTORS

CutKind = Literal["before", "torn", "after"]


class PowerCut(Exception):
    """The power went."""


class TornFlash(NorFlash):
    """Counts operations; at the one chosen by `cut`, the power goes.

    A torn operation leaves some of its bits done, some not, and the rest marginal: at each boot
    these read either way. `bias` is the probability that a marginal bit reads as 1: 0 and 1 are
    the cells that all lean one way, as those of one page may.
    """

    def __init__(self, n_sectors: int) -> None:
        super().__init__(n_sectors)
        self.n_operations = 0
        self._rng = random.Random(0)
        self._cut: tuple[int, CutKind] | None = None
        self._marginal: dict[int, int] = {}  # byte offset -> bits that read either way

    def seed(self, seed: int) -> None:
        """Choose how operations tear and bits lean from now on."""
        self._rng.seed(seed)

    def cut(self, operation: int, kind: CutKind) -> None:
        """Cut the power at an operation, counted from now."""
        self._cut = (self.n_operations + operation, kind)

    def reboot(self, bias: float) -> None:
        """Power on again: every marginal bit reads as 1 with probability `bias`."""
        self._cut = None
        for offset, mask in self._marginal.items():
            ones = sum(1 << bit for bit in range(8) if self._rng.random() < bias)
            self.data[offset] = (self.data[offset] & ~mask) | (ones & mask)

    def erase(self, sector: int) -> None:
        kind = self._begin()
        first = sector * SECTOR_BYTES
        places = range(first, first + SECTOR_BYTES)
        if kind == "torn":
            self._tear({offset: (self.data[offset], 0xFF) for offset in places})
        super().erase(sector)
        for offset in [offset for offset in self._marginal if offset in places]:
            del self._marginal[offset]
        self._end(kind)

    def program(self, offset: int, data: bytes) -> None:
        kind = self._begin()
        if kind == "torn":
            old = self.data[offset : offset + len(data)]
            super().program(offset, data)  # the page counts as programmed from now on
            new = self.data[offset : offset + len(data)]
            changes = {offset + i: (a, b) for i, (a, b) in enumerate(zip(old, new, strict=True))}
            self._tear(changes)
        super().program(offset, data)
        self._end(kind)

    def _begin(self) -> CutKind | None:
        index, self.n_operations = self.n_operations, self.n_operations + 1
        kind = self._cut[1] if self._cut and self._cut[0] == index else None
        if kind == "before":
            raise PowerCut
        return kind

    def _end(self, kind: CutKind | None) -> None:
        if kind == "after":
            raise PowerCut

    def _tear(self, changes: dict[int, tuple[int, int]]) -> None:
        """Leave the bits that were to change done, undone or marginal, mixed or all marginal."""
        style = self._rng.choice(("mixed", "marginal"))
        for offset, (old, new) in changes.items():
            changing = old ^ new
            if not changing:
                continue
            marginal = changing if style == "marginal" else changing & self._rng.getrandbits(8)
            done = changing & ~marginal & self._rng.getrandbits(8)
            self.data[offset] = (old & ~done) | (new & done)
            if marginal:
                self._marginal[offset] = self._marginal.get(offset, 0) | marginal
        raise PowerCut


def every_table(n_sectors: int) -> Iterator[tuple[TornFlash, list[tuple[int, int]]]]:
    """Flashes with every table that cut commits can leave, and of each table sector the commit's
    counter and how many of its three pages are written: 0 to 3, in every order of age."""
    for counters in permutations(range(2, 2 + SLOT_TABLE_SECTORS)):
        for n_pages in product(range(4), repeat=SLOT_TABLE_SECTORS):
            flash = TornFlash(n_sectors)
            for sector, (counter, n) in enumerate(zip(counters, n_pages, strict=True)):
                flash.cut(n, "after")
                with suppress(PowerCut):
                    SlotTable(flash)._write(sector, Commit(counter, counter % 2, 100, bytes(32)))
            flash.reboot(0.5)
            yield flash, list(zip(counters, n_pages, strict=True))
