"""What a handler of an ONNX operation is given: the node, its resolved inputs, the builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.errors import NorcimError
from norcim.frontend.builder import Builder
from norcim.frontend.load import Node, damaged
from norcim.frontend.values import Const, Unsupported, Value, View

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Call:
    """One node to import."""

    builder: Builder
    node: Node
    values: tuple[Value, ...]
    opset: int

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute of the node, or the default that ONNX gives it."""
        value = self.node.attrs.get(name)
        return default if value is None else value

    def value(self, index: int) -> Value:
        """An input; None if it is absent."""
        return self.values[index] if index < len(self.values) else None

    def view(self, index: int = 0) -> View:
        """An input that must be an activation, codes or real."""
        value = self.value(index)
        if value is None:
            raise damaged(self.node.name, f"{self.node.op} without input {index}")
        if not isinstance(value, View):
            raise Unsupported(f"input {index} must be an activation, it is a constant")
        return value

    def real(self, index: int = 0) -> View:
        """An input that must be an activation of real values."""
        view = self.view(index)
        if view.integer:
            raise Unsupported(
                "it works on integer codes",
                "export in QDQ format: DequantizeLinear before it, QuantizeLinear after it",
            )
        return view

    def const(self, index: int) -> Const | None:
        """An input that must be a constant; None if it is absent."""
        value = self.value(index)
        if value is None:
            return None
        if not isinstance(value, Const):
            raise Unsupported(f"input {index} must be a constant, it is computed from the input")
        return value

    def numbers(self, index: int) -> Array | None:
        """A constant input's array, refused if it is not finite; None if it is absent."""
        const = self.const(index)
        return None if const is None else self.finite(const.array)

    def ints(self, name: str, index: int) -> list[int] | None:
        """Integers that are an attribute in old opsets and an input in new ones."""
        value = self.node.attrs.get(name)
        if value is None:
            const = self.const(index)
            value = None if const is None else const.array.reshape(-1)
        return None if value is None else [int(v) for v in value]

    def finite(self, array: Array) -> Array:
        """The array, if it holds numbers only. Raises NC-E0204."""
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise NorcimError(
                "NC-E0204",
                "the model's weights hold NaN or infinity",
                where=f"{self.node.op} {self.node.name}",
                expected="finite numbers",
                got=f"{bad:,} of {array.size:,} are not",
                why="training diverged, or the file is damaged",
                fix="export the model again from a good checkpoint",
            )
        return array


Handler = Callable[[Call], Value | tuple[Value, ...]]
"""Returns what the node writes: a tuple if that is several values."""
