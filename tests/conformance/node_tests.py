"""The node tests of the onnx package, run through the importer and on an image.

Their parameters (weights, axes, shapes) come as inputs; norcim needs them constant. So the first
input is the activation and the others become initialisers; if that is refused, every float input
is an activation. A test passes if the imported graph computes the expected outputs in float, and an
image for `digital`, calibrated on the test's own inputs, gives them within what 8 bits can: 2 % of
the range of the outputs, or 25 dB.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.errors import NorcimError
from norcim.frontend import import_onnx
from norcim.frontend.registry import HANDLERS
from norcim.ir import evaluate, from_tensor, to_tensor
from norcim.ir.graph import Graph
from norcim.runtime import compile_model, decode_outputs, encode_inputs

SHARE_OF_RANGE = 0.02
LEAST_DB = 25.0

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a test: "passed", "refused" (and why) or "wrong" (and by how much)."""

    name: str
    op: str
    verdict: str
    reason: str = ""


@cache
def _all_cases() -> list[Any]:
    """All of onnx's node tests; onnx makes them once a process, with numpy's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(collect_testcases(None))


def applicable() -> Iterator[Any]:
    """Test cases of a single node of an operation that norcim has."""
    return cases_of(HANDLERS)


def cases_of(ops: Container[str]) -> Iterator[Any]:
    """Test cases of a single node of one of these operations."""
    for case in _all_cases():
        nodes = case.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type in ops:
            yield case


def run(case: Any) -> Outcome:
    """The better of both ways to convert a test."""
    op = case.model.graph.node[0].op_type
    given, due = case.data_sets[0]
    if any(isinstance(value, list) for value in (*given, *due)):
        return Outcome(case.name, op, "refused", "values that are sequences or optional")
    inputs, outputs = _arrays(given), _arrays(due)
    if not np.isfinite(np.asarray(inputs[0], np.float64)).all():
        return Outcome(case.name, op, "refused", "inputs of NaN or infinity, which have no codes")
    kept = [[0], [i for i, array in enumerate(inputs) if array.dtype == np.float32]]
    outcomes = [_attempt(case, op, keep, inputs, outputs) for keep in kept if keep]
    order = ("passed", "wrong", "refused")
    return min(outcomes, key=lambda outcome: order.index(outcome.verdict))


def _arrays(values: Sequence[Any]) -> list[Array]:
    """Values of a test: arrays, or tensors of onnx where numpy has no such type."""
    return [
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
        for value in values
    ]


def _attempt(
    case: Any, op: str, keep: Sequence[int], inputs: Sequence[Array], outputs: Sequence[Array]
) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        feeds = _convert(case.model, keep, inputs, path)
        try:
            reason = _difference(path, feeds, outputs)
        except NorcimError as error:
            return Outcome(case.name, op, "refused", f"{error.id} {error.where}: {error.got}")
        except Exception as error:  # a bug of norcim's: reported, not raised, to see all of them
            return Outcome(case.name, op, "wrong", f"{type(error).__name__}: {error}")
    return Outcome(case.name, op, "wrong" if reason else "passed", reason)


def _convert(
    model: onnx.ModelProto, keep: Sequence[int], inputs: Sequence[Array], path: Path
) -> Mapping[str, Array]:
    """Write the model with all inputs but some as initialisers; returns what feeds the others."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    infos = list(changed.graph.input)
    del changed.graph.input[:]
    feeds = {}
    for index, (info, array) in enumerate(zip(infos, inputs, strict=False)):
        if index in keep:
            changed.graph.input.append(info)
            feeds[info.name] = np.asarray(array)
        else:
            changed.graph.initializer.append(numpy_helper.from_array(np.asarray(array), info.name))
    onnx.save(changed, path)
    return feeds


def _difference(path: Path, feeds: Mapping[str, Array], outputs: Sequence[Array]) -> str:
    """How the import or the image differs from the expected outputs; empty if they do not."""
    graph = import_onnx(path)
    samples = {port.name: _samples(feeds[port.name], port.shape) for port in graph.inputs}
    for got, want in zip(_float(graph, samples), outputs, strict=False):
        due = np.asarray(want, np.float64).reshape(got.shape)
        if not np.allclose(got, due, rtol=1e-3, atol=1e-4 * max(1e-3, np.abs(due).max())):
            return f"float: off by {np.abs(got - due).max():g}"
    content = compile_model(path, load_chip("digital"), samples)
    found = decode_outputs(content, Emulator(content).run(encode_inputs(content, samples)))
    for got, want in zip(found.values(), outputs, strict=False):
        due = np.asarray(want, np.float64).reshape(got.shape)
        error = np.asarray(got, np.float64) - due
        reach = max(due.max(), 0.0) - min(due.min(), 0.0)
        decibels = 10 * np.log10(np.square(due).sum() / max(np.square(error).sum(), 1e-300))
        if np.abs(error).max() > SHARE_OF_RANGE * reach and decibels < LEAST_DB:
            return f"image: off by {np.abs(error).max():g} of {reach:g}, {decibels:.1f} dB"
    return ""


