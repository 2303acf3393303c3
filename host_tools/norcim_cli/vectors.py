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

    from norcim.audio import LogMelConfig
    from norcim.image import ImageContent

    Array = npt.NDArray[Any]
    Bytes = npt.NDArray[np.uint8]

LABEL_KEYS = ("y", "label", "labels")


def load_samples(path: str | Path, content: ImageContent) -> tuple[list[Bytes], Array | None]:
    """Code bytes for each input port, and the labels if the file has any; see `load_given`."""
    given, labels = load_given(path, content)
    return encode_given(content, given), labels


def load_given(path: str | Path, content: ImageContent) -> tuple[dict[str, Array], Array | None]:
    """Arrays (n, ...) by input, and the labels if the file has any.

    A WAV file becomes features by the front end that the image holds.
    """
    from norcim.image.states import state_pairs

    states, labels = state_pairs(content), None
    if files.read_bytes(path)[:4] == b"RIFF":
        name = content.meta["inputs"][0]["name"]
        features = steps_of(path, content) if states else features_of([path], content)
        named = {name: features}
    else:
        arrays = files.load_arrays(path)
        labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
        named = {name: array for name, array in arrays.items() if name not in LABEL_KEYS}
    return named, labels


def encode_given(content: ImageContent, given: dict[str, Array]) -> list[Bytes]:
    """Code bytes for each input port.

    For a network with states that are not given, the samples are the steps of one stream.
    """
    from norcim.emulator import Emulator
    from norcim.image.states import state_pairs
    from norcim.runtime import encode_inputs
    from norcim.streaming import run_stream

    states = state_pairs(content)
    if states and not set(states) & set(given):
        return run_stream(content, Emulator(content).run, given)[0]
    return encode_inputs(content, given)


def steps_of(path: str | Path, content: ImageContent) -> Array:
    """Log-mel features of all of a WAV file, uint8 codes (n_steps, *shape of the first input).

    A step hears as many frames as the input holds; what is left over at the end is dropped.
    Raises NC-E0110 if the image holds no front end, NC-E08xx for a bad or too short file.
    """
    from norcim.audio import log_mel, read_wav

    config = _front_end(path, content)
    shape = content.meta["inputs"][0]["shape"]
    codes = log_mel(read_wav(path, config.sample_rate_hz), config)
    n_steps = codes.size // int(np.prod(shape))
    return codes.reshape(-1)[: n_steps * int(np.prod(shape))].reshape(n_steps, *shape)


def features_of(paths: Sequence[str | Path], content: ImageContent) -> Array:
    """Log-mel features of WAV files, uint8 codes in the shape of the network's input.

    Clips are padded with zeros or cut at the end to the length that the network hears.
    Raises NC-E0110 if the image holds no front end, NC-E08xx for a bad file.
    """
    from norcim.audio import log_mel, read_wav

    config = _front_end(paths[0], content)
    shape = content.meta["inputs"][0]["shape"]
    n_frames = int(np.prod(shape)) // config.n_mels
    n_samples = config.window + (n_frames - 1) * config.hop
    clips = np.zeros((len(paths), n_samples), np.int16)
    for clip, path in zip(clips, paths, strict=True):
        pcm = read_wav(path, config.sample_rate_hz)[:n_samples]
        clip[: len(pcm)] = pcm
    return log_mel(clips, config).reshape(len(paths), *shape)


def _front_end(path: str | Path, content: ImageContent) -> LogMelConfig:
    from norcim.audio import LogMelConfig

    if "front_end" not in content.meta:
        raise NorcimError(
            "NC-E0110",
            "the image holds no audio front end",
            where=str(path),
            expected="features in an .npz file",
            got="a WAV file",
            fix='compile with --meta FILE, where FILE holds {"front_end": ...}',
            exit_code=EXIT_USAGE,
        )
    return LogMelConfig.from_dict(content.meta["front_end"])


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
