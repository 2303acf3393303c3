"""How good an image is on labelled inputs: accuracy, saturation, and the error of each layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from norcim.analysis.estimate import layer_name
from norcim.emulator import Emulator
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.image.model import ImageContent
from norcim.image.ports import dequantise_port, fine_of, values_shape
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Floats, Graph
from norcim.ir.ops import WIDE
from norcim.spec.program import Opcode

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

ADDED = ("~widened", "~levelled", "~codes", "~rescaled", "~restored")
"""How the names of tensors end that the quantiser puts in."""

CHUNK = 64
"""Samples that are held with all their layers at a time."""


@dataclass(frozen=True)
class LayerResult:
    """One layer on all samples.

    index, opcode  its first descriptor
    n_conversions, n_saturated  column sums digitised, and those that clipped
    rms_error_lsb  root mean square of the difference to the reference, in steps of the output
    sqnr_db        power of the reference over power of the difference; None where one is zero
    Without a reference both are what the compiler measured on its calibration set.
    """

    index: int
    name: str
    opcode: str
    n_conversions: int
    n_saturated: int
    rms_error_lsb: float | None
    sqnr_db: float | None


@dataclass(frozen=True)
class Evaluation:
    """n_right is the number of samples whose largest output is the label; None without labels."""

    n_samples: int
    n_right: int | None
    layers: tuple[LayerResult, ...]

    @property
    def accuracy(self) -> float | None:
        """Share of right answers, 0..1."""
        return None if self.n_right is None else self.n_right / self.n_samples


@dataclass
class _Sums:
    """Running sums of one layer."""

    n_conversions: int = 0
    n_saturated: int = 0
    n_values: int = 0
    signal: float = 0.0
    error: float = 0.0


def measure(
    content: ImageContent,
    inputs: Sequence[Bytes],
    labels: npt.NDArray[Any] | None = None,
    reference: Graph | None = None,
) -> Evaluation:
    """Run an image on the emulator and measure.

    inputs     code bytes (n, h, w, c) for each input port
    labels     (n,) class numbers, or names as in the image's labels
    reference  the graph of the model: every layer is compared with its real values on the same
               inputs, so that the error of a layer includes those before it
    Raises NC-E0905 if the labels do not fit, NC-E0906 if `reference` is another model.
    """
    n = len(inputs[0])
    classes = None if labels is None else label_numbers(content, labels, n)
    emulator = Emulator(content)
    steps = _steps(content)
    sums = {layer: _Sums() for layer in steps}
    n_right = 0
    for start in range(0, n, CHUNK):
        part = [array[start : start + CHUNK] for array in inputs]
        outputs = emulator.run(part, counters=True)
        for step, counter in zip(content.program, emulator.counters, strict=False):
            sums[step.layer].n_conversions += counter.conversions
            sums[step.layer].n_saturated += counter.saturated
        if classes is not None:
            found = predicted_classes(content, outputs[0])
            n_right += int(np.count_nonzero(found == classes[start : start + CHUNK]))
        if reference is not None:
            _compare_layers(content, emulator, part, reference, sums)
    layers = tuple(_layer_result(content, steps[layer][0], sums[layer]) for layer in steps)
    return Evaluation(n, None if classes is None else n_right, layers)


def predicted_classes(content: ImageContent, output: Bytes) -> Labels:
    """Class of the largest code of each sample of the first output."""
    port = next(port for port in content.ports if port.is_output)
    codes = output.view(np.int8) if port.signed else output
    return np.asarray(codes.reshape(len(codes), -1).argmax(axis=1), np.int64)


def label_numbers(content: ImageContent, labels: npt.NDArray[Any], n: int) -> Labels:
    """Labels as class numbers. Raises NC-E0905 for another count, type or an unknown name."""
    port = next(port for port in content.ports if port.is_output)
    n_classes = port.h * port.w * port.c
    if labels.shape != (n,):
        raise _bad_labels(f"one label a sample, shape ({n},)", str(labels.shape))
    if labels.dtype.kind in "US":
        names = [str(name) for name in content.meta.get("labels", [])]
        unknown = sorted(set(labels.astype(str)) - set(names))
        if unknown:
            raise _bad_labels("one of " + (", ".join(names) or "(no labels)"), ", ".join(unknown))
        return np.array([names.index(label) for label in labels.astype(str)], np.int64)
    whole = labels.dtype.kind in "iub" or np.array_equal(labels, np.rint(labels))
    if not whole or labels.min() < 0 or labels.max() >= n_classes:
        got = f"{labels.dtype} {labels.min()}..{labels.max()}"
        raise _bad_labels(f"whole numbers 0..{n_classes - 1}", got)
    return labels.astype(np.int64)


def _bad_labels(expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0905",
        "the labels do not fit the network",
        expected=expected,
        got=got,
        fix="store them as `y`, class numbers or names as in the image's labels",
        exit_code=EXIT_USAGE,
    )


def _steps(content: ImageContent) -> dict[int, list[int]]:
    """The descriptors of each layer, layers in the order of their first ones."""
    steps: dict[int, list[int]] = {}
    for index, step in enumerate(content.program):
        if step.opcode != Opcode.END:
            steps.setdefault(step.layer, []).append(index)
    return steps


def _compare_layers(
    content: ImageContent,
    emulator: Emulator,
    inputs: Sequence[Bytes],
    graph: Graph,
    sums: Mapping[int, _Sums],
) -> None:
    _check_same_model(content, graph)
    steps = _steps(content)
    compared = {
        layer: str(_meta_of(content, indices[0])["tensor"])
        for layer, indices in steps.items()
        if _is_compared(content, indices[0], graph)
    }
    ports = [port for port in content.ports if not port.is_output]
    fine = _fine(content, len(ports))
    real = {
        source.tensor: dequantise_port(port, codes, parts).astype(np.float32)
        for source, port, codes, parts in zip(graph.inputs, ports, inputs, fine, strict=True)
    }
    quantised = any(tensor.qparams is not None for tensor in graph.tensors.values())
    expected = evaluate(graph, real, set(compared.values()), fake_quantise=quantised)
    outputs = emulator.run_layers(inputs)
    for layer, tensor in compared.items():
        strips = np.concatenate([outputs[index] for index in steps[layer]], axis=1)
        values, scale = _layer_values(content, steps[layer][0], strips)
        due = expected[tensor].reshape(values.shape)
        total = sums[layer]
        total.n_values += values.size
        total.signal += float(np.square(due, dtype=np.float64).sum()) / scale**2
        total.error += float(np.square(values - due, dtype=np.float64).sum()) / scale**2


def _is_compared(content: ImageContent, index: int, graph: Graph) -> bool:
    """Whether a descriptor's layer computes a tensor of the model.

    Copies do not, nor do tables that the compiler put in (`norcim.quantise`).
    """
    meta = _meta_of(content, index)
    return meta.get("kind") not in ("move", *WIDE) and str(meta["tensor"]) in graph.tensors


def _check_same_model(content: ImageContent, graph: Graph) -> None:
    ports = [port for port in content.ports if not port.is_output]
    due = {str(meta["tensor"]): tuple(meta["shape"]) for meta in content.meta["layers"]}
    due = {name: shape for name, shape in due.items() if not name.endswith(ADDED)}
    found = {name: graph.tensors[name].shape for name in due if name in graph.tensors}
    inputs = [graph.tensors[port.tensor].shape for port in graph.inputs]
    held = list(map(values_shape, ports, _fine(content, len(ports))))
    if due == found and inputs == held:
        return
    missing = next((name for name in due if due[name] != found.get(name)), "its inputs")
    raise NorcimError(
        "NC-E0906",
        "the model is not the one that the image was compiled from",
        where=graph.name,
        expected=f"{missing} of shape {due.get(missing, 'as in the image')}",
        got=str(found.get(missing, "no such tensor, or another shape")),
        fix="give the same ONNX file that was compiled",
        exit_code=EXIT_USAGE,
    )


def _meta_of(content: ImageContent, index: int) -> dict[str, Any]:
    entry = content.meta["layers"][content.program[index].layer]
    assert isinstance(entry, dict)
    return entry


def _layer_values(content: ImageContent, index: int, output: Bytes) -> tuple[Floats, float]:
    """Real values of a descriptor's output bytes, and their scale."""
    meta = _meta_of(content, index)
    codes = (output.view(np.int8) if meta["signed"] else output).astype(np.float32)
    scale = float(meta["scale"])
    values = (codes - meta["zero_point"]) * scale
    # The compiler may have scaled channels against each other: docs/decisions/0012.
    factor = 2.0 ** (np.array(meta.get("channel_quarters", [0])) / 4)
    return np.asarray(values / factor, np.float32), scale


def _fine(content: ImageContent, n_inputs: int) -> list[int]:
    """`fine_of` each input."""
    return [fine_of(meta) for meta in content.meta.get("inputs", [{}] * n_inputs)]


def _layer_result(content: ImageContent, index: int, total: _Sums) -> LayerResult:
    step = content.program[index]
    meta = _meta_of(content, index)
    rms, sqnr = meta.get("rms_error_lsb"), meta.get("sqnr_db")
    if total.n_values > 0:
        rms = math.sqrt(total.error / total.n_values)
        ratio = total.signal > 0 and total.error > 0
        sqnr = 10 * math.log10(total.signal / total.error) if ratio else None
    return LayerResult(
        index=index,
        name=layer_name(content, step.layer),
        opcode=Opcode(step.opcode).name,
        n_conversions=total.n_conversions,
        n_saturated=total.n_saturated,
        rms_error_lsb=rms,
        sqnr_db=sqnr,
    )
