"""What an image needs of the memory that descriptors, tiles, columns and tables share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from norcim.chips import load_chip
from norcim.emulator.device import DeviceModel
from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.errors import NorcimError
from norcim.image import build_image, memory_needs
from norcim.runtime import check_memories
from norcim.spec.error_codes import DeviceError
from tests.unit.device.fake_engine import FakeEngine
from tests.unit.image.sample import sample_content


def test_records_are_added_up() -> None:
    content = sample_content()
    needs = memory_needs(content)
    assert needs["record_bytes"] == (
        128 * needs["n_descriptors"] + 32 * needs["n_tiles"] + 8 * needs["n_columns"]
        + 256 * needs["n_tables"]
    )  # fmt: skip


def test_records_that_fit_one_by_one_and_not_together_are_refused() -> None:
    overlay = load_chip("overlay")
    content = sample_content(chip=overlay.name, chip_hash=overlay.fingerprint)
    needed = memory_needs(content)["record_bytes"]
    for there, fits in ((needed, True), (needed - 1, False), (0, True)):
        chip = replace(overlay, memories=replace(overlay.memories, record_bytes=there))
        device = DeviceModel(NorFlash(5), make_engine=FakeEngine, chip=chip, slot_sectors=1)
        device.erase(0, 0)
        device.write(0, 0, build_image(content))
        if fits:
            check_memories(content, chip)
            device.activate(0)
            continue
        with pytest.raises(NorcimError, match="NC-E0306"):
            check_memories(content, chip)
        with pytest.raises(DeviceFault) as refused:
            device.activate(0)
        assert refused.value.code == DeviceError.DOES_NOT_FIT
