"""A streaming network on the firmware: each call is fed the state that the last one left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from norcim.audio import LogMelConfig, log_mel, read_wav
from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.emulator.flash import NorFlash
from norcim.image import build_image
from norcim.runtime import compile_model
from norcim.spec.protocol import FrameType, RunAction
from norcim.streaming import run_stream
from tests.firmware.native import Library, MemoryNpu, NativeDevice, make_config, words

MODELS = Path(__file__).resolve().parents[2] / "models"
STEPS = 50


def test_fifty_calls_of_the_firmware_are_the_stream_on_the_emulator(lib: Library) -> None:
    meta = json.loads((MODELS / "vad/model.json").read_text())
    with np.load(MODELS / "vad/calib.npz") as data:
        content = compile_model(
            MODELS / "vad/vad.onnx", load_chip("overlay"), dict(data), meta_extra=meta
        )
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
        device.ask(FrameType.RUN, words(RunAction.INPUT, 0) + data)
        device.ask(FrameType.RUN, words(RunAction.START, 0))
        data = device.ask(FrameType.RUN, words(RunAction.OUTPUT, 0))
        found, at = [], 0
        for port in ports:
            size = port.h * port.w * port.c
            part = np.frombuffer(data[at : at + size], np.uint8)
            found.append(part.reshape(1, port.h, port.w, port.c))
            at += size
        return found

    pcm = read_wav(MODELS / "kws/clips/yes_01.wav")
    codes = log_mel(np.tile(pcm, 2), LogMelConfig.from_dict(meta["front_end"]))
    frames = codes[20 : 20 + STEPS, None]
    _, due = run_stream(content, Emulator(content).run, {"frame": frames})
    _, found = run_stream(content, run, {"frame": frames})
    assert all(np.array_equal(*both) for both in zip(due, found, strict=True))
    assert len(np.unique(found[1], axis=0)) > STEPS // 2
