"""Devices behind the interface, as the command line uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from norcim.chips import load_chip
from norcim.errors import NorcimError
from norcim.image import build_image
from norcim.spec.error_codes import DeviceError
from norcim.spec.image_format import SHA256
from norcim.transport import EmulatedDevice, open_device
from norcim.transport.faults import device_error
from tests.unit.device.fake_engine import FakeEngine, WrongEngine
from tests.unit.image.sample import sample_content

IMAGE = build_image(sample_content())
LONG = build_image(sample_content(meta={"note": "x" * 48_000}))


def _error(call: Any, *arguments: Any, **options: Any) -> NorcimError:
    with pytest.raises(NorcimError) as caught:
        call(*arguments, **options)
    return caught.value


def test_write_activate_run_on_the_real_emulator() -> None:
    with open_device("emulator:") as device:
        device.write(0, IMAGE)
        device.activate(0)
        assert device.run([sample_content().kat_input]) == [sample_content().kat_output]
        assert device.counters()[0].macs > 0
        info = device.info()
        assert (info.active_slot, info.loaded_slot, info.free_slot) == (0, 0, 1)
        assert any("committed" in line for line in device.log())


@pytest.mark.parametrize("url", ["", "ttyUSB0", "COM", "tcp:host", "Emulator:"])
def test_other_urls_say_which_exist(url: str) -> None:
    error = _error(open_device, url)
    assert (error.id, error.exit_code) == ("NC-E0601", 5)
    assert "emulator:" in error.expected


def test_flash_and_run_in_two_processes(tmp_path: Path) -> None:
    url = f"emulator:{tmp_path / 'board.bin'}"
    (tmp_path / "a.cim").write_bytes(IMAGE)
    flash = f"""
from norcim.transport import open_device
with open_device({url!r}) as device:
    device.write(device.info().free_slot, open({str(tmp_path / "a.cim")!r}, "rb").read())
    device.activate(device.info().free_slot)
