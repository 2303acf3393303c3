"""STEP and MEMORY: the firmware and the device model answer alike, descriptor by descriptor."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from norcim.emulator import reference
from norcim.emulator.device import DeviceModel
from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.emulator.regions import output_region
from norcim.image import ImageContent, build_image
from norcim.spec.error_codes import DeviceError
from norcim.spec.protocol import FrameType, RunAction
from norcim.transport import EmulatedDevice
from tests.conformance.programs import random_program
from tests.firmware.native import Library, MemoryNpu, NativeDevice, make_config, words
from tests.unit.image.sample import sample_content

CONTENT = sample_content()
SAMPLE = CONTENT.kat_input[:32]
N_STEPS = len(CONTENT.program) - 1


def _device(lib: Library, content: ImageContent = CONTENT, **changes: int) -> NativeDevice:
    """A device on which an image is loaded."""
    image = build_image(content)
    n_sectors = -(-len(image) // 4096)
    device = NativeDevice(
        lib, NorFlash(3 + 2 * n_sectors), make_config(n_sectors, **changes), MemoryNpu()
    )
    for offset in range(0, len(image), 4096):
        device.erase(0, offset)
        device.write(0, offset, image[offset : offset + 4096], size=140)
    device.ask(FrameType.RUN, words(RunAction.LOAD, 0))
    return device


def _put(device: NativeDevice, data: bytes) -> None:
    for at in range(0, len(data), 100):
        device.ask(FrameType.RUN, words(RunAction.INPUT, at) + data[at : at + 100])


def _step(device: NativeDevice, first: int, n: int) -> list[int]:
    data = device.ask(FrameType.RUN, words(RunAction.STEP, first, n))
    return [crc for (crc,) in struct.iter_unpack("<I", data)]


def _due(content: ImageContent, inputs: list[Any]) -> list[int]:
    """CRC-32 of every descriptor's output by the golden executor."""
    memory = np.zeros((1, content.activation_bytes), np.uint8)
    ports = [port for port in content.ports if not port.is_output]
    for port, array in zip(ports, inputs, strict=True):
        reference_port = memory[0, port.addr :]
        for y in range(port.h):
            for x in range(port.w):
                at = y * port.row_stride + x * port.pixel_stride
                reference_port[at : at + port.c] = array[y, x]
    found = []
    for d in content.program[:-1]:
        reference.execute(d, content, memory)
        found.append(zlib.crc32(output_region(d).view(memory).tobytes()))
    return found


def _arrays(content: ImageContent, data: bytes) -> list[Any]:
    arrays, at = [], 0
    for port in content.ports:
        if not port.is_output:
            size = port.h * port.w * port.c
            part = np.frombuffer(data[at : at + size], np.uint8)
            arrays.append(part.reshape(port.h, port.w, port.c))
            at += size
    return arrays


