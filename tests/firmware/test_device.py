"""The device over the wire: requests, transfers, running, what is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.image import build_image
from norcim.spec.error_codes import DeviceError
from norcim.spec.protocol import NO_SLOT, FrameType, HelloAnswer, RunAction
from norcim.spec.record import unpack_record
from norcim.transport.framing import Frame, encode_frame
from tests.firmware.native import Library, MemoryNpu, NativeDevice, make_config, words
from tests.unit.image.sample import sample_content, second_content, two_networks

IMAGE = build_image(sample_content())
CONTENT = sample_content()
T = FrameType


def _device(lib: Library, npu: MemoryNpu | None = None, **changes: int) -> NativeDevice:
    return NativeDevice(lib, NorFlash(7), make_config(2, **changes), npu)


def _put(device: NativeDevice, slot: int = 0, image: bytes = IMAGE) -> None:
    for offset in range(0, len(image), 4096):
        device.erase(slot, offset)
        device.write(slot, offset, image[offset : offset + 4096])


def _code(device: NativeDevice, type: int, payload: bytes = b"") -> DeviceError:
    with pytest.raises(DeviceFault) as caught:
        device.ask(type, payload)
    return caught.value.code


def test_hello_says_who_is_there(lib: Library) -> None:
    device = _device(lib, lanes=64, firmware_version=0x010203, unique_id_lo=5, clock_hz=50)
    answer = device.ask(T.HELLO)
    hello = unpack_record(HelloAnswer, answer[:60])
    assert len(answer) == 124
    assert (hello.version, hello.abi_level, hello.lanes, hello.n_slots) == (1, 1, 64, 2)
    assert (hello.firmware_major, hello.firmware_minor, hello.firmware_patch) == (1, 2, 3)
    assert (hello.active_slot, hello.loaded_slot) == (NO_SLOT, NO_SLOT)
    assert (hello.slot_bytes, hello.unique_id_lo, hello.clock_hz) == (8192, 5, 50)


def test_transfer_in_frames_of_any_length(lib: Library) -> None:
    rng = random.Random(1)
    device = _device(lib)
    data = rng.randbytes(4000)
    device.erase(1, 0)
    device.ask(T.WRITE, words(1, 0, 0))
    at = 0
    while at < len(data):
        part = data[at : at + rng.randrange(1, 700)]
        at += len(part)
        assert device.ask(T.WRITE, words(1, at - len(part), len(part)) + part) == words(at)
    assert device.ask(T.READ, words(1, 3000, 1000)) == data[3000:]
    assert device.flash.data[5 * 4096 + 4000] == 0xFF


def test_write_at_another_offset_changes_nothing(lib: Library) -> None:
    device = _device(lib)
    device.erase(0, 0)
    device.ask(T.WRITE, words(0, 0, 0))
    assert device.ask(T.WRITE, words(0, 0, 4) + b"abcd") == words(4)
    for offset in (0, 3, 5, 256):
        assert device.ask(T.WRITE, words(0, offset, 4) + b"wxyz") == words(4)
    assert device.ask(T.WRITE, words(0, 4, 2) + b"ef") == words(6)
    assert device.ask(T.READ, words(0, 0, 8)) == b"abcdef\xff\xff"


def test_request_is_answered_again_and_not_executed_again(lib: Library) -> None:
    device = _device(lib)
    device.request(T.HELLO, sequence=100)
    erase = encode_frame(Frame(T.ERASE, 0, 101, words(0, 0, 0)))
    first = device.take(erase)
    assert device.take(erase) == first
    assert device.flash.erase_counts[3] == 1
    device.request(T.LOG, sequence=102)
    assert device.take(erase) == b""  # it came late
    assert device.flash.erase_counts[3] == 1
    device.request(T.HELLO, sequence=100)  # a new session
    assert device.take(erase) == first
    assert device.flash.erase_counts[3] == 2


def test_numbers_wrap_round(lib: Library) -> None:
    device = _device(lib)
    for sequence in (65534, 65535, 0, 1):
        answer = device.request(T.LOG, sequence=sequence)
        assert answer is not None
        assert answer.sequence == sequence
    assert device.request(T.LOG, sequence=65535) is None


def test_restarted_device_has_no_transfer(lib: Library) -> None:
    device = _device(lib)
    assert _code(device, T.WRITE, words(0, 0, 4) + b"abcd") is DeviceError.NOT_ERASED


def test_only_sectors_erased_since_power_on_are_written(lib: Library) -> None:
    device = _device(lib)
    device.ask(T.WRITE, words(0, 0, 0))
    assert _code(device, T.WRITE, words(0, 0, 256) + bytes(256)) is DeviceError.NOT_ERASED
    device.erase(0, 0)
    device.write(0, 0, bytes(256))
    device.ask(T.WRITE, words(0, 0, 0))
    assert _code(device, T.WRITE, words(0, 0, 256) + bytes(256)) is DeviceError.NOT_ERASED


def test_page_that_fails_is_told_by_the_next_request(lib: Library) -> None:
    device = _device(lib)
    device.ask(T.WRITE, words(0, 0, 0))
    device.ask(T.WRITE, words(0, 0, 4) + b"abcd")
    assert _code(device, T.VERIFY, words(0, 0, 4)) is DeviceError.NOT_ERASED
    device.ask(T.VERIFY, words(0, 0, 4))


REFUSED: list[tuple[int, bytes, str]] = [
    (0x00, b"", "BAD_REQUEST"), (0x0C, b"", "BAD_REQUEST"), (0x0D, b"", "BAD_REQUEST"),
    (T.DATA, words(0) + bytes(16), "NOT_ERASED"), (0x7F, b"", "BAD_REQUEST"),
    (T.HELLO, b"x", "BAD_REQUEST"), (T.ERASE, b"", "BAD_REQUEST"),
    (T.ERASE, words(0, 0, 1), "BAD_REQUEST"), (T.ERASE, words(2, 0, 0), "BAD_SLOT"),
    (T.ERASE, words(0, 8192, 0), "BAD_RANGE"), (T.ERASE, words(0, -1, 0), "BAD_RANGE"),
    (T.WRITE, words(0, 0, 5) + b"abcd", "BAD_REQUEST"), (T.WRITE, words(0, 1, 0), "BAD_RANGE"),
    (T.WRITE, words(0, 8190, 4) + b"abcd", "BAD_RANGE"), (T.READ, words(0, 0, 1025), "BAD_RANGE"),
    (T.READ, words(0, 8000, 193), "BAD_RANGE"), (T.READ, words(0, -1, 2), "BAD_RANGE"),
    (T.VERIFY, words(0, 1, 8192), "BAD_RANGE"), (T.VERIFY, words(9, 0, 0), "BAD_SLOT"),
    (T.VERIFY, words(0, 0, 0), "NO_IMAGE"), (T.ACTIVATE, words(0, 0, 0), "NO_IMAGE"),
    (T.ACTIVATE, words(7, 0, 0), "BAD_SLOT"), (T.RUN, words(0), "BAD_REQUEST"),
    (T.RUN, words(4, 0), "BAD_REQUEST"), (T.RUN, words(2, 0, 0), "BAD_REQUEST"),
    (T.RUN, words(6, 0), "BAD_REQUEST"), (T.RUN, words(5, 0, 0, 0), "BAD_REQUEST"),
    (T.RUN, words(5, 0), "BAD_REQUEST"), (T.RUN, words(4, 0, 1), "NO_IMAGE"),
    (T.RUN, words(5, 0, 1), "NO_IMAGE"),
    (T.RUN, words(RunAction.LOAD, NO_SLOT), "NO_IMAGE"), (T.RUN, words(2, 0), "NO_IMAGE"),
    (T.COUNTERS, words(0), "NO_IMAGE"), (T.COUNTERS, b"", "BAD_REQUEST"),
    (T.BAUD, b"", "BAD_REQUEST"), (T.BAUD, words(20_000_000), "BAD_RANGE"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "payload", "code"), REFUSED)
def test_what_is_refused(lib: Library, type: int, payload: bytes, code: str) -> None:
    device = _device(lib, MemoryNpu())
    before = bytes(device.flash.data)
    assert _code(device, type, payload) is DeviceError[code]
    assert device.flash.data == before


def test_answers_and_echoes_are_not_requests(lib: Library) -> None:
    device = _device(lib)
    assert device.take(encode_frame(Frame(T.HELLO | 0x80, 0, 1, b""))) == b""
    assert device.take(encode_frame(Frame(T.HELLO, 3, 1, b""))) == b""


def test_without_an_npu_nothing_runs_and_nothing_is_committed(lib: Library) -> None:
    device = _device(lib)
    _put(device)
    assert device.ask(T.VERIFY, words(0, 0, 0)) == IMAGE[96:128]
    for kind, payload in ((T.ACTIVATE, words(0, 0, 0)), (T.RUN, words(0, 0))):
        assert _code(device, kind, payload) is DeviceError.NO_NPU
    assert device.active_slot == NO_SLOT


def _run(device: NativeDevice, data: bytes, size: int = 13) -> bytes:
    for at in range(0, len(data), size):
        device.ask(T.RUN, words(RunAction.INPUT, at) + data[at : at + size])
    assert device.ask(T.RUN, words(RunAction.START, 0))[:4] == words(8)
    out = device.ask(T.RUN, words(RunAction.OUTPUT, 0))
    assert device.ask(T.RUN, words(RunAction.OUTPUT, 1)) == out[1:]
    return out


def test_activate_and_run_with_a_firmware_step(lib: Library) -> None:
    """The answers are the image's own, which the compiler's golden arithmetic made."""
    npu = MemoryNpu()
    device = _device(lib, npu)
    _put(device)
    assert device.activate(0) == 2
    assert npu.n_runs == 2
    due = CONTENT.kat_output
    assert _run(device, CONTENT.kat_input[:32]) == due[:4]
    assert _run(device, CONTENT.kat_input[32:]) == due[4:]
    counters = device.ask(T.COUNTERS, words(7))
    assert counters == words(*range(70, 75), *range(80, 85))
    assert device.ask(T.COUNTERS, words(9)) == b""
    assert device.activate(0) == 2
    assert b"slot 0 committed, counter 2\n" in device.ask(T.LOG)
    assert device.ask(T.LOG) == b""


def test_networks_of_an_image(lib: Library) -> None:
    """Inputs and outputs of the second come after those of the first; its program begins at 9."""
    npu = MemoryNpu()
    device = _device(lib, npu)
    _put(device, 0, build_image(two_networks()))
    assert device.activate(0) == 2
    assert npu.n_runs == 4
    for at, first, alone in ((0, 0, sample_content()), (1, 9, second_content())):
        for vector in (0, 1):
            data = alone.kat_input[32 * vector : 32 * vector + 32]
            device.ask(T.RUN, words(RunAction.INPUT, 32 * at) + data)
            assert device.ask(T.RUN, words(RunAction.START, first))[:4] == words(first + 8)
            found = device.ask(T.RUN, words(RunAction.OUTPUT, 4 * at))[:4]
            assert found == alone.kat_output[4 * vector : 4 * vector + 4]
        assert len(device.ask(T.RUN, words(RunAction.STEP, first, 100))) == 4 * 8
    for first in (1, 8, 10, 17, 18, 0xFFFFFFFF):
        assert _code(device, T.RUN, words(RunAction.START, first)) is DeviceError.BAD_RANGE
    assert device.ask(T.RUN, words(RunAction.STEP, 8, 1)) == b""


def test_a_wrong_answer_of_a_later_network_keeps_it_out(lib: Library) -> None:
    content = two_networks()
    answers = bytearray(content.kat_output)
    answers[-1] ^= 1
    device = _device(lib, MemoryNpu())
    _put(device, 0, build_image(replace(content, kat_output=bytes(answers))))
    assert _code(device, T.ACTIVATE, words(0, 0, 0)) is DeviceError.KAT_FAILED


def test_inputs_and_outputs_outside_the_ports(lib: Library) -> None:
    device = _device(lib, MemoryNpu())
    _put(device)
    device.activate(0)
    beyond = words(RunAction.INPUT, 31) + b"ab"
    assert _code(device, T.RUN, beyond) is DeviceError.BAD_RANGE
    assert _code(device, T.RUN, words(RunAction.OUTPUT, 5)) is DeviceError.BAD_RANGE
    assert device.ask(T.RUN, words(RunAction.OUTPUT, 4)) == b""


def test_stopped_run_says_where(lib: Library) -> None:
    npu = MemoryNpu()
    device = _device(lib, npu)
    _put(device)
    device.activate(0)
    npu.error = DeviceError.WATCHDOG
    answer = device.request(T.RUN, words(RunAction.START, 0))
    assert answer is not None
    assert (answer.status, answer.payload) == (DeviceError.WATCHDOG, words(5, 7))


def test_failed_known_answers_keep_the_old_image(lib: Library) -> None:
    npu = MemoryNpu()
    device = _device(lib, npu)
    _put(device)
    device.activate(0)
    _put(device, 1, build_image(sample_content(meta={"version": 2})))
    npu.wrong = True
    assert _code(device, T.ACTIVATE, words(1, 0, 0)) is DeviceError.KAT_FAILED
    npu.wrong = False
    assert (device.active_slot, device.loaded_slot) == (0, 0)
    assert _run(device, CONTENT.kat_input[:32]) == CONTENT.kat_output[:4]
    _put(device, 1, build_image(sample_content(kat_input=b"", kat_output=b"")))
    assert _code(device, T.ACTIVATE, words(1, 0, 0)) is DeviceError.KAT_FAILED


def test_active_slot_is_not_touched_and_a_loaded_one_is_unloaded(lib: Library) -> None:
    device = _device(lib, MemoryNpu())
    _put(device)
    device.activate(0)
    assert _code(device, T.ERASE, words(0, 0, 0)) is DeviceError.SLOT_IN_USE
    assert _code(device, T.WRITE, words(0, 0, 0)) is DeviceError.SLOT_IN_USE
    _put(device, 1)
    device.ask(T.RUN, words(RunAction.LOAD, 1))
    assert (device.active_slot, device.loaded_slot) == (0, 1)
    device.erase(1, 0)
    assert device.loaded_slot == NO_SLOT
    device.ask(T.RUN, words(RunAction.LOAD, NO_SLOT))
    assert device.loaded_slot == 0


def test_rotten_active_image_falls_back(lib: Library) -> None:
    device = _device(lib, MemoryNpu())
    _put(device)
    device.activate(0)
    _put(device, 1)
    device.activate(1)
    device.flash.data[5 * 4096 + 1500] ^= 1
    again = NativeDevice(lib, device.flash, device.config, MemoryNpu())
    assert (again.active_slot, again.loaded_slot) == (0, 0)
    assert b"slot 1 is not loaded: error 23\n" in again.ask(T.LOG)


def test_cells_that_do_not_take_a_program_are_noticed(lib: Library) -> None:
    class StuckFlash(NorFlash):
        def program(self, offset: int, data: bytes) -> None:
            super().program(offset, data)
            self.data[offset] |= 1

    device = NativeDevice(lib, StuckFlash(7), make_config(2))
    device.erase(0, 0)
    device.ask(T.WRITE, words(0, 0, 0))
    assert _code(device, T.WRITE, words(0, 0, 256) + bytes(256)) is DeviceError.FLASH_FAILED
    assert b"slot table: error 21\n" in device.ask(T.LOG)


def test_baud_rate_has_to_prove_itself(lib: Library) -> None:
    device = _device(lib)
    device.clock_ms = 2**32 - 100  # the clock wraps round meanwhile
    device.ask(T.BAUD, words(1_000_000))
    device.clock_ms += 999
    device.poll()
    assert device.bauds == [1_000_000]
    device.clock_ms += 1
    device.poll()
    assert device.bauds == [1_000_000, 115_200]
    device.ask(T.BAUD, words(2_000_000))
    device.ask(T.HELLO)
    device.clock_ms += 5000
    device.poll()
    assert device.bauds[2:] == [2_000_000]


def test_reset_is_answered_first(lib: Library) -> None:
    device = _device(lib)
    assert device.ask(T.RESET) == b""
    assert device.was_reset


def test_log_keeps_the_newest_lines(lib: Library) -> None:
    device = _device(lib, MemoryNpu(), max_payload_bytes=160)
    for version in range(40):
        slot = 1 if device.active_slot == 0 else 0
        _put_quietly(device, slot, build_image(sample_content(meta={"version": version})))
        device.activate(slot)
    text = b""
    while part := device.ask(T.LOG):
        assert len(part) <= 160
        assert part.endswith(b"\n")
        text += part
    lines = text.decode().splitlines()
    assert lines[-1] == "slot 1 committed, counter 41"
    assert 30 < len(lines) < 40


def _put_quietly(device: NativeDevice, slot: int, image: bytes) -> None:
    """As _put, without reading the log."""
    device.erase(slot, 0)
    device.ask(T.WRITE, words(slot, 0, 0))
    for at in range(0, len(image), 148):
        part = image[at : at + 148]
        device.ask(T.WRITE, words(slot, at, len(part)) + part)


@pytest.mark.parametrize("payload", [160, 1024])
def test_payloads_have_the_length_that_hello_says(lib: Library, payload: int) -> None:
    device = _device(lib, max_payload_bytes=payload)
    assert len(device.ask(T.READ, words(0, 0, payload))) == payload
    assert _code(device, T.READ, words(0, 0, payload + 1)) is DeviceError.BAD_RANGE


def softmax_faults() -> list[tuple[dict[str, Any], DeviceError]]:
    return [
        ({"function": 9}, DeviceError.BAD_FIELD),
        ({"argument": 1}, DeviceError.TABLE_MISSING),
        ({"argument": 2**32 - 1}, DeviceError.TABLE_MISSING),
        ({"in_addr": 2**32 - 1}, DeviceError.ADDRESS_RANGE),
        ({"out_addr": 125}, DeviceError.ADDRESS_RANGE),
        ({"in_h": 0}, DeviceError.BAD_FIELD),
        ({"use_table": 1, "table": 2}, DeviceError.TABLE_MISSING),
        ({"function": 1}, DeviceError.BAD_FIELD),  # an output of 4 channels
        ({"function": 1, "out_c": 1, "use_table": 1}, DeviceError.BAD_FIELD),
        ({"function": 2, "shift": 9}, DeviceError.BAD_FIELD),  # gates of one row
        ({"function": 2, "shift": 48, "in_h": 2, "out_h": 2}, DeviceError.BAD_FIELD),
        (
            {"function": 2, "shift": 9, "in_h": 2, "out_h": 2, "in2_addr": 126},
            DeviceError.ADDRESS_RANGE,
        ),
        (
            {"function": 2, "shift": 9, "in_h": 2, "out_h": 2, "argument": 1000},
            DeviceError.ADDRESS_RANGE,
        ),
    ]


@pytest.mark.parametrize(("changes", "code"), softmax_faults())
def test_firmware_step_that_is_not_legal_stops_the_run(
    lib: Library, changes: dict[str, Any], code: DeviceError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("norcim.image.build.check_program", lambda content: None)
    program = list(CONTENT.program)
    program[5] = replace(program[5], **changes)
    device = _device(lib, MemoryNpu())
    _put(device, 0, build_image(sample_content(program=tuple(program))))
    device.ask(T.RUN, words(RunAction.LOAD, 0))
    answer = device.request(T.RUN, words(RunAction.START, 0))
    assert answer is not None
    assert (answer.status, answer.payload[:4]) == (code, words(5))


class _Unreadable(NorFlash):
    """Fails one reading, `n_left` readings from now."""

    n_left = -1

    def read(self, offset: int, length: int) -> bytes:
        self.n_left -= 1
        return b"" if self.n_left == -1 else super().read(offset, length)


def test_every_reading_may_fail(lib: Library) -> None:
    """One bad reading fails the request and no more: asked again, the device commits."""
    for n in range(200):
        flash = _Unreadable(7)
        device = NativeDevice(lib, flash, make_config(2), MemoryNpu())
        _put(device)
        flash.n_left = n
        answer = device.request(T.ACTIVATE, words(0, 0, 0))
        assert answer is not None
        if flash.n_left >= 0:
            break  # there are no more readings than this
        assert device.active_slot == (NO_SLOT if answer.status else 0)
        device.activate(0)
        assert device.loaded_slot == 0
        again = NativeDevice(lib, flash, make_config(2), MemoryNpu())
        assert again.loaded_slot == 0
    assert n > 40


def _grains(base: int, grains: int) -> bytes:
    return words(base, grains)


def test_data_in_any_order(lib: Library) -> None:
    """Grains in a random order, repeated, too early and too late, end as what was sent."""
    rng = random.Random(3)
    device = _device(lib)
    data = rng.randbytes(2000)  # 125 grains: seven pages and a part
    device.erase(0, 0)
    device.ask(T.WRITE, words(0, 0, 0))
    state = (0, 0)
    while not _all_there(*state, len(data)):
        at = 16 * rng.randrange(len(data) // 16)
        part = data[at : at + 16 * rng.randrange(1, 5)]
        answer = device.ask(T.DATA, words(at) + part)
        before, state = state[0], (
            int.from_bytes(answer[:4], "little"), int.from_bytes(answer[4:], "little"),
        )  # fmt: skip
        assert state[0] >= before
        assert state[0] % 256 == 0
    assert device.ask(T.READ, words(0, 0, 1024)) + device.ask(T.READ, words(0, 1024, 976)) == data
    assert device.flash.data[3 * 4096 + 2000] == 0xFF


def _all_there(base: int, grains: int, n_bytes: int) -> bool:
    n_left = (n_bytes - base) // 16
    return n_left <= 32 and grains & (1 << n_left) - 1 == (1 << n_left) - 1


def test_data_outside_the_window_changes_nothing(lib: Library) -> None:
    device = _device(lib)
    device.erase(0, 0)
    device.ask(T.WRITE, words(0, 256, 0))
    assert device.ask(T.DATA, words(256 + 32) + bytes(32)) == _grains(256, 0b1100)
    for offset in (0, 240, 768, 4000):
        assert device.ask(T.DATA, words(offset) + bytes(16)) == _grains(256, 0b1100)
    assert device.ask(T.DATA, words(752) + bytes(16)) == _grains(256, 1 << 31 | 0b1100)
    assert _code(device, T.WRITE, words(0, 256, 4) + b"abcd") is DeviceError.BAD_REQUEST
    device.ask(T.DATA, words(256) + b"a" * 16)
    device.ask(T.LOG)  # ends the transfer: what is there without a gap is programmed
    assert device.ask(T.READ, words(0, 256, 64)) == b"a" * 16 + b"\xff" * 48


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"abc", "BAD_REQUEST"), (words(0), "BAD_REQUEST"), (words(0) + bytes(15), "BAD_REQUEST"),
        (words(8) + bytes(16), "BAD_RANGE"), (words(8192) + bytes(16), "BAD_RANGE"),
        (words(-16) + bytes(32), "BAD_RANGE"),
    ],
)  # fmt: skip
def test_data_that_is_refused(lib: Library, payload: bytes, code: str) -> None:
    device = _device(lib)
    device.erase(0, 0)
    device.ask(T.WRITE, words(0, 0, 0))
    assert _code(device, T.DATA, payload) is DeviceError[code]


def test_data_after_a_part_of_a_page_in_order_is_refused(lib: Library) -> None:
    device = _device(lib)
    device.erase(0, 0)
    device.ask(T.WRITE, words(0, 0, 0))
    device.ask(T.WRITE, words(0, 0, 4) + b"abcd")
    assert _code(device, T.DATA, words(16) + bytes(16)) is DeviceError.BAD_REQUEST


def test_data_on_cells_that_are_not_erased_is_told(lib: Library) -> None:
    device = _device(lib)
    device.ask(T.WRITE, words(0, 0, 0))
    assert _code(device, T.DATA, words(0) + bytes(256)) is DeviceError.NOT_ERASED
    assert _code(device, T.DATA, words(0) + bytes(16)) is DeviceError.NOT_ERASED
