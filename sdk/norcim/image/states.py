"""Which outputs of a network are what its next call has for inputs.

A streaming network says so in its metadata: {"states": {input name: output name}}.
"""

from __future__ import annotations

from typing import Any

from norcim.errors import EXIT_USAGE, NorcimError
from norcim.image.model import ImageContent


def state_pairs(content: ImageContent) -> dict[str, str]:
    """Output by the name of the input that it becomes; empty for a network without states.

    content  one network
    Raises NC-E0411 if the metadata pairs what the network does not have, or of other shapes.
    """
    pairs = content.meta.get("states", {})
    inputs, outputs = (_ports(content.meta.get(side)) for side in ("inputs", "outputs"))
    if not isinstance(pairs, dict):
        raise _error("an object of names", repr(pairs))
    for name, source in pairs.items():
        if name not in inputs:
            raise _error("an input: " + ", ".join(inputs), str(name))
        if not isinstance(source, str) or source not in outputs:
            raise _error("an output: " + ", ".join(outputs), str(source))
        if inputs[name] != outputs[source]:
            raise _error(f"{name} of {inputs[name]}", f"{source} of {outputs[source]}")
    if pairs and len(pairs) == len(inputs):
        raise _error("an input that is no state", ", ".join(pairs))
    return dict(pairs)


def _ports(metas: Any) -> dict[str, str]:
    """Type and shape by name."""
    return {m["name"]: f"{m['codes']} {tuple(m['shape'])}" for m in metas or ()}


def _error(expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0411", "the states in the metadata are none of the network", expected=expected,
        got=got, fix='correct {"states": {INPUT: OUTPUT}} in the --meta file', where="states",
        exit_code=EXIT_USAGE,
    )  # fmt: skip
