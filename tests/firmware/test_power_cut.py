"""The power cut at every flash operation: the C writes what the device model writes.

Both run the same update over equal flash models with the same seed; the cut comes at the same
operation, in the same way. Afterwards the cells are equal, and every boot of either chooses the
same slot: the old or the new image.
"""

from __future__ import annotations

import contextlib
import copy

import pytest

from norcim.emulator.device import DeviceModel
from norcim.image import build_image
from norcim.spec.protocol import NO_SLOT
from tests.firmware.native import Library, MemoryNpu, NativeDevice, make_config
from tests.unit.device.fake_engine import FakeEngine
from tests.unit.device.torn_flash import CutKind, PowerCut, TornFlash, every_table
from tests.unit.image.sample import sample_content

IMAGES = [build_image(sample_content(meta={"version": version})) for version in range(4)]
KINDS: tuple[CutKind, ...] = ("before", "torn", "after")


def _model(flash: TornFlash) -> DeviceModel:
    return DeviceModel(flash, make_engine=FakeEngine, slot_sectors=1)


def _native(lib: Library, flash: TornFlash) -> NativeDevice:
    return NativeDevice(lib, flash, make_config(1), MemoryNpu())


def _update(device: DeviceModel | NativeDevice, version: int) -> None:
    slot = 1 if device.active_slot == 0 else 0
    device.erase(slot, 0)
    device.write(slot, 0, IMAGES[version])
    device.activate(slot)


def _cut(device: DeviceModel | NativeDevice, flash: TornFlash, at: int, kind: CutKind) -> None:
    """An update of version 2 that the power cut ends."""
    flash.cut(at, kind)
    with pytest.raises(PowerCut):
        _update(device, 2)


@pytest.fixture(scope="module")
def updated() -> TornFlash:
    """A flash after two updates."""
    flash = TornFlash(5)
    device = _model(flash)
    _update(device, 0)
    _update(device, 1)
    return flash


def test_updates_write_the_same_cells(lib: Library) -> None:
    one, other = TornFlash(5), TornFlash(5)
    model, native = _model(one), _native(lib, other)
    assert one.data == other.data
    for version in range(4):
        _update(model, version)
        _update(native, version)
        assert one.data == other.data
        assert one.n_operations == other.n_operations
        model, native = _model(one), _native(lib, other)
        assert native.active_slot == model.active_slot == native.loaded_slot
    assert one.erase_counts == other.erase_counts


@pytest.mark.parametrize("kind", KINDS)
def test_cut_at_every_operation(lib: Library, updated: TornFlash, kind: CutKind) -> None:
    whole = copy.deepcopy(updated)
    before = whole.n_operations
    _update(_native(lib, whole), 2)
    n_operations = whole.n_operations - before
    assert n_operations == 1 + -(-len(IMAGES[2]) // 256) + 4
    for at in range(n_operations):
        for seed, bias in ((at, 0.0), (at + 100, 0.5), (at + 200, 1.0)):
            one, other = copy.deepcopy(updated), copy.deepcopy(updated)
            one.seed(seed)
            other.seed(seed)
            _cut(_model(one), one, at, kind)
            _cut(_native(lib, other), other, at, kind)
            assert one.data == other.data
            _check_boots(lib, one, other, bias)


def _check_boots(lib: Library, one: TornFlash, other: TornFlash, first_bias: float) -> None:
    """Four boots that agree with each other and with the device model, then an update."""
    chosen = set()
    for bias in (first_bias, 0.0, 0.5, 1.0):
        one.reboot(bias)
        other.reboot(bias)
        model, native = _model(one), _native(lib, other)
        assert one.data == other.data
        assert native.loaded_slot == native.active_slot == model.active_slot
        chosen.add(native.active_slot)
    assert len(chosen) == 1
    assert NO_SLOT not in chosen
    native = _native(lib, other)
    _update(native, 3)
    other.reboot(0.5)
    assert _native(lib, other).loaded_slot == native.active_slot


@pytest.mark.parametrize("kind", KINDS)
def test_cut_during_the_very_first_boot(lib: Library, kind: CutKind) -> None:
    for at in range(4):
        for bias in (0.0, 0.5, 1.0):
            flash = TornFlash(5)
            flash.seed(at)
            flash.cut(at, kind)
            assert _native(lib, flash).dead
            flash.reboot(bias)
            device = _native(lib, flash)
            assert device.active_slot == NO_SLOT
            _update(device, 0)
            assert _native(lib, flash).loaded_slot == 0


def test_recovery_from_every_table_that_cuts_can_leave(lib: Library) -> None:
    for flash, _ in every_table(5):
        other = copy.deepcopy(flash)
        model, native = _model(flash), _native(lib, other)
        assert flash.data == other.data
        assert native.active_slot == model.active_slot


@pytest.mark.slow
@pytest.mark.parametrize("bias", [0.0, 0.5, 1.0])
def test_cut_again_during_the_recovery(lib: Library, updated: TornFlash, bias: float) -> None:
    n_total = 1 + -(-len(IMAGES[2]) // 256) + 4
    for first in range(n_total - 4, n_total):
        for second in range(4):
            for kind in KINDS:
                one, other = copy.deepcopy(updated), copy.deepcopy(updated)
                for flash in (one, other):
                    flash.seed(first)
                _cut(_model(one), one, first, "torn")
                _cut(_native(lib, other), other, first, "torn")
                for flash in (one, other):
                    flash.reboot(bias)
                    flash.cut(second, kind)
                with contextlib.suppress(PowerCut):
                    _model(one)
                _native(lib, other)
                assert one.data == other.data
                _check_boots(lib, one, other, bias)
