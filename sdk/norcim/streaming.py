"""Networks with a state: what one call leaves is what the next one starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.image.model import ImageContent
from norcim.image.states import state_pairs
from norcim.runtime import decode_port, encode_port, match_inputs

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Run = Callable[[list[Bytes]], Sequence[Bytes]]
"""One step: code bytes (1, h, w, c) of every input port to those of every output port."""


def run_stream(
    content: ImageContent, run: Run, given: Mapping[str, Array]
) -> tuple[list[Bytes], list[Bytes]]:
    """Run the steps of one stream, each from the state that the step before it left.

    content  a network whose metadata pairs states; they are zero before the first step
    run      `Emulator.run`, or a device
    given    for every input that is no state, an array (n_steps, *shape) as `encode_inputs` takes
    A state goes from the scale of its output to that of its input, rounded half to even.
    Returns what went into the input ports and what came out, code bytes (n_steps, h, w, c) each:
    the former run in one batch give the latter.
    Raises NC-E0404 to NC-E0407, NC-E0411.
    """
    pairs = state_pairs(content)
    metas = {meta["name"]: meta for meta in content.meta["inputs"]}
    fed = [name for name in metas if name not in pairs]
    arrays = dict(zip(fed, match_inputs(fed, given), strict=True))
    ports = [port for port in content.ports if not port.is_output]
    ends = [port for port in content.ports if port.is_output]

    def encode(name: str, array: Array) -> Bytes:
        at = list(metas).index(name)
        return encode_port(ports[at], metas[name], array)

    codes = {name: encode(name, array) for name, array in arrays.items()}
    values = {name: np.zeros((1, *metas[name]["shape"]), np.float32) for name in pairs}
    inputs, outputs = [], []
    for step in range(max(map(len, codes.values()))):
        now = {name: array[step : step + 1] for name, array in codes.items()}
        now |= {name: encode(name, value) for name, value in values.items()}
        inputs.append([now[name] for name in metas])
        outputs.append(list(run(inputs[-1])))
        named = {
            meta["name"]: decode_port(port, meta, data)
            for port, meta, data in zip(ends, content.meta["outputs"], outputs[-1], strict=True)
        }
        values = {name: named[source] for name, source in pairs.items()}
    return _stacked(inputs), _stacked(outputs)


def _stacked(steps: list[list[Bytes]]) -> list[Bytes]:
    return [np.concatenate(parts) for parts in zip(*steps, strict=True)]