"""
    subprocess.run([sys.executable, "-W", "error::ResourceWarning", "-c", flash], check=True)
    with open_device(url) as device:
        assert device.info().loaded_slot == 0
        assert device.verify(0) == IMAGE[96:128].hex()
        assert device.run([sample_content().kat_input]) == [sample_content().kat_output]
    with open_device(url) as device:
        assert device.info().loaded_slot == 0


def test_memory_device_forgets() -> None:
    with open_device("emulator:") as device:
        device.write(0, IMAGE)
    assert _error(device.load, 0).id == "NC-E0604"
    device.close()
    with open_device("emulator:") as device:
        assert _error(device.load, 0).id == "NC-E0618"


def test_reset_loads_the_active_slot() -> None:
    with open_device("emulator:") as device:
        device.write(0, IMAGE)
        device.activate(0)
        device.write(1, LONG)
        device.load(1)
        assert device.info().loaded_slot == 1
        device.reset()
        assert device.info().loaded_slot == 0


def test_progress_ends_at_the_total() -> None:
    steps: list[tuple[str, int, int]] = []
    with open_device("emulator:") as device:
        device.write(0, LONG, lambda *step: steps.append(step))
    assert steps[-1] == ("write", len(LONG), len(LONG))
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_erase_makes_a_slot_blank() -> None:
    with open_device("emulator:") as device:
        device.write(0, IMAGE)
        device.erase(0)
        assert _error(device.verify, 0).id == "NC-E0618"


class _FailingDevice(EmulatedDevice):
    """Loses its link at the n-th sector that it programs."""

    n_left = 5
    n_programmed = 0

    def _program(self, slot: int, offset: int, data: bytes) -> None:
        if self.n_left == 0:
            raise ConnectionError
        self.n_left -= 1
        self.n_programmed += 1
        super()._program(slot, offset, data)


def _varied(*sectors: int) -> bytes:
    """LONG with other cells in some sectors."""
    weights = bytearray(40_000)
    for sector in sectors:
        weights[sector * 4096] = 1
    return build_image(sample_content(weights=bytes(weights)))


def test_only_sectors_that_differ_are_programmed() -> None:
    device = _FailingDevice(make_engine=FakeEngine)
    device.n_left = 99
    n_all = device.write(0, _varied())
    assert n_all == device.n_programmed == 11
    device.n_programmed = 0
    assert device.write(0, _varied(3, 7)) == device.n_programmed == 3  # and the header
    assert device.verify(0) == _varied(3, 7)[SHA256.offset : SHA256.end].hex()
    assert device.write(0, _varied(), resume=False) == n_all
    device.close()


def test_interrupted_update_leaves_no_image_and_is_written_anew() -> None:
    device = _FailingDevice(make_engine=FakeEngine)
    device.n_left = 99
    device.write(0, _varied())
    for n_left in (0, 1, 2):
        device.n_left = n_left
        with pytest.raises(ConnectionError):
            device.write(0, _varied(3, 7))
        assert _error(device.verify, 0).id == "NC-E0618"
        device.n_left = 99
        assert device.write(0, _varied(3, 7)) == 11
        device.write(0, _varied())
    device.close()


def test_interrupted_write_resumes() -> None:
    """13 sectors, cut after 5: the sixth is blank, so that 5 - 1 are kept and 9 are written."""
    device = _FailingDevice()
    assert len(LONG) // 4096 + 1 == 13
    with pytest.raises(ConnectionError):
        device.write(0, LONG)
    device.n_left, device.n_programmed = 99, 0
    device.write(0, LONG)
    assert device.n_programmed == 9
    device.activate(0)
    device.n_programmed = 0
    device.write(1, LONG, resume=False)
    assert device.n_programmed == 13
    device.close()


def test_active_slot_takes_only_what_it_holds() -> None:
    with open_device("emulator:") as device:
        device.write(0, IMAGE)
        device.activate(0)
        device.write(0, IMAGE)
        assert _error(device.write, 0, LONG).id == "NC-E0613"
        assert _error(device.erase, 0).id == "NC-E0613"
        assert device.run([sample_content().kat_input]) == [sample_content().kat_output]


def _flip(image: bytes, offset: int) -> bytes:
    return image[:offset] + bytes([image[offset] ^ 1]) + image[offset + 1 :]


@pytest.mark.parametrize(
    ("image", "id", "exit_code"),
    [
        (IMAGE[:-1], "NC-E0512", 3),
        (_flip(IMAGE, 2000), "NC-E0516", 3),
        (_flip(IMAGE, 4), "NC-E0511", 3),
        (IMAGE, "NC-E0615", 3),
        (build_image(sample_content(chip="nor1", chip_hash=load_chip("nor1").fingerprint,
                                    weights=bytes(4 * 2**20))), "NC-E0616", 3),
        (build_image(sample_content(chip="nor1", chip_hash=load_chip("nor1").fingerprint,
                                    tables=bytes([1]) * (256 * 2048))), "NC-E0616", 3),
    ],
    ids=["short", "damaged", "abi", "chip", "slot", "memory"],
)  # fmt: skip
def test_image_is_refused_before_anything_is_erased(image: bytes, id: str, exit_code: int) -> None:
    with open_device("emulator:", load_chip("nor1")) as device:
        before = device._model.flash.erase_counts.copy()  # type: ignore[attr-defined]
        error = _error(device.write, 0, image)
        assert (error.id, error.exit_code) == (id, exit_code)
        assert device._model.flash.erase_counts == before  # type: ignore[attr-defined]


def test_failed_known_answer_test_keeps_the_old_image() -> None:
    device = EmulatedDevice(make_engine=FakeEngine)
    device.write(0, IMAGE)
    device.activate(0)
    device._make_engine = WrongEngine
    device._model._make_engine = WrongEngine
    device.write(1, LONG)
    error = _error(device.activate, 1)
    assert (error.id, error.exit_code) == ("NC-E0628", 5)
    device.reset()
    assert device.info().loaded_slot == 0
    device.close()


def test_inputs_of_the_wrong_length_say_what_is_due() -> None:
    with open_device("emulator:") as device:
        device.write(0, IMAGE)
        device.load(0)
        error = _error(device.run, [bytes(33)])
        assert error.id == "NC-E0612"
        assert "33" in error.got
        assert "n * 32" in error.got


def test_info_tells_chip_and_memories() -> None:
    chip = load_chip("overlay")
    with open_device("emulator:", chip) as device:
        info = device.info()
    assert (info.chip, info.chip_hash) == ("overlay", chip.fingerprint)
    assert info.memories["activation_bytes"] == chip.memories.activation_bytes
    assert (info.active_slot, info.free_slot) == (None, 0)


def test_every_device_error_has_a_message_and_a_fix() -> None:
    ids = set()
    for code in DeviceError:
        if code is not DeviceError.OK:
            error = device_error(code, "emulator:")
            assert error.fix
            assert error.exit_code in (3, 5)
            ids.add(error.id)
    assert len(ids) == len(DeviceError) - 1


def test_stopped_run_names_its_descriptor() -> None:
    error = device_error(DeviceError.BAD_OPCODE, "emulator:", descriptor=7)
    assert "descriptor 7" in error.where


class _ForgetfulDevice(EmulatedDevice):
    """Says that it programmed, but keeps what was there."""

    def _program(self, slot: int, offset: int, data: bytes) -> None:
        super()._program(slot, offset, IMAGE[offset : offset + max(len(data), 4096)])


def test_write_ends_only_when_the_device_has_the_very_image() -> None:
    other = build_image(sample_content(meta={"name": "other", "note": "x" * 40}))
    with _ForgetfulDevice() as device:
        error = _error(device.write, 0, other)
        assert (error.id, error.exit_code) == ("NC-E0617", 5)
        assert error.got == IMAGE[96:128].hex()
