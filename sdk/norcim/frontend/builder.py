"""Collects IR operations while the ONNX nodes are walked; brings views into a wanted layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from norcim.errors import NorcimError
from norcim.frontend.values import Factor, Unsupported, View, contiguous, merge
from norcim.ir.graph import Floats, Op, QParams, Shape, Tensor, WeightCodes
from norcim.ir.ops import WIDE

MAX_ELEMENTS = 1 << 24
"""Elements that one tensor may have: far above any chip, far below what would hurt the host."""


def check_budget(elements: int, where: str) -> None:
    """Refuse a tensor before it is made. Raises NC-E0206."""
    if elements > MAX_ELEMENTS:
        raise NorcimError(
            "NC-E0206",
            "a tensor is too large to import",
            where=where,
            expected=f"at most {MAX_ELEMENTS:,} elements",
            got=f"{elements:,}",
            why="no chip that norcim knows comes near; evaluating it would exhaust memory",
            fix="check the shapes that the model was exported with",
            exit_code=3,
        )


class Builder:
    """The IR under construction.

    batch         the batch size if the model fixes it, else None
    input_shapes  per-sample ONNX shape of each graph input
    wanted        (order of its ONNX axes, (h, w, c)) in which its first reader wants an input
    """

    def __init__(self, batch: int | None = None) -> None:
        self.batch = batch
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.input_shapes: dict[str, tuple[int, ...]] = {}
        self.wanted: dict[str, tuple[tuple[int, ...], Shape]] = {}
        self._roots: dict[str, str] = {}
        self._wide: set[str] = set()

    # -- tensors and operations

    def add_tensor(self, name: str, shape: Shape) -> str:
        """A new tensor under `name`, made unique."""
        check_budget(prod(shape), name)
        unique, count = name, 1
        while unique in self.tensors:
            unique, count = f"{name}~{count}", count + 1
        self.tensors[unique] = Tensor(unique, shape)
        return unique

    def emit(
        self,
        kind: str,
        node: str,
        inputs: Sequence[str],
        shape: Shape,
        attrs: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        weight: Floats | None = None,
        bias: Floats | None = None,
        weight_codes: WeightCodes | None = None,
    ) -> str:
        """Append an operation; returns the name of its output tensor."""
        if min(shape) < 1:
            raise Unsupported(f"its output is empty: {shape}")
        output = self.add_tensor(name or node, shape)
        frozen = MappingProxyType(dict(attrs or {}))
        if kind in WIDE:
            self._wide.add(output)
        self.ops.append(Op(kind, node, tuple(inputs), output, frozen, weight, bias, weight_codes))
        return output

    def emit_elementwise(
        self, kind: str, node: str, view: View, attrs: Mapping[str, Any], **arrays: Any
    ) -> View:
        """An operation that keeps the layout of its one input, so the view slides through it."""
        shape = self.tensors[view.tensor].shape
        output = self.emit(kind, node, [view.tensor], shape, attrs, **arrays)
        if view.tensor in self._roots:
            self._roots[output] = self._roots[view.tensor]
        return replace(view, tensor=output)

    def emit_elementwise_reshape(self, view: View, shape: Shape, node: str) -> View:
        """The same view on its tensor with another shape; strides do not change by that."""
        return replace(view, tensor=self.reshape(view.tensor, shape, node))

    def add_input(
        self, name: str, onnx_shape: tuple[int, ...], perm: tuple[int, ...], shape: Shape
    ) -> View:
        """A graph input whose tensor is `array.transpose(perm).reshape(shape)`."""
        tensor = self.add_tensor(name, shape)
        self.input_shapes[tensor] = onnx_shape
        self._roots[tensor] = tensor
        stored = contiguous(tensor, [onnx_shape[axis] for axis in perm])
        inverse = tuple(int(axis) for axis in np.argsort(perm))
        return stored.permuted(inverse)

    def set_qparams(self, tensor: str, qparams: QParams) -> None:
        """Fix the quantisation of a tensor."""
        self.tensors[tensor] = replace(self.tensors[tensor], qparams=qparams)

    def is_wide(self, tensor: str) -> bool:
        """Whether it is a state of 16 bits."""
        return tensor in self._wide

    # -- layout

    def materialise(self, view: View, groups: Sequence[Sequence[int]], node: str) -> str:
        """A tensor (h, w, c) whose three dimensions are the given groups of the view's axes.

        Emits reshape and transpose operations only if the elements do not lie like that already.
        """
        factors = view.flat([axis for group in groups for axis in group])
        sizes = view.shape
        h, w, c = (prod(sizes[axis] for axis in group) for group in groups)
        shape = (h, w, c)
        self._note_wish(view.tensor, factors, shape)
        tensor = view.tensor
        if factors not in ((), ((prod(shape), 1),)):
            tensor = self._transpose(tensor, factors, node)
        return self.reshape(tensor, shape, node)

    def reshape(self, tensor: str, shape: Shape, node: str) -> str:
        """The tensor with another shape; itself if it has it already."""
        if self.tensors[tensor].shape == shape:
            return tensor
        output = self.emit("reshape", node, [tensor], shape)
        if tensor in self._roots:
            self._roots[output] = self._roots[tensor]
        return output

    def _transpose(self, tensor: str, factors: Sequence[Factor], node: str) -> str:
        """Bring the elements into the order of `factors`, in as few 3-D transposes as is easy."""
        stored = sorted(factors, key=lambda factor: -factor[1])
        if len(factors) <= 3:
            padded = [1] * (3 - len(stored)) + [size for size, _ in stored]
            skip = 3 - len(stored)
            perm = (*range(skip), *(stored.index(factor) + skip for factor in factors))
            return self._permute(tensor, (padded[0], padded[1], padded[2]), perm, node)
        for position, factor in enumerate(factors):
            found = stored.index(factor, position)
            if found != position:
                blocks = (stored[:position], stored[position:found], stored[found:])
                a, b, c = (prod(size for size, _ in block) for block in blocks)
                tensor = self._permute(tensor, (a, b, c), (0, 2, 1), node)
                stored = [*blocks[0], *blocks[2], *blocks[1]]
        return tensor

    def _permute(self, tensor: str, shape: Shape, perm: tuple[int, ...], node: str) -> str:
        source = self.reshape(tensor, shape, node)
        out = (shape[perm[0]], shape[perm[1]], shape[perm[2]])
        return self.emit("transpose", node, [source], out, {"perm": perm})

    def _note_wish(self, tensor: str, factors: Sequence[Factor], shape: Shape) -> None:
        root = self._roots.get(tensor)
        if root is None or root in self.wanted:
            return
        perm = order_of_axes(factors, self.input_shapes[root])
        if perm is not None:
            self.wanted[root] = (perm, shape)


def order_of_axes(factors: Sequence[Factor], shape: Sequence[int]) -> tuple[int, ...] | None:
    """The transpose of a row-major array of `shape` that gives `factors`; None if none does."""
    perm = [axis for axis, size in enumerate(shape) if size == 1]
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    for size, stride in factors:
        span = size * stride
        while span > stride:
            fits = [
                axis
                for axis, axis_size in enumerate(shape)
                if axis_size > 1 and axis_size * strides[axis] == span and strides[axis] >= stride
            ]
            if not fits:
                return None
            perm.append(fits[0])
            span = strides[fits[0]]
    return tuple(perm)


def input_layout(shape: Sequence[int]) -> Shape:
    """The (h, w, c) of an input that nothing has asked to lie otherwise."""
    if len(shape) < 2:
        return (1, 1, prod(shape))
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    return (prod(shape[:-2]), shape[-2], shape[-1])


def port_order(view: View) -> tuple[int, ...] | None:
    """`perm` such that the ONNX array transposed by it lies as the tensor; None if none does."""
    order = view.by_stride()
    size = prod(view.shape)
    return order if merge(view.flat(order)) in ((), ((size, 1),)) else None
