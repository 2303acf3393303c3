"""The two stages of a streaming denoiser (DTLN), on an emulator or in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.recordings import si_sdr_db
from norcim.chips.model import Chip
from norcim.emulator import Emulator
from norcim.image.model import ImageContent
from norcim.runtime import compile_model, decode_outputs, encode_inputs

Array = npt.NDArray[Any]
Stage = Callable[[Array, Array], tuple[Array, Array]]
"""(signal (n, 1, width), state (n, 1, 2, 128, 2)) to the same: n streams, one step."""

MODELS = ("dtln_model_1", "dtln_model_2")
NAMES = (("input_2", "input_3"), ("input_4", "input_5"))
CALIBRATION_STEPS = 1500
"""Of 8 ms. What is learnt from few is clipped later: speech has pauses and loud vowels."""

_HOP, _FRAME = 128, 512


def load(path: Path) -> tuple[list[Array], list[Array]]:
    """Noisy and clean waves within +-1."""
    with np.load(path) as arrays:
        cuts = arrays["offsets"][1:-1]
        noisy, clean = (np.split(arrays[name] / 32768.0, cuts) for name in ("noisy", "clean"))
    return noisy, clean


def denoise(
    waves: Sequence[Array], stages: Sequence[Stage], seen: Sequence[list[Array]] | None = None
) -> list[Array]:
    """All waves at once, one hop a step.

    seen  for each stage a list that takes the pairs of inputs of every step
    """
    longest = max(len(wave) for wave in waves) + _FRAME
    padded = np.stack([np.pad(wave, (0, longest - len(wave))) for wave in waves])
    frame, rest = np.zeros((len(waves), _FRAME)), np.zeros((len(waves), _FRAME))
    states = [np.zeros((len(waves), 1, 2, 128, 2), np.float32) for _ in stages]
    out = []
    for start in range(0, longest - _HOP + 1, _HOP):
        frame = np.concatenate([frame[:, _HOP:], padded[:, start : start + _HOP]], axis=1)
        spectrum = np.fft.rfft(frame)
        signal = np.abs(spectrum)[:, None].astype(np.float32)
        mask, states[0] = _step(stages, 0, signal, states[0], seen)
        cleaned = np.fft.irfft(spectrum * mask[:, 0])[:, None].astype(np.float32)
        piece, states[1] = _step(stages, 1, cleaned, states[1], seen)
        rest = np.concatenate([rest[:, _HOP:], np.zeros((len(waves), _HOP))], axis=1)
        rest += piece[:, 0]
        out.append(rest[:, :_HOP].copy())
    joined = np.concatenate(out, axis=1)[:, 3 * _HOP :]
    return [joined[i, : len(wave)] for i, wave in enumerate(waves)]


def _step(
    stages: Sequence[Stage], index: int, signal: Array, state: Array,
    seen: Sequence[list[Array]] | None,
) -> tuple[Array, Array]:  # fmt: skip
    if seen is not None:
        seen[index].append((signal, state))  # type: ignore[arg-type]
    return stages[index](signal, state)


def peer_stages(folder: Path) -> list[Stage]:
    """The float stages, in onnxruntime, one stream after the other."""
    import onnxruntime as ort

    def stage(model: str, names: tuple[str, str]) -> Stage:
        session = ort.InferenceSession(folder / f"{model}.onnx", providers=["CPUExecutionProvider"])

        def run(signal: Array, state: Array) -> tuple[Array, Array]:
            pairs = [
                session.run(None, {names[0]: x[None], names[1]: s})
                for x, s in zip(signal, state, strict=True)
            ]
            return np.concatenate([p[0] for p in pairs]), np.stack([p[1] for p in pairs])

        return run

    return [stage(model, names) for model, names in zip(MODELS, NAMES, strict=True)]


def calibration(waves: Sequence[Array], stages: Sequence[Stage], n: int) -> list[dict[str, Array]]:
    """About n steps of each float stage, states included, spread over the waves."""
    seen: list[list[Any]] = [[], []]
    denoise(waves, stages, seen)
    found = []
    for steps, names in zip(seen, NAMES, strict=True):
        some = steps[:: max(1, len(steps) * len(waves) // n)]
        found.append({name: np.concatenate([s[k] for s in some]) for k, name in enumerate(names)})
    return found


def compile_stages(
    folder: Path, chip: Chip, sets: Sequence[dict[str, Array]]
) -> list[ImageContent]:
    """Both stages for a chip. Raises as `norcim.runtime.compile_model`."""
    return [
        compile_model(folder / f"{model}.onnx", chip, calib)
        for model, calib in zip(MODELS, sets, strict=True)
    ]


def chip_stages(contents: Sequence[ImageContent]) -> list[Stage]:
    """Both stages on the emulator."""

    def stage(content: ImageContent, names: tuple[str, str]) -> Stage:
        emulator = Emulator(content)

        def run(signal: Array, state: Array) -> tuple[Array, Array]:
            given = {names[0]: signal, names[1]: state}
            outputs = emulator.run(encode_inputs(content, given))
            found = list(decode_outputs(content, outputs, given).values())
            return found[0].reshape(signal.shape), found[1].reshape(state.shape)

        return run

    return [stage(content, names) for content, names in zip(contents, NAMES, strict=True)]


def mean_si_sdr_db(estimates: Sequence[Array], clean: Sequence[Array]) -> float:
    """Mean over the waves."""
    return float(np.mean([si_sdr_db(e, c) for e, c in zip(estimates, clean, strict=True)]))
