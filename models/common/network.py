"""Runs a model, or an image compiled from it, on real values; scores of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from norcim.emulator import Emulator
from norcim.image import read_image
from norcim.runtime import decode_outputs, encode_inputs

Arrays = dict[str, np.ndarray]
Network = Callable[[Mapping[str, np.ndarray]], Arrays]
"""Inputs by name, n samples each, to outputs by name; n is one more axis where a model has no open
dimension."""


def load_network(path: Path) -> Network:
    """An ONNX file through onnxruntime, an image (.cim) on the emulator."""
    return _load_onnx(path) if path.suffix == ".onnx" else _load_image(path)


def _load_onnx(path: Path) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    open_batch = isinstance(session.get_inputs()[0].shape[0], str)

    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        values = {name: array.astype(np.float32) for name, array in inputs.items()}
        if open_batch:
            return dict(zip(names, session.run(names, values), strict=True))
        samples = [
            session.run(names, dict(zip(values, sample, strict=True)))
            for sample in zip(*values.values(), strict=True)
        ]
        return {name: np.stack(parts) for name, *parts in zip(names, *samples, strict=True)}

    return run


def _load_image(path: Path) -> Network:
    content = read_image(path.read_bytes())
    emulator = Emulator(content)

    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        return decode_outputs(content, emulator.run(encode_inputs(content, inputs)), inputs)

    return run


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: chance that a positive scores higher; ties count half.

    scores float (n,), positive bool (n,)
    """
    values, place = np.unique(scores, return_inverse=True)
    ups = np.bincount(place[positive], minlength=len(values))
    downs = np.bincount(place[~positive], minlength=len(values))
    below = np.cumsum(downs) - downs
    return float((ups * (below + downs / 2)).sum() / (ups.sum() * downs.sum()))
