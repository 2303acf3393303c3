"""Operations without weights, in integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from norcim import arith
from norcim.chips.model import Chip
from norcim.ir.functions import apply_table
from norcim.ir.graph import Floats, Graph, Op, QParams
from norcim.ir.lowered import QuantOp
from norcim.ir.moves import carry
from norcim.ir.ops import WIDE
from norcim.quantise.scales import activation_qparams, clamp_codes, dequantise, quantise
from norcim.spec.program import Stage

Codes = npt.NDArray[np.int64]

SOFTMAX_SCALE = 1 / 256

_BYTE_STEP = 512  # 16-bit multipliers of this step are int8 integers times a power of two

_RANGED = ("add", "mul", "avgpool", "clip", "table")  # choose a range for their output

_LARGEST_FACTOR = 16384.0  # from a step of the inputs to one of the output


def quantise_op(
    op: Op,
    q: dict[str, QParams],
    codes: dict[str, Codes],
    expected: Mapping[str, Floats],
    graph: Graph,
    chip: Chip,
    limits: tuple[float, float],
) -> QuantOp:
    """Decide the integers of one op; adds its output to `q` and `codes`.

    limits  real values that no range of the output goes beyond
    """
    wanted = graph.tensors[op.output].qparams
    bounded = math.isfinite(limits[0]) and math.isfinite(limits[1])
    if wanted is None and bounded and op.kind in _RANGED:
        wanted = activation_qparams(expected[op.output], limits, q[op.inputs[0]].signed)
    if op.kind in WIDE:
        q[op.output], done, state = _STATES[op.kind](op, q, codes, expected[op.output], wanted)
        codes[op.output], codes[_low(op.output)] = state[:, :1, None], state[:, 1:, None]
        return done
    rule = _RULES[op.kind]
    q_out, done, out = rule(
        op,
        [q[name] for name in op.inputs],
        [codes[name] for name in op.inputs],
        expected[op.output],
        wanted,
        chip,
    )
    q[op.output], codes[op.output] = q_out, out.reshape(-1, *graph.tensors[op.output].shape)
    return done


_Result = tuple[QParams, QuantOp, Codes]
_Rule = Callable[[Op, list[QParams], list[Codes], Floats, QParams | None, Chip], _Result]


def _free(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    """reshape and transpose: the codes stay."""
    moved = x[0].transpose(0, *(a + 1 for a in op.attrs["perm"])) if "perm" in op.attrs else x[0]
    return q[0], QuantOp(op, (q[0].lo, q[0].hi)), moved


def _pad(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    top, left, bottom, right = op.attrs["pads"]
    code = int(quantise(op.attrs["value"], q[0]))
    pads = ((0, 0), (top, bottom), (left, right), (0, 0))
    done = QuantOp(op, (q[0].lo, q[0].hi), numbers={"code": code})
    return q[0], done, np.pad(x[0], pads, constant_values=code)


def _add(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    clamp = op.attrs["clamp"]
    q_out = wanted or activation_qparams(expected, clamp or (-math.inf, math.inf), q[0].signed)
    q_out = _in_reach(q_out, max(item.scale for item in q))
    if chip.stage == Stage.SHIFT:
        q_out, exponents = _power_of_two_scales(q, q_out)
        k = 15 - max(0, *exponents)
        pair = tuple(1 << (k + e) if k + e >= 0 else 0 for e in exponents)
    else:
        pair, k = arith.encode_shared_shift((q[0].scale / q_out.scale, q[1].scale / q_out.scale))
    bounds = clamp_codes(clamp or (-math.inf, math.inf), q_out)
    zero_points = (q[0].zero_point, q[1].zero_point)
    out = arith.add(x[0], x[1], zero_points, (pair[0], pair[1]), k, q_out.zero_point, *bounds)
    numbers = {"multiplier_a": pair[0], "multiplier_b": pair[1], "shift": k}
    return q_out, QuantOp(op, bounds, numbers=numbers), out


def _power_of_two_scales(q: list[QParams], q_out: QParams) -> tuple[QParams, list[int]]:
    """An output scale for a chip that only shifts, and the operands' exponents of two in it.

    The operands' scales are a power of two apart: the engine levels them.
    """
    q_out = _octaves_from(q[0].scale, q_out)
    return q_out, [min(14, round(math.log2(item.scale / q_out.scale))) for item in q]


def _in_reach(q_out: QParams, factor: float) -> QParams:
    """Parameters whose scale is not so far below `factor` that no multiplier bridges them.

    Results that small against one step of the inputs are all 0, or saturate, in any case.
    """
    least = factor / _LARGEST_FACTOR
    if q_out.scale >= least:
        return q_out
    return QParams(least, -128 if q_out.signed else 0, q_out.signed)


def _octaves_from(base: float, q_out: QParams) -> QParams:
    """Parameters whose scale is `base` times a power of two and hardly below the given one."""
    scale = base * 2.0 ** math.ceil(math.log2(q_out.scale / base) - 0.1)
    real_lo = q_out.scale * (q_out.lo - q_out.zero_point)
    zero_point = int(np.clip(round(q_out.lo - real_lo / scale), q_out.lo, q_out.hi))
    return QParams(scale, zero_point, q_out.signed)


def _mul(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    clamp = op.attrs["clamp"]
    q_out = wanted or activation_qparams(expected, clamp or (-math.inf, math.inf), q[0].signed)
    q_out = _in_reach(q_out, q[0].scale * q[1].scale)
    if chip.stage == Stage.SHIFT:
        q_out = _octaves_from(q[0].scale * q[1].scale, q_out)
    m, k = arith.encode_multiplier(q[0].scale * q[1].scale / q_out.scale)
    bounds = clamp_codes(clamp or (-math.inf, math.inf), q_out)
    zero_points = (q[0].zero_point, q[1].zero_point)
    out = arith.multiply(x[0], x[1], zero_points, m, k, q_out.zero_point, *bounds)
    return q_out, QuantOp(op, bounds, numbers={"multiplier_a": m, "shift": k}), out


def _windows(op: Op, x: Codes, outside: int) -> Codes:
    """(n, out_h, out_w, c, kernel_h * kernel_w)"""
    top, left, bottom, right = op.attrs["pads"]
    (kernel_h, kernel_w), (stride_h, stride_w) = op.attrs["kernel"], op.attrs["stride"]
    dil_h, dil_w = op.attrs.get("dilation", (1, 1))
    pads = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(x, pads, constant_values=outside)
    span = ((kernel_h - 1) * dil_h + 1, (kernel_w - 1) * dil_w + 1)
    view = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(1, 2))
    taps = view[:, ::stride_h, ::stride_w, :, ::dil_h, ::dil_w]
    return taps.reshape(*taps.shape[:4], kernel_h * kernel_w)


def _maxpool(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    taps = _windows(op, x[0], -32768)
    bounds = (q[0].lo, q[0].hi)
    out = np.clip(arith.max_pool(taps, np.ones(taps.shape, bool)), *bounds)
    return q[0], QuantOp(op, bounds), out


def _avgpool(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    q_out = wanted or activation_qparams(expected, (-math.inf, math.inf), q[0].signed)
    q_out = _in_reach(q_out, q[0].scale)
    area = op.attrs["kernel"][0] * op.attrs["kernel"][1]
    inside = _windows(op, np.ones((1, *x[0].shape[1:3], 1), np.int64), 0).sum(axis=-1)[0, :, :, 0]
    missing = area - inside
    counts = area - np.arange(int(missing.max()) + 1)
    if op.attrs["count_include_pad"]:
        counts = np.full_like(counts, area)
    if chip.stage == Stage.SHIFT and np.ptp(counts) == 0:
        q_out = _octaves_from(q[0].scale / int(counts[0]), q_out)
    pairs = [arith.encode_multiplier(q[0].scale / q_out.scale / max(1, n)) for n in counts]
    m, k = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    if chip.stage == Stage.SHIFT and np.ptp(counts) > 0:
        m = np.clip(np.rint(m / _BYTE_STEP), 64, 127).astype(np.int64) * _BYTE_STEP
    bounds = (q_out.lo, q_out.hi)
    taps = _windows(op, x[0], q[0].zero_point)
    out = arith.average_pool(
        taps, q[0].zero_point, m[missing][..., None], k[missing][..., None],
        q_out.zero_point, *bounds,
    )  # fmt: skip
    return q_out, QuantOp(op, bounds, arrays={"multiplier": m, "shift": k}), out


def _entries(
    q: QParams, q_out: QParams, function: Callable[[npt.NDArray[np.float64]], npt.ArrayLike]
) -> Codes:
    """Output code of every input code, by the code as an unsigned byte."""
    index = np.arange(256)
    real = dequantise(index - 256 * (index > 127) if q.signed else index, q)
    with np.errstate(all="ignore"):  # codes that stand for values outside the function's domain
        return quantise(np.nan_to_num(function(real), nan=0.0), q_out)


def _lookup(
    op: Op,
    q: QParams,
    x: Codes,
    q_out: QParams,
    function: Callable[[npt.NDArray[np.float64]], npt.ArrayLike],
) -> _Result:
    """Any scalar function as a 256-entry table of output codes."""
    table = _entries(q, q_out, function)
    bounds = (q_out.lo, q_out.hi)
    return q_out, QuantOp(op, bounds, arrays={"table": table & 0xFF}), table[x & 0xFF]


def _clip(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    clamp = op.attrs["clamp"] or (-math.inf, math.inf)
    q_out = wanted or activation_qparams(expected, clamp, q[0].signed)
    return _lookup(op, q[0], x[0], q_out, lambda real: np.clip(real, *clamp))


def _table(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    q_out = wanted or activation_qparams(expected, _reach(op, q[0]), q[0].signed)
    return _lookup(op, q[0], x[0], q_out, lambda real: apply_table(op.attrs, real))


def _reach(op: Op, q: QParams) -> tuple[float, float]:
    """Smallest and largest result of a function for the codes that go in."""
    with np.errstate(all="ignore"):  # codes that stand for values outside the function's domain
        results = apply_table(op.attrs, dequantise(np.arange(q.lo, q.hi + 1), q))
    finite = results[np.isfinite(results)]
    return float(finite.min(initial=math.inf)), float(finite.max(initial=-math.inf))


def _softmax(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    q_out = QParams(SOFTMAX_SCALE, -128, True) if wanted is None or wanted.signed else QParams(
        SOFTMAX_SCALE, 0, False
    )  # fmt: skip
    table = arith.softmax_table(q[0].scale)
    out = arith.softmax(x[0], table, q_out.zero_point, q_out.hi)
    bounds, arrays = (q_out.lo, q_out.hi), {"softmax": table}
    if wanted is None or wanted == q_out:
        return q_out, QuantOp(op, bounds, arrays=arrays), out
    entries = _entries(q_out, wanted, lambda real: real)
    arrays["table"] = entries & 0xFF
    return (
        wanted,
        QuantOp(op, bounds, numbers={"zero_point": q_out.zero_point}, arrays=arrays),
        (entries[out & 0xFF]),
    )


def _argmax(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    q_out = QParams(1.0, 0, False)
    return q_out, QuantOp(op, (q_out.lo, q_out.hi)), arith.arg_max(x[0])


def _low(name: str) -> str:
    """Under which name the low bytes of a state are kept beside its codes."""
    return f"{name}~low"


def _state_qparams(expected: Floats, wanted: QParams | None) -> QParams:
    """For a state, whose high bytes are its codes: zero is 0."""
    if wanted is not None and wanted.signed and wanted.zero_point == 0:
        return wanted
    return QParams(max(float(np.abs(expected).max()), 1e-6) / 127, 0, True)


def _widen(
    op: Op, q: dict[str, QParams], codes: dict[str, Codes], expected: Floats, wanted: QParams | None
) -> tuple[QParams, QuantOp, Codes]:
    """8 bits become the high bytes of a state, through a table; its low bytes are 0."""
    source = op.inputs[0]
    q_out = _state_qparams(expected, wanted)
    table = _entries(q[source], q_out, lambda real: real)
    high = table[codes[source] & 0xFF][:, :, 0]
    done = QuantOp(op, (q_out.lo, q_out.hi), arrays={"table": table & 0xFF})
    return q_out, done, np.concatenate([high, np.zeros_like(high)], axis=1)


def _update(
    op: Op, q: dict[str, QParams], codes: dict[str, Codes], expected: Floats, wanted: QParams | None
) -> tuple[QParams, QuantOp, Codes]:
    gates, new, old = op.inputs
    steps = (256 * q[gates].scale * q[new].scale, q[gates].scale * q[old].scale)
    least = max(steps) / _LARGEST_FACTOR
    q_out = QParams(max(_state_qparams(expected, wanted).scale, least), 0, True)
    pair, k = arith.encode_shared_shift((steps[0] / q_out.scale, steps[1] / q_out.scale))
    state = np.concatenate([codes[old], codes[_low(old)]], axis=1)[:, :, 0]
    zero_points = (q[gates].zero_point, q[new].zero_point)
    found = arith.update(
        codes[gates][:, :, 0], codes[new][:, 0, 0], state, zero_points, (pair[0], pair[1]), k
    )
    numbers = {"multiplier_a": pair[0], "multiplier_b": pair[1], "shift": k}
    return q_out, QuantOp(op, (q_out.lo, q_out.hi), numbers=numbers), found


_STATES = {"widen": _widen, "update": _update}


def _move(
    op: Op, q: list[QParams], x: list[Codes], expected: Floats, wanted: QParams | None, chip: Chip
) -> _Result:
    """Codes moved; inputs of other parameters than the output's go through a table on the way."""
    alike = all(item == q[0] for item in q)
    own = wanted if wanted is not None and chip.stage != Stage.SHIFT else None
    q_out = own or (q[0] if alike else _joint(q, expected))
    tables, moved = {}, []
    for index, (item, codes) in enumerate(zip(q, x, strict=True)):
        if item != q_out:
            entries = _entries(item, q_out, lambda real: real)
            tables[f"table_{index}"] = entries & 0xFF
            codes = entries[codes & 0xFF]
        moved.append(codes.reshape(len(codes), -1))
    out = np.full((len(x[0]), expected[0].size), q_out.zero_point, np.int64)
    carry(op, moved, out)
    return q_out, QuantOp(op, (q_out.lo, q_out.hi), arrays=tables), out


def _joint(q: list[QParams], expected: Floats) -> QParams:
    """Parameters for values of several: the input's that holds them all, else new ones."""
    lo, hi = float(expected.min()), float(expected.max())
    fresh = activation_qparams(expected, (-math.inf, math.inf), q[0].signed)
    for item in sorted(q, key=lambda item: item.scale):
        reach = ((item.lo - item.zero_point) * item.scale, (item.hi - item.zero_point) * item.scale)
        if reach[0] <= lo and hi <= reach[1] and item.scale <= 1.1 * fresh.scale:
            return item
    return fresh


_RULES: Mapping[str, _Rule] = {
    "move": _move,
    "reshape": _free,
    "transpose": _free,
    "pad": _pad,
    "add": _add,
    "mul": _mul,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "clip": _clip,
    "table": _table,
    "softmax": _softmax,
    "argmax": _argmax,
}