def _samples(array: Array, shape: tuple[int, ...]) -> Array:
    """The array of a test as samples: its batch, or itself as the only one."""
    return array if array.shape[1:] == shape and array.shape != shape else array[None]


def _float(graph: Graph, samples: Mapping[str, Array]) -> list[Array]:
    tensors = {}
    for port in graph.inputs:
        tensor, x = graph.tensors[port.tensor], samples[port.name].astype(np.float32)
        if port.codes != "float32" and tensor.qparams is not None:
            x = (x - tensor.qparams.zero_point) * np.float32(tensor.qparams.scale)
        tensors[port.tensor] = to_tensor(port, tensor.shape, x)
    rounded = any(tensor.qparams for tensor in graph.tensors.values())
    results = evaluate(graph, tensors, fake_quantise=rounded)
    outputs = []
    for port in graph.outputs:
        y = from_tensor(port, results[port.tensor])
        q = graph.tensors[port.tensor].qparams
        outputs.append(np.rint(y / q.scale) + q.zero_point if port.codes != "float32" and q else y)
    return outputs


def page(outcomes: Sequence[Outcome]) -> str:
    """docs/reference/node-tests.md: counts, and every test that does not pass with its reason."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    lines = [
        "# Node tests of ONNX",
        "",
        "Written by `python -m tests.conformance.node_tests`; a slow test checks it.",
        "",
        f"The onnx package {onnx.__version__} makes {len(outcomes)} node tests of the operators",
        f"that `norcim ops` lists. **{counts['passed']} pass**, {counts['refused']} are refused",
        f"with a reason, {counts['wrong']} run and miss the bound, for the reasons below. What",
        "passes computes the expected outputs in float, and within 2 % of their range or 25 dB as",
        "an image for `digital`, calibrated on the test's own inputs.",
        "",
        "## Outside the bound",
        "",
        "| test | why |",
        "|---|---|",
        *(f"| {o.name} | {MISSES.get(o.name, '?')} |" for o in outcomes if o.verdict == "wrong"),
        "",
        "## Refused",
        "",
        "| reason | tests |",
        "|---|---|",
    ]
    refused: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.verdict == "refused":
            refused.setdefault(_general(outcome), []).append(outcome.name.removeprefix("test_"))
    lines += [f"| {reason} | {', '.join(refused[reason])} |" for reason in sorted(refused)]
    return "\n".join(lines) + "\n"


def _general(outcome: Outcome) -> str:
    """A refusal without the names and numbers of the test."""
    reason = re.sub(r"^NC-E\d+ ", "", outcome.reason).rstrip(": ")
    reason = re.sub(r"^(input|output) \w+: ", r"\1: ", reason)
    if reason.startswith(outcome.op):
        reason = f"{outcome.op}:" + reason.split(":", 1)[-1]
    return re.sub(r" of (shape )?\(.*?\)", " of that shape", reason).replace("|", "\\|")


MISSES: Mapping[str, str] = {
    "test_celu_bfloat16": "expected values rounded to bfloat16, 3 digits",
    "test_floor_example": "an input on a step: a quantised one is below it",
    "test_logsoftmax_large_number": "10,000 and 3 in one tensor: 8 bits have no step between",
    "test_softmax_large_number": "10,000 and 3 in one tensor: 8 bits have no step between",
    "test_l2normalization_axis_0": "a vector of zeros: its factor takes all of the range",
    "test_reduce_min_default_axes_keepdims_example": "1 of inputs up to 60: within a step of them",
    "test_round": "inputs on a tie: a quantised one rounds to the other side",
    "test_tan": "inputs by a pole: a step of the input is more than the bound",
    "test_thresholdedrelu_example": "an input on the threshold: a quantised one is beyond it",
}
"""Tests that an image misses, with the reason; no others may."""

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "node-tests.md"


def main() -> None:
    """Run all, write the page, print the counts."""
    text = page([run(case) for case in applicable()])
    PAGE.write_text(text, encoding="utf-8")
    print(text.split("## Refused", maxsplit=1)[0])


if __name__ == "__main__":
    main()
