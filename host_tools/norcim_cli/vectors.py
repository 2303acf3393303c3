"""Inputs of a network from files: arrays, or audio through the image's own front end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import files

if TYPE_CHECKING:
    import numpy.typing as npt

    from norcim.image import ImageContent

    Array = npt.NDArray[Any]
    Bytes = npt.NDArray[np.uint8]

LABEL_KEYS = ("y", "label", "labels")


def load_samples(path: str | Path, content: ImageContent) -> tuple[list[Bytes], Array | None]:
    """Code bytes for each input port, and the labels if the file has any.

    A WAV file becomes features by the front end that the image holds.
    """
    from norcim.runtime import encode_inputs

    if files.read_bytes(path)[:4] == b"RIFF":
        name = content.meta["inputs"][0]["name"]
        return encode_inputs(content, {name: features_of([path], content)}), None
    arrays = files.load_arrays(path)
    labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
    named = {name: array for name, array in arrays.items() if name not in LABEL_KEYS}
    return encode_inputs(content, named), labels


def features_of(paths: Sequence[str | Path], content: ImageContent) -> Array:
    """Log-mel features of WAV files, uint8 codes in the shape of the network's input.

    Clips are padded with zeros or cut at the end to the length that the network hears.
    Raises NC-E0110 if the image holds no front end, NC-E08xx for a bad file.
    """
    from norcim.audio import LogMelConfig, log_mel, read_wav

    if "front_end" not in content.meta:
        raise NorcimError(
            "NC-E0110",
            "the image holds no audio front end",
            where=str(paths[0]),
            expected="features in an .npz file",
            got="a WAV file",
            fix='compile with --meta FILE, where FILE holds {"front_end": ...}',
            exit_code=EXIT_USAGE,
        )
    config = LogMelConfig.from_dict(content.meta["front_end"])
    shape = content.meta["inputs"][0]["shape"]
    n_frames = int(np.prod(shape)) // config.n_mels
    n_samples = config.window + (n_frames - 1) * config.hop
    clips = np.zeros((len(paths), n_samples), np.int16)
    for clip, path in zip(clips, paths, strict=True):
        pcm = read_wav(path, config.sample_rate_hz)[:n_samples]
        clip[: len(pcm)] = pcm
    return log_mel(clips, config).reshape(len(paths), *shape)


def random_samples(content: ImageContent, n: int, seed: int) -> list[Bytes]:
    """n samples of random codes for each input port."""
    rng = np.random.default_rng(seed)
    ports = [port for port in content.ports if not port.is_output]
    return [rng.integers(0, 256, (n, p.h, p.w, p.c), np.uint8) for p in ports]


def run_on_device(
    device: Any, content: ImageContent, inputs: list[Bytes], network: int = 0
) -> list[Bytes]:
    """Run a batch through the device interface; arrays in and out as for the emulator.

    network  number of the network in the loaded image; content: that network
    """
    device.select(network)
    ports = [port for port in content.ports if port.is_output]
    outputs = device.run([array.tobytes() for array in inputs])
    return [
        np.frombuffer(data, np.uint8).reshape(len(inputs[0]), port.h, port.w, port.c)
        for data, port in zip(outputs, ports, strict=True)
    ]
