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


def erf(x: Array, _alpha: float = 0.0, _beta: float = 0.0) -> Array:
    """The error function to 2e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    return np.asarray(np.sign(x) * (1.0 - series * np.exp(-np.square(x))))


def gelu(x: Array, alpha: float, _beta: float) -> Array:
    """x * P(X <= x) of a normal distribution; alpha 1 for the approximation by tanh."""
    if alpha:
        return np.asarray(0.5 * x * (1.0 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1.0 + erf(x * 0.7071067811865476)))


def selu(x: Array, alpha: float, beta: float) -> Array:
    """beta * elu(x) with alpha."""
    return np.asarray(beta * elu(x, alpha, 0.0))


def celu(x: Array, alpha: float, _beta: float) -> Array:
    """x where x >= 0, else alpha * (exp(x / alpha) - 1)."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0) / alpha), x)


def thresholded_relu(x: Array, alpha: float, _beta: float) -> Array:
    """x where x > alpha, else 0."""
    return np.where(x > alpha, x, 0.0 * x)


def shrink(x: Array, alpha: float, beta: float) -> Array:
    """x + beta below -alpha, x - beta above alpha, else 0."""
    return np.where(x < -alpha, x + beta, np.where(x > alpha, x - beta, 0.0 * x))


def swish(x: Array, alpha: float, _beta: float) -> Array:
    """x * sigmoid(alpha * x)."""
    return np.asarray(x * sigmoid(alpha * x))


def softsign(x: Array, _alpha: float, _beta: float) -> Array:
    """x / (1 + |x|)."""
    return np.asarray(x / (1.0 + np.abs(x)))


def mish(x: Array, _alpha: float, _beta: float) -> Array:
    """x * tanh(softplus(x))."""
    return np.asarray(x * np.tanh(softplus(x, 0.0, 0.0)))


def power(x: Array, alpha: float, _beta: float) -> Array:
    """x to the power of alpha."""
    return np.asarray(np.power(x, alpha))


def base_power(x: Array, alpha: float, _beta: float) -> Array:
    """alpha to the power of x."""
    return np.asarray(np.power(alpha, x))


def _plain(function: Callable[[Array], Array]) -> TableFunction:
    return lambda x, _alpha, _beta: np.asarray(function(x))


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
        "gelu": gelu,
        "selu": selu,
        "celu": celu,
        "thresholded_relu": thresholded_relu,
        "shrink": shrink,
        "swish": swish,
        "softsign": softsign,
        "mish": mish,
        "erf": erf,
        "power": power,
        "base_power": base_power,
        "abs": _plain(np.abs),
        "exp": _plain(np.exp),
        "log": _plain(np.log),
        "sqrt": _plain(np.sqrt),
        "reciprocal": _plain(np.reciprocal),
        "sign": _plain(np.sign),
        "floor": _plain(np.floor),
        "ceil": _plain(np.ceil),
        "round": _plain(np.rint),
        "sin": _plain(np.sin),
        "cos": _plain(np.cos),
        "tan": _plain(np.tan),
        "asin": _plain(np.arcsin),
        "acos": _plain(np.arccos),
        "atan": _plain(np.arctan),
        "sinh": _plain(np.sinh),
        "cosh": _plain(np.cosh),
        "asinh": _plain(np.arcsinh),
        "acosh": _plain(np.arccosh),
        "atanh": _plain(np.arctanh),
    }
)

Expression = tuple[Any, ...]
"""A scalar function of x as a nested tuple: ("x",), ("add", a, b), ("mul", a, b),
("affine", a, scale, shift), ("clamp", a, lo, hi), or (name in TABLE_FUNCTIONS, a, alpha, beta)."""

X: Expression = ("x",)


def apply_table(attrs: Mapping[str, Any], x: Array) -> Array:
    """What an operation `table` computes, on an array of any shape."""
    if attrs["expression"]:
        return compute(attrs["expression"], x)
    return TABLE_FUNCTIONS[attrs["function"]](x, attrs["alpha"], attrs["beta"])


def compute(expression: Expression, x: Array) -> Array:
    """The value of an expression, in the precision of `x`."""
    kind = expression[0]
    if kind == "x":
        return x
    first = compute(expression[1], x)
    if kind == "add":
        return np.asarray(first + compute(expression[2], x))
    if kind == "mul":
        return np.asarray(first * compute(expression[2], x))
    if kind == "affine":
        return np.asarray(first * expression[2] + expression[3])
    if kind == "clamp":
        return np.clip(first, expression[2], expression[3])
    return TABLE_FUNCTIONS[kind](first, expression[2], expression[3])


def table_attrs(
    function: str, alpha: float = 0.0, beta: float = 0.0, expression: Expression = ()
) -> Mapping[str, Any]:
    """Attributes of a `table` that holds one function, or an expression."""
    return MappingProxyType(
        {"function": function, "alpha": alpha, "beta": beta, "expression": expression}
    )
