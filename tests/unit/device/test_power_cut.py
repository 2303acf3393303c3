"""Power cuts at every flash operation of an update: the old or the new image, never neither."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from norcim.emulator.device import DeviceModel
from norcim.emulator.slots import Commit, SlotTable
from norcim.image import build_image
from norcim.spec.protocol import NO_SLOT
from tests.unit.device.fake_engine import FakeEngine
from tests.unit.device.torn_flash import CutKind, PowerCut, TornFlash
from tests.unit.image.sample import sample_content

N_SECTORS = 5
IMAGES = [build_image(sample_content(meta={"version": version})) for version in range(4)]
KINDS: tuple[CutKind, ...] = ("before", "torn", "after")
BIASES = (0.0, 0.5, 1.0)


def _boot(flash: TornFlash) -> DeviceModel:
    return DeviceModel(flash, make_engine=FakeEngine, slot_sectors=1)


def _update(device: DeviceModel, version: int) -> None:
    slot = 1 if device.active_slot == 0 else 0
    device.erase(slot, 0)
    device.write(slot, 0, IMAGES[version])
    device.activate(slot)


def _version(device: DeviceModel) -> Any:
    return None if device.content is None else device.content.meta["version"]


@cache
def _updated(n_updates: int) -> TornFlash:
    flash = TornFlash(N_SECTORS)
    device = _boot(flash)
    for version in range(n_updates):
        _update(device, version)
    return flash


def _prepare(n_updates: int, seed: int) -> TornFlash:
    """A device's flash after so many updates."""
    flash = copy.deepcopy(_updated(n_updates))
    flash.seed(seed)
    return flash


def _cut_during(flash: TornFlash, work: Callable[[], Any], operation: int, kind: CutKind) -> bool:
    """Whether the power was cut before `work` was done."""
    flash.cut(operation, kind)
    try:
        work()
    except PowerCut:
        return True
    return False


@cache
def _count_operations(n_updates: int) -> int:
    flash = _prepare(n_updates, 0)
    device, before = _boot(flash), flash.n_operations
    _update(device, n_updates)
    return flash.n_operations - before


def _check_stable(flash: TornFlash, allowed: set[Any], first_bias: float) -> None:
    """Three boots that agree, then an update that succeeds."""
    found = []
    for bias in (first_bias, *BIASES):
        flash.reboot(bias)
        found.append(_version(_boot(flash)))
    assert len(set(found)) == 1, found
    assert found[0] in allowed, found
    _update(_boot(flash), 3)
    flash.reboot(0.5)
    assert _version(_boot(flash)) == 3


@pytest.mark.parametrize("n_updates", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_during_an_update(n_updates: int, kind: CutKind) -> None:
    old = n_updates - 1 if n_updates else None
    for operation in range(_count_operations(n_updates)):
        for seed in range(2):
            for bias in BIASES:
                flash = _prepare(n_updates, seed)
                device = _boot(flash)
                assert _cut_during(flash, lambda d=device: _update(d, n_updates), operation, kind)
                _check_stable(flash, {old, n_updates}, bias)


def _recover_with_cuts(flash: TornFlash, cuts: list[tuple[int, CutKind, float]]) -> None:
    """Boot again and again, with the power cut at the given operation of each recovery."""
    for operation, kind, bias in cuts:
        flash.reboot(bias)
        _cut_during(flash, lambda: _boot(flash), operation, kind)


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
def test_cut_again_during_the_recovery(bias: float) -> None:
    """Torn in the commit, then cut at every operation of the recovery, in every way."""
    n_updates, n_commit = 2, 4  # a commit is one erasure and three pages
    total = _count_operations(n_updates)
    for first in range(total - n_commit, total):
        for second in range(n_commit):
            for kind in KINDS:
                for second_bias in BIASES:
                    flash = _prepare(n_updates, first)
                    device = _boot(flash)
                    _cut_during(flash, lambda d=device: _update(d, n_updates), first, "torn")
                    _recover_with_cuts(flash, [(second, kind, bias)])
                    _check_stable(flash, {n_updates - 1, n_updates}, second_bias)


@pytest.mark.slow
def test_many_cuts_in_a_row() -> None:
    """Up to four torn recoveries after a torn commit, seeded."""
    for seed in range(100):
        flash = _prepare(1 + seed % 3, seed)
        rng = random.Random(seed)
        old = seed % 3
        device = _boot(flash)
        first = _count_operations(1) - 4 + rng.randrange(4)
        _cut_during(flash, lambda d=device, o=old: _update(d, o + 1), first, "torn")
        cuts = [(rng.randrange(4), rng.choice(KINDS), rng.choice(BIASES)) for _ in range(4)]
        _recover_with_cuts(flash, cuts)
        _check_stable(flash, {old, old + 1}, rng.choice(BIASES))


def test_cut_while_a_new_device_is_formatted() -> None:
    for operation in range(4):
        for kind in KINDS:
            for bias in BIASES:
                flash = TornFlash(N_SECTORS)
                assert _cut_during(flash, lambda f=flash: _boot(f), operation, kind)
                _check_stable(flash, {None}, bias)
                assert _boot(flash).active_slot != NO_SLOT


def test_harness_notices_a_table_that_is_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """With commits written over the one in force, a cut leaves neither image."""

    def commit_in_place(
        table: SlotTable, slot: int, image_bytes: int, sha256: bytes, *, keep: Commit
    ) -> Commit:
        newest = max(table._read_all(), key=lambda state: state.counter)
        return table._write(newest.sector, Commit(keep.counter + 1, slot, image_bytes, sha256))

    monkeypatch.setattr(SlotTable, "commit", commit_in_place)
    with pytest.raises(AssertionError):
        test_cut_during_an_update(1, "after")


def test_harness_notices_a_recovery_that_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn commit that is not written again at boot reads one way now, another way later."""

    def only_read(table: SlotTable) -> tuple[Commit, ...]:
        states = sorted(table._read_all(), key=lambda state: -state.counter)
        return tuple(state.commit for state in states if state.closed and state.commit)

    _updated(2)
    monkeypatch.setattr(SlotTable, "recover", only_read)
    with pytest.raises(AssertionError):
        test_cut_during_an_update(2, "torn")
