"""What a user fixes about a model's inputs before it is imported: shapes, and whole values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from norcim.errors import EXIT_USAGE, NorcimError
from norcim.frontend.builder import check_budget
from norcim.frontend.load import Array, Model, ValueInfo

_TYPES = {
    "float": np.float32, "float16": np.float32, "bfloat16": np.float32, "double": np.float32,
    "bool": np.bool_, "int8": np.int8, "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16,
    "int32": np.int32, "uint32": np.uint32, "int64": np.int64, "uint64": np.uint64,
}  # fmt: skip


@dataclass(frozen=True)
class Fixed:
    """Inputs by name.

    shapes  all dimensions, the batch among them
    values  numbers that the input always has: it becomes a constant
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def to_meta(self) -> dict[str, Any]:
        """For an image's metadata; empty if nothing is fixed."""
        found = {
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "values": {name: list(values) for name, values in self.values.items()},
        }
        return {"fixed_inputs": found} if self.shapes or self.values else {}

    @staticmethod
    def from_meta(meta: Mapping[str, Any]) -> Fixed:
        """What an image was compiled with."""
        found = meta.get("fixed_inputs", {})
        return Fixed(
            {name: tuple(shape) for name, shape in found.get("shapes", {}).items()},
            {name: tuple(values) for name, values in found.get("values", {}).items()},
        )


def shares(names: Sequence[Sequence[str]], fixed: Fixed) -> list[Fixed]:
    """What of `fixed` each of several models takes, by the names of its inputs.

    Raises NC-E0217 for a name that none has.
    """
    known = list(dict.fromkeys(name for group in names for name in group))
    _check_names((*fixed.shapes, *fixed.values), known)
    return [
        Fixed(
            {name: shape for name, shape in fixed.shapes.items() if name in group},
            {name: values for name, values in fixed.values.items() if name in group},
        )
        for group in names
    ]


def _check_names(wanted: Iterable[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise _refused(name, "no input of that name", ", ".join(known) or "no input")


def fix_inputs(model: Model, fixed: Fixed) -> Model:
    """The model with the inputs fixed.

    Raises NorcimError: NC-E0217 for an input that is not there, or takes no such shape or value.
    """
    _check_names((*fixed.shapes, *fixed.values), [info.name for info in model.inputs])
    shaped = [_with_shape(info, fixed.shapes.get(info.name)) for info in model.inputs]
    constants = {
        info.name: _value(info, fixed.values[info.name])
        for info in shaped
        if info.name in fixed.values
    }
    left = tuple(info for info in shaped if info.name not in constants)
    return replace(model, inputs=left, constants={**model.constants, **constants})


def _with_shape(info: ValueInfo, shape: tuple[int, ...] | None) -> ValueInfo:
    if shape is None:
        return info
    dims = info.dims
    legal = all(size >= 1 for size in shape) and (
        dims is None
        or (
            len(dims) == len(shape)
            and all(
                have == size or not isinstance(have, int) or have < 1
                for have, size in zip(dims, shape, strict=True)
            )
        )
    )
    if not legal:
        expected = "any sizes from 1 on" if dims is None else _spell(dims)
        raise _refused(info.name, f"shape {_spell(shape)}", expected)
    check_budget(prod(shape), info.name)
    return replace(info, dims=shape)


def _value(info: ValueInfo, values: tuple[float, ...]) -> Array:
    dtype = _TYPES.get(info.dtype)
    if dtype is None:
        raise _refused(info.name, "a value", f"an input of numbers, it is {info.dtype}")
    shape = tuple(size if isinstance(size, int) and size > 0 else 1 for size in info.dims or ())
    check_budget(prod(shape), info.name)
    array = np.array(values, np.float64)
    if array.size not in (1, prod(shape)) or not np.isfinite(array).all():
        raise _refused(info.name, f"{array.size} values", f"1 or {prod(shape)} finite numbers")
    cast: Array = array.astype(dtype)
    if dtype is not np.float32 and not np.array_equal(cast, array):
        raise _refused(info.name, ", ".join(f"{v:g}" for v in values), f"numbers of {info.dtype}")
    return np.full(shape, cast.flat[0]) if array.size == 1 else cast.reshape(shape)


def _spell(dims: Iterable[object]) -> str:
    return ",".join(str(dim) or "?" for dim in dims)


def _refused(name: str, got: str, expected: str) -> NorcimError:
    return NorcimError(
        "NC-E0217",
        "an input cannot be fixed like that",
        where=f"input {name}",
        expected=expected,
        got=got,
        fix="`norcim info MODEL` lists the inputs; --input-shape NAME=1,16000, --set NAME=16000",
        exit_code=EXIT_USAGE,
    )
