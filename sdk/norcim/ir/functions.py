"""The scalar functions that a 256-entry table can hold.

Each takes (x, alpha, beta) and works on arrays of any shape in the precision of `x`; parameters
that a function does not use are 0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
TableFunction = Callable[[Array, float, float], Array]


def sigmoid(x: Array, _alpha: float = 0.0, _beta: float = 0.0) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def tanh(x: Array, _alpha: float, _beta: float) -> Array:
    """Hyperbolic tangent."""
    return np.asarray(np.tanh(x))


def leaky_relu(x: Array, alpha: float, _beta: float) -> Array:
    """x where x >= 0, else alpha * x; also PRelu with a single slope."""
    return np.where(x < 0, alpha * x, x)


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """alpha * x + beta, clamped to 0..1."""
    return np.clip(alpha * x + beta, 0.0, 1.0)


def hard_swish(x: Array, _alpha: float, _beta: float) -> Array:
    """x * hard_sigmoid(x) with ONNX's 1/6 and 1/2."""
    return x * hard_sigmoid(x, 1.0 / 6.0, 0.5)


def silu(x: Array, _alpha: float, _beta: float) -> Array:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def elu(x: Array, alpha: float, _beta: float) -> Array:
    """x where x >= 0, else alpha * (exp(x) - 1)."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def softplus(x: Array, _alpha: float, _beta: float) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.asarray(np.logaddexp(x, 0.0))


TABLE_FUNCTIONS: Mapping[str, TableFunction] = MappingProxyType(
    {
        "sigmoid": sigmoid,
        "tanh": tanh,
        "leaky_relu": leaky_relu,
        "hard_sigmoid": hard_sigmoid,
        "hard_swish": hard_swish,
        "silu": silu,
        "elu": elu,
        "softplus": softplus,
    }
)
