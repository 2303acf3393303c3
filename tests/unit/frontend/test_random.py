"""Random graphs of layout changes, elementwise operations, convolutions and pools."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node


class Grower:
    """Grows a legal ONNX graph node by node; `live` maps a value's name to its per-sample shape."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes = []
        self.constants = {}
        shape = tuple(int(d) for d in self.rng.integers(2, 7, size=self.rng.integers(2, 5)))
        self.inputs = {"x": shape}
        self.live = {"x": shape}

    def constant(self, array):
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def weight(self, *shape):
        return self.constant(self.rng.normal(size=shape).astype(np.float32))

    def node(self, op, inputs, shape, **attrs):
        name = f"v{len(self.nodes)}"
        self.nodes.append(make_node(op, inputs, [name], name=f"n{len(self.nodes)}", **attrs))
        self.live[name] = tuple(int(d) for d in shape)

    def grow(self, steps):
        moves = (
            self.transpose,
            self.reshape,
            self.activation,
            self.affine,
            self.conv,
            self.pool,
            self.add,
            self.matmul,
            self.mean,
        )
        while len(self.nodes) < steps:
            latest = self.rng.random() < 0.7
            name = list(self.live)[-1 if latest else self.rng.integers(len(self.live))]
            moves[self.rng.integers(len(moves))](name, self.live[name])

    def transpose(self, name, shape):
        order = self.rng.permutation(len(shape))
        perm = [0, *(int(axis) + 1 for axis in order)]
        self.node("Transpose", [name], [shape[axis] for axis in order], perm=perm)

    def reshape(self, name, shape):
        flat = int(np.prod(shape))
        divisors = [d for d in range(1, flat + 1) if flat % d == 0]
        first = int(self.rng.choice(divisors))
        rest = flat // first
        second = int(self.rng.choice([d for d in divisors if rest % d == 0]))
        new = [(first, second, rest // second), (first, rest), (flat,)][self.rng.integers(3)]
        self.node("Reshape", [name, self.constant(np.array([-1, *new]))], new)

    def activation(self, name, shape):
        self.node(str(self.rng.choice(["Relu", "Sigmoid", "Tanh", "LeakyRelu"])), [name], shape)

    def affine(self, name, shape):
        sizes = [size if self.rng.random() < 0.5 else 1 for size in shape]
        op = str(self.rng.choice(["Add", "Mul", "Sub"]))
        self.node(op, [name, self.weight(*sizes)], shape)

    def conv(self, name, shape):
        if len(shape) not in (2, 3):
            return
        channels = int(self.rng.integers(1, 5))
        kernel = [int(self.rng.integers(1, min(3, size) + 1)) for size in shape[1:]]
        out = [size - k + 1 for size, k in zip(shape[1:], kernel, strict=True)]
        weight = self.weight(channels, shape[0], *kernel)
        self.node("Conv", [name, weight], [channels, *out])

    def pool(self, name, shape):
        if len(shape) not in (2, 3):
            return
        kernel = [min(2, size) for size in shape[1:]]
        out = [size - k + 1 for size, k in zip(shape[1:], kernel, strict=True)]
        op = str(self.rng.choice(["MaxPool", "AveragePool"]))
        self.node(op, [name], [shape[0], *out], kernel_shape=kernel)

    def add(self, name, shape):
        others = [other for other, have in self.live.items() if have == shape]
        self.node(str(self.rng.choice(["Add", "Mul"])), [name, str(self.rng.choice(others))], shape)

    def matmul(self, name, shape):
        size = int(self.rng.integers(1, 6))
        self.node("MatMul", [name, self.weight(shape[-1], size)], [*shape[:-1], size])

    def mean(self, name, shape):
        axis = int(self.rng.integers(len(shape)))
        kept = [1 if a == axis else size for a, size in enumerate(shape)]
        self.node("ReduceMean", [name], kept, axes=[axis + 1])


@pytest.mark.parametrize("seed", range(80))
def test_a_random_graph(agrees, seed):
    grower = Grower(seed)
    grower.grow(12)
    last = [grower.nodes[-1].output[0], grower.nodes[-4].output[0]]
    agrees(grower.nodes, grower.inputs, grower.constants, outputs=last)
