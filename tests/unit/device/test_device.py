"""The device model: slots, checks before a commit, loading, running."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.device import DeviceModel
from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.image import ImageContent, build_image
from norcim.spec.error_codes import DeviceError
from norcim.spec.protocol import NO_SLOT
from tests.unit.device.fake_engine import FakeEngine, WrongEngine
from tests.unit.image.sample import sample_content, second_content, two_networks

SLOT_SECTORS = 2
N_SECTORS = 3 + 2 * SLOT_SECTORS


def _device(flash: NorFlash | None = None, **options: Any) -> DeviceModel:
    options = {"make_engine": FakeEngine, "slot_sectors": SLOT_SECTORS, **options}
    return DeviceModel(flash or NorFlash(N_SECTORS), **options)


def _write(device: DeviceModel, slot: int, image: bytes) -> None:
    for offset in range(0, len(image), 4096):
        device.erase(slot, offset)
        device.write(slot, offset, image[offset : offset + 4096])


def _image(**changes: Any) -> bytes:
    return build_image(sample_content(**changes))


def _code(call: Any, *arguments: Any) -> DeviceError:
    with pytest.raises(DeviceFault) as caught:
        call(*arguments)
    return caught.value.code


def test_new_device_has_nothing() -> None:
    device = _device()
    assert (device.active_slot, device.loaded_slot) == (NO_SLOT, NO_SLOT)
    assert _code(device.run, [bytes(32)]) is DeviceError.NO_IMAGE
    assert _code(device.load) is DeviceError.NO_IMAGE
    assert _code(device.activate, 0) is DeviceError.NO_IMAGE


def test_activated_slot_is_loaded_after_a_restart() -> None:
    device = _device()
    _write(device, 1, _image())
    device.activate(1)
    again = _device(device.flash)
    assert (again.active_slot, again.loaded_slot) == (1, 1)
    assert again.content == sample_content()
    assert "slot 1 loaded" in again.log()[-1]


def test_run_gives_each_sample_its_output() -> None:
    device = _device()
    _write(device, 0, _image())
    device.load(0)
    assert device.run([bytes(96)]) == [sample_content().kat_output + b"\xc2\xc2\xbd\xc0"]
    assert device.counters()[0].macs == 3


@pytest.mark.parametrize("inputs", [[], [b""], [bytes(31)], [bytes(33)], [bytes(32), bytes(32)]])
def test_inputs_that_do_not_fit(inputs: list[bytes]) -> None:
    device = _device()
    _write(device, 0, _image())
    device.load(0)
    assert _code(device.run, inputs) is DeviceError.BAD_RANGE


def test_counter_rises_with_each_commit_only() -> None:
    device = _device()
    _write(device, 0, _image())
    first = device.activate(0)
    assert device.activate(0) == first
    _write(device, 1, _image(meta={"version": 2}))
    assert device.activate(1) > first


def test_loading_another_slot_does_not_commit_it() -> None:
    device = _device()
    _write(device, 0, _image())
    device.activate(0)
    _write(device, 1, _image(meta={"version": 2}))
    device.load(1)
    assert (device.active_slot, device.loaded_slot) == (0, 1)
    assert _device(device.flash).loaded_slot == 0


def test_active_slot_is_not_touched() -> None:
    device = _device()
    _write(device, 0, _image())
    device.activate(0)
    assert _code(device.erase, 0, 0) is DeviceError.SLOT_IN_USE
    assert _code(device.write, 0, 4096, b"\0") is DeviceError.SLOT_IN_USE


def test_erasing_the_loaded_slot_unloads_it() -> None:
    device = _device()
    _write(device, 0, _image())
    device.load(0)
    device.erase(0, 0)
    assert _code(device.run, [bytes(32)]) is DeviceError.NO_IMAGE


def test_only_sectors_erased_since_power_on_are_written() -> None:
    device = _device()
    assert _code(device.write, 0, 0, b"\0") is DeviceError.NOT_ERASED
    device.erase(0, 0)
    device.write(0, 0, b"\0")
    assert _code(device.write, 0, 0, b"\0") is DeviceError.NOT_ERASED
    assert _code(_device(device.flash).write, 0, 256, b"\0") is DeviceError.NOT_ERASED


@pytest.mark.parametrize(
    ("slot", "offset", "code"),
    [(2, 0, "BAD_SLOT"), (-1, 0, "BAD_SLOT"), (0, 8192, "BAD_RANGE"), (0, -1, "BAD_RANGE")],
)
def test_addresses_outside_the_slots(slot: int, offset: int, code: str) -> None:
    assert _code(_device().erase, slot, offset) is DeviceError[code]


def test_write_begins_at_a_page() -> None:
    device = _device()
    device.erase(0, 0)
    assert _code(device.write, 0, 1, b"\0") is DeviceError.BAD_RANGE


def test_slots_do_not_overlap() -> None:
    device = _device()
    _write(device, 0, b"\x11" * 8192)
    _write(device, 1, b"\x22" * 8192)
    assert device.read(0, 0, 8192) == b"\x11" * 8192
    assert device.read(1, 0, 8192) == b"\x22" * 8192


def test_a_flipped_cell_anywhere_prevents_the_commit() -> None:
    image = _image()
    for offset in range(0, len(image), 97):
        device = _device()
        _write(device, 0, image)
        device.flash.data[5 * 4096 - 2 * 4096 + offset] ^= 0x10
        code = _code(device.activate, 0)
        assert code in (DeviceError.IMAGE_DAMAGED, DeviceError.WRONG_ABI)
        assert device.active_slot == NO_SLOT


def test_failed_known_answer_test_prevents_the_commit() -> None:
    device = _device(make_engine=WrongEngine)
    _write(device, 0, _image())
    assert _code(device.activate, 0) is DeviceError.KAT_FAILED
    assert _device(device.flash).active_slot == NO_SLOT


def test_image_without_known_answers_is_not_committed() -> None:
    device = _device()
    _write(device, 0, _image(kat_input=b"", kat_output=b""))
    assert _code(device.activate, 0) is DeviceError.KAT_FAILED


def test_cells_that_do_not_take_a_program_are_noticed() -> None:
    class StuckFlash(NorFlash):
        def program(self, offset: int, data: bytes) -> None:
            super().program(offset, data)
            self.data[offset] |= 1

    device = _device(StuckFlash(N_SECTORS))
    device.erase(0, 0)
    assert _code(device.write, 0, 0, b"\0") is DeviceError.FLASH_FAILED


def _content_for(name: str, **changes: Any) -> ImageContent:
    chip = load_chip(name)
    return sample_content(chip=chip.name, chip_hash=chip.fingerprint, **changes)


def test_image_for_the_devices_chip() -> None:
    device = _device(chip=load_chip("nor1"))
    _write(device, 0, build_image(_content_for("nor1")))
    device.activate(0)
    assert device.active_slot == 0


@pytest.mark.parametrize("content", [_content_for("overlay"), sample_content()])
def test_image_for_another_chip(content: ImageContent) -> None:
    """By name, and by the hash of a chip file that has changed."""
    device = _device(chip=load_chip("nor1"))
    _write(device, 0, build_image(content))
    assert _code(device.activate, 0) is DeviceError.WRONG_CHIP


def test_image_larger_than_the_devices_memory() -> None:
    chip = load_chip("nor1")
    small = replace(chip, memories=replace(chip.memories, n_tiles=2))
    device = _device(chip=small)
    _write(device, 0, build_image(_content_for("nor1")))
    assert _code(device.activate, 0) is DeviceError.DOES_NOT_FIT


def test_image_longer_than_its_slot() -> None:
    device = _device(slot_sectors=1)
    image = bytearray(_image(weights=bytes(5000)))
    _write(device, 0, bytes(image[:4096]))
    assert _code(device.activate, 0) is DeviceError.DOES_NOT_FIT


def _damage_slot(device: DeviceModel, slot: int) -> None:
    device.flash.data[(3 + slot * SLOT_SECTORS) * 4096 + 1500] ^= 1


def test_rotten_active_image_falls_back_to_the_one_before() -> None:
    device = _device()
    _write(device, 0, _image())
    device.activate(0)
    _write(device, 1, _image(meta={"version": 2}))
    device.activate(1)
    _damage_slot(device, 1)
    again = _device(device.flash)
    assert (again.active_slot, again.loaded_slot) == (0, 0)
    _write(again, 1, _image(meta={"version": 3}))
    again.activate(1)
    assert _device(device.flash).content == sample_content(meta={"version": 3})


def test_fallback_does_not_load_what_was_never_committed() -> None:
    device = _device()
    _write(device, 0, _image())
    device.activate(0)
    _write(device, 1, _image(meta={"version": 2}))
    device.activate(1)
    _write(device, 0, _image(meta={"version": 3}))
    _damage_slot(device, 1)
    again = _device(device.flash)
    assert again.loaded_slot == NO_SLOT
    assert any("another image" in line for line in again.log())


def test_log_is_taken_out() -> None:
    device = _device()
    _write(device, 0, _image())
    device.activate(0)
    assert device.log() == ["slot 0 committed, counter 2"]
    assert device.log() == []


def test_image_with_a_tile_outside_the_arrays() -> None:
    tiles = tuple(replace(tile, array=200) for tile in sample_content().tiles)
    device = _device(chip=load_chip("nor1"))
    _write(device, 0, build_image(_content_for("nor1", tiles=tiles)))
    assert _code(device.activate, 0) is DeviceError.TILE_RANGE


def test_networks_of_an_image() -> None:
    device = _device(make_engine=Emulator)
    _write(device, 0, build_image(two_networks()))
    device.activate(0)
    for index, alone in ((0, sample_content()), (1, second_content()), (0, sample_content())):
        device.select(index)
        assert device.run([alone.kat_input]) == [alone.kat_output]
        device.put([alone.kat_input[:32]])
        assert len(device.step(0, 100)) == len(alone.program) - 1
        assert device.read_memory(alone.ports[1].addr, 4) == alone.kat_output[:4]
        assert len(device.counters()) == len(alone.program) - 1
    assert _code(device.select, 2) is DeviceError.BAD_RANGE
    assert _code(device.select, -1) is DeviceError.BAD_RANGE
    device.select(1)
    device.load()
    assert device.run([sample_content().kat_input]) == [sample_content().kat_output]


def test_a_wrong_answer_of_a_later_network_keeps_it_out() -> None:
    content = two_networks()
    answers = bytearray(content.kat_output)
    answers[-1] ^= 1
    device = _device(make_engine=Emulator)
    _write(device, 0, build_image(replace(content, kat_output=bytes(answers))))
    assert _code(device.activate, 0) is DeviceError.KAT_FAILED
