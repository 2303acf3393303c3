"""What `norcim ops` and docs/reference/operators.md list: every operator, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from norcim.frontend.constants import FOLDABLE
from norcim.frontend.control import CONTROL
from norcim.frontend.load import MIN_OPSET
from norcim.frontend.registry import HANDLERS

ARRAYS = "arrays"
VECTOR = "vector path"
TABLE = "table"
COPY = "copy"
FREE = "nothing to run"
FIRMWARE = "firmware"
FOLDED = "constants only, at compile time"

_PLACES = {
    ARRAYS: "Conv ConvInteger Gemm MatMulInteger QLinearConv",
    f"{ARRAYS}; {VECTOR} for two activations": "MatMul QLinearMatMul",
    f"{ARRAYS}, {COPY}": "ConvTranspose",
    f"{ARRAYS}, {TABLE}, {VECTOR}, {COPY}": "GRU LSTM RNN",
    f"{COPY}; {ARRAYS} unless nearest": "Resize Upsample",
    f"{VECTOR}; folded into {ARRAYS} where a constant allows": "Add BatchNormalization Div Mul Neg "
    "Sub",
    f"{VECTOR}, {COPY}": "Max Min",
    VECTOR: "AveragePool GlobalAveragePool GlobalMaxPool MaxPool Mean ReduceMax ReduceMean "
    "ReduceMin ReduceSum Sum",
    f"{VECTOR}, {TABLE}": "GroupNormalization InstanceNormalization LayerNormalization LogSoftmax "
    "LpNormalization RMSNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceSumSquare",
    COPY: "Concat Expand Gather Pad Slice Split Tile",
    f"{FREE}, or {COPY}": "DepthToSpace Flatten Reshape SpaceToDepth Squeeze Transpose Unsqueeze",
    "what is in it": "If Loop Scan",
    FREE: "Cast DequantizeLinear Dropout DynamicQuantizeLinear Identity Shape",
    f"{TABLE}, or part of the operator before it": "Clip QuantizeLinear Relu",
    f"{TABLE}; {VECTOR} for a slope a channel": "PRelu",
    FIRMWARE: "ArgMax Softmax",
}


@dataclass(frozen=True)
class Operator:
    """One row: name, first and last opset with a version of it, where it runs, what to know."""

    name: str
    opsets: str
    where: str
    note: str


def operators() -> list[Operator]:
    """Every operator that is imported, by name; those that are only folded come last."""
    from onnx import defs

    newest = defs.onnx_opset_version()
    first: dict[str, int] = {}
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain:
            known = first.get(schema.name, schema.since_version)
            first[schema.name] = min(known, schema.since_version)
    places = {name: where for where, names in _PLACES.items() for name in names.split()}
    rows = []
    handlers = {**HANDLERS, **CONTROL}
    for name in (*sorted(handlers), *sorted(set(FOLDABLE) - set(handlers))):
        known = name in handlers
        opsets = f"{max(first.get(name, MIN_OPSET), MIN_OPSET)}..{newest}"
        where = places.get(name, TABLE) if known else FOLDED
        rows.append(Operator(name, opsets, where, first_line(handlers[name]) if known else ""))
    return rows


def first_line(handler: object) -> str:
    """The first line of what a handler says about itself."""
    lines = (handler.__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


def page(rows: Sequence[Operator]) -> str:
    """docs/reference/operators.md."""
    lines = [
        "# Operators",
        "",
        "Written by `norcim ops --markdown`; a test checks it. The operators of ONNX's own domain",
        f"that norcim imports, opsets {MIN_OPSET} and newer. Any variant that is not supported is",
        "refused with its reason; all refusals of a model come in one message. The batch is the",
        "first axis, or 1 ([0052](../decisions/0052-a-batch-of-one-is-an-axis.md)). Inputs may be",
        "float, float16, bfloat16, double, int8 or uint8.",
        "",
        "| operator | opsets | runs on | |",
        "|---|---|---|---|",
        *(f"| {r.name} | {r.opsets} | {r.where} | {r.note} |" for r in rows),
    ]
    return "\n".join(lines) + "\n"