def _model(content: ImageContent) -> DeviceModel:
    image = build_image(content)
    n_sectors = -(-len(image) // 4096)
    model = DeviceModel(NorFlash(3 + 2 * n_sectors), slot_sectors=n_sectors)
    for offset in range(0, len(image), 4096):
        model.erase(0, offset)
        model.write(0, offset, image[offset : offset + 4096])
    model.load(0)
    return model


def _split(content: ImageContent, data: bytes) -> list[bytes]:
    return [array.tobytes() for array in _arrays(content, data)]


def test_every_output_of_a_program_is_hashed(lib: Library) -> None:
    """One request, requests of one descriptor and the device model agree with the golden one."""
    due = _due(CONTENT, _arrays(CONTENT, SAMPLE))
    device = _device(lib)
    _put(device, SAMPLE)
    assert _step(device, 0, 99) == due
    _put(device, SAMPLE)
    assert [_step(device, index, 1) for index in range(N_STEPS)] == [[crc] for crc in due]
    model = _model(CONTENT)
    model.put([SAMPLE])
    assert model.step(0, 99) == due
    assert model.step(N_STEPS, 1) == _step(device, N_STEPS, 1) == []


@pytest.mark.parametrize("seed", range(24))
def test_random_programs(lib: Library, seed: int) -> None:
    content, inputs = random_program(seed, firmware=seed >= 12)
    if content.activation_bytes > 1 << 16:
        pytest.skip("larger than the memory here")
    sample = [np.ascontiguousarray(array[0]) for array in inputs]
    due = _due(content, sample)
    model = _model(content)
    model.put([array.tobytes() for array in sample])
    assert model.step(0, len(due)) == due
    device = _device(lib, content)
    _put(device, b"".join(array.tobytes() for array in sample))
    assert _step(device, 0, len(due)) == due


def test_as_many_as_the_answer_holds(lib: Library) -> None:
    program = CONTENT.program[:-2] + (CONTENT.program[-2],) * 50 + CONTENT.program[-1:]
    device = _device(lib, replace(CONTENT, program=program), max_payload_bytes=160)
    _put(device, SAMPLE)
    assert len(_step(device, 0, 99)) == 40
    assert len(_step(device, 40, 99)) == len(program) - 41


def test_memory_stays_between_requests(lib: Library) -> None:
    device, model = _device(lib), _model(CONTENT)
    _put(device, SAMPLE)
    model.put([SAMPLE])
    for index in range(N_STEPS):
        assert _step(device, index, 1) == model.step(index, 1)
        whole = device.ask(FrameType.RUN, words(RunAction.MEMORY, 0, 128))
        assert whole == model.read_memory(0, 128)
        assert device.ask(FrameType.RUN, words(RunAction.MEMORY, 100, 28)) == whole[100:]


def test_steps_leave_the_program_as_it_was(lib: Library) -> None:
    device = _device(lib)
    _put(device, SAMPLE)
    _step(device, 0, 3)
    _put(device, SAMPLE)
    device.ask(FrameType.RUN, words(RunAction.START, 0))
    found = device.ask(FrameType.RUN, words(RunAction.OUTPUT, 0))
    assert found == CONTENT.kat_output[:4]


@pytest.mark.parametrize(
    ("action", "argument", "length"),
    [(4, N_STEPS + 1, 1), (4, -1, 1), (5, 129, 0), (5, 100, 29), (5, -1, 2), (5, 0, 1025)],
)
def test_what_lies_outside_is_refused(
    lib: Library, action: int, argument: int, length: int
) -> None:
    device = _device(lib)
    with pytest.raises(DeviceFault) as caught:
        device.ask(FrameType.RUN, words(action, argument, length))
    assert caught.value.code is DeviceError.BAD_RANGE
    model = _model(CONTENT)
    call = model.step if action == RunAction.STEP else model.read_memory
    with pytest.raises(DeviceFault) as caught:
        call(argument, length)
    assert caught.value.code is DeviceError.BAD_RANGE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"out_h": 2, "out_row_stride": 2**32 - 1}, DeviceError.ADDRESS_RANGE),
        ({"out_h": 65535, "out_w": 65535, "out_row_stride": 0, "out_pixel_stride": 0},
         DeviceError.ADDRESS_RANGE),
        ({"out_c": 0}, DeviceError.ADDRESS_RANGE),
        ({"opcode": 9, "function": 9}, DeviceError.BAD_FIELD),
    ],
)  # fmt: skip
def test_stopped_step_says_where(
    lib: Library, changes: dict[str, int], code: DeviceError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("norcim.image.build.check_program", lambda content: None)
    program = list(CONTENT.program)
    program[5] = replace(program[5], **changes)
    device = _device(lib, replace(CONTENT, program=tuple(program)))
    _put(device, SAMPLE)
    answer = device.request(FrameType.RUN, words(RunAction.STEP, 0, 9))
    assert answer is not None
    assert (answer.status, answer.payload[:4]) == (code, words(5))


def test_npu_that_runs_on_is_noticed(lib: Library) -> None:
    """An NPU that ignores the END would overwrite what was to be compared."""
    device = _device(lib)
    npu = device.npu
    assert npu is not None
    npu.load = lambda *_: None  # type: ignore[method-assign]
    answer = device.request(FrameType.RUN, words(RunAction.STEP, 0, 1))
    assert answer is not None
    assert answer.status == DeviceError.BAD_OPCODE


def test_nothing_loaded() -> None:
    with EmulatedDevice() as device:
        for call in (lambda: device.put([b""]), lambda: device.step(0, 1),
                     lambda: device.read_memory(0, 1)):  # fmt: skip
            with pytest.raises(Exception, match="NC-E0618"):
                call()
