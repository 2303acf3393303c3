"""A streaming network on the firmware: each call is fed the state that the last one left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from norcim.audio import LogMelConfig, log_mel, read_wav
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.flash import NorFlash
from norcim.fitting import NO_WISHES, Wishes
from norcim.image import build_image
from norcim.ir.stream_plan import Stream
from norcim.runtime import compile_model
from norcim.spec.protocol import FrameType, RunAction
from norcim.streaming import run_stream
from tests.firmware.native import Library, MemoryNpu, NativeDevice, make_config, words

MODELS = Path(__file__).resolve().parents[2] / "models"
STEPS = 50


@pytest.mark.parametrize(("model", "hop"), [("vad", None), ("kws", 4)])
def test_calls_of_the_firmware_are_the_stream_on_the_emulator(
    model: str, hop: int | None, lib: Library
) -> None:
    """A network that brings its state, and one of which new frames only are computed."""
    meta = json.loads((MODELS / model / "model.json").read_text())
    wishes = Wishes(stream=Stream(hop)) if hop else NO_WISHES
    with np.load(MODELS / model / "calib.npz") as data:
        arrays = {name: array for name, array in data.items() if name != "y"}
    content = compile_model(
        MODELS / model / f"{model}.onnx", load_chip("overlay"), arrays, meta_extra=meta,
        wishes=wishes,
    )  # fmt: skip
    image = build_image(content)
    n_sectors = -(-len(image) // 4096)
    device = NativeDevice(lib, NorFlash(3 + 2 * n_sectors), make_config(n_sectors), MemoryNpu())
    for offset in range(0, len(image), 4096):
        device.erase(0, offset)
        device.write(0, offset, image[offset : offset + 4096])
    device.ask(FrameType.RUN, words(RunAction.LOAD, 0))
    ports = [port for port in content.ports if port.is_output]

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        data = b"".join(array.tobytes() for array in inputs)
        for at in range(0, len(data), 1000):
            device.ask(FrameType.RUN, words(RunAction.INPUT, at) + data[at : at + 1000])
        device.ask(FrameType.RUN, words(RunAction.START, 0))
        data, size = b"", sum(port.h * port.w * port.c for port in ports)
        while len(data) < size:
            data += device.ask(FrameType.RUN, words(RunAction.OUTPUT, len(data)))
        found, at = [], 0
        for port in ports:
            size = port.h * port.w * port.c
            part = np.frombuffer(data[at : at + size], np.uint8)
            found.append(part.reshape(1, port.h, port.w, port.c))
            at += size
        return found

    pcm = read_wav(MODELS / "kws/clips/yes_01.wav")
    codes = log_mel(np.tile(pcm, 2), LogMelConfig.from_dict(meta["front_end"]))
    given = content.meta["inputs"][0]
    n_steps = STEPS // (hop or 1)
    frames = codes[20 : 20 + n_steps * (hop or 1)].reshape(n_steps, *given["shape"])
    _, due = run_stream(content, Emulator(content).run, {given["name"]: frames})
    _, found = run_stream(content, run, {given["name"]: frames})
    assert all(np.array_equal(*both) for both in zip(due, found, strict=True))
    assert len(np.unique(found[1], axis=0)) > n_steps // 2
