"""What a user calls: compile a model, run an image, move between real values and codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import norcim
from norcim.chips.model import Chip
from norcim.emulator import Emulator
from norcim.errors import EXIT_UNSUPPORTED, EXIT_USAGE, NorcimError
from norcim.fitting import NO_WISHES, Wishes, quantise_and_map
from norcim.frontend import NOTHING_FIXED, Fixed, import_onnx
from norcim.image import check_placement, check_program, memory_needs
from norcim.image.model import ImageContent
from norcim.image.ports import (
    dequantise_port,
    fine_of,
    levels_of,
    quantise_port,
    values_shape,
)
from norcim.image.states import state_pairs
from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Graph
from norcim.ir.graph import Port as GraphPort
from norcim.ir.layout import from_tensor, to_tensor
from norcim.mapper import (
    check_support,
)
from norcim.quantise import (
    level_inputs,
    needs_calibration,
    require_calibration,
)
from norcim.spec.program import Port

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Progress = Callable[[str, int, int], None]

_ANY_BYTES = 2**40


def _silent(step: str, done: int, total: int) -> None:
    """No progress shown."""


def compile_model(
    path: str | Path,
    chip: Chip,
    calibration: Mapping[str, Array] | None = None,
    *,
    fixed: Fixed = NOTHING_FIXED,
    name: str = "",
    meta_extra: Mapping[str, Any] | None = None,
    wishes: Wishes = NO_WISHES,
    progress: Progress = _silent,
) -> ImageContent:
    """Compile an ONNX model, float or QDQ, for a chip.

    calibration  per model input, an array (n, *input shape); a single array may stand under any
                 name. A uint8 array for a float input means that this input's values are codes
                 0..255, taken as they are. None only where nothing has to be chosen from data.
    fixed        shapes of inputs that the model leaves open, and inputs that become constants
    meta_extra   goes into the image's metadata (labels, front end, ...)
    wishes       an accuracy or cell budget, and choices for single layers
    Returns the image's content, ready for `norcim.image.build_image`. Deterministic.
    Raises NorcimError: NC-E02xx for the model, NC-E03xx if it does not fit, NC-E04xx for the
    calibration set, the states in `meta_extra` and the stream in `wishes`.
    """
    graph = import_onnx(path, fixed)
    progress("check fit", 0, 1)
    check_support(graph, _for_windows(chip) if wishes.stream else chip)
    data, integer = _calibration(graph, chip, calibration)
    if wishes.stream is None:
        graph, data = level_inputs(graph, data, integer)
    meta = {
        "name": name or graph.name or Path(path).stem,
        "compiler": f"norcim {norcim.__version__}",
        **fixed.to_meta(),
        **(meta_extra or {}),
    }
    content = quantise_and_map(graph, chip, data, integer, meta, wishes, progress)
    state_pairs(content)
    check_program(content)
    check_placement(content, chip)
    check_memories(content, chip)
    return _with_known_answer(content, data, graph)


def _for_windows(chip: Chip) -> Chip:
    """The chip for a network of which it will hold new frames only: any window fits."""
    return replace(chip, memories=replace(chip.memories, activation_bytes=_ANY_BYTES))


def trial_content(
    path: str | Path, chip: Chip, graph: Graph, fixed: Fixed = NOTHING_FIXED
) -> ImageContent:
    """The program that a model becomes, calibrated on noise: its sizes are right, no numbers are.

    graph  what the model imports as, with `fixed`
    Raises as `compile_model`.
    """
    return compile_model(path, chip, noise_inputs(graph, 2), fixed=fixed)


def noise_inputs(graph: Graph, n: int) -> dict[str, Array]:
    """Inputs (n, *shape) for who has none: normal of mean 0 and variance 1, or codes 0..99."""
    rng = np.random.default_rng(0)
    noise: dict[str, Array] = {}
    for port in graph.inputs:
        if port.codes == "float32":
            noise[port.tensor] = rng.normal(size=(n, *port.shape)).astype(np.float32)
        else:
            noise[port.tensor] = rng.integers(0, 100, (n, *port.shape)).astype(port.codes)
    return noise


def real_outputs(graph: Graph, given: Mapping[str, Array]) -> list[npt.NDArray[np.float32]]:
    """What the model itself gives, real values (n, h, w, c) an output port; QDQ models round.

    given  as the calibration of `compile_model`. Raises NC-E0403 to NC-E0406.
    """
    tensors, _ = _as_tensors(graph, given)
    names = [port.tensor for port in graph.outputs]
    quantised = any(tensor.qparams is not None for tensor in graph.tensors.values())
    found = evaluate(graph, tensors, set(names), fake_quantise=quantised)
    return [found[name] for name in names]


def check_memories(content: ImageContent, chip: Chip) -> None:
    """Raises NC-E0306 if a memory of the chip other than the activations' is too small."""
    needs = memory_needs(content)
    short = [
        f"{name}: {needs[name]:,} needed, {there:,} there"
        for name, there in chip.memories.limits().items()
        if needs[name] > there
    ]
    if short:
        raise NorcimError(
            "NC-E0306",
            f"the program does not fit chip {chip.name!r}",
            got="; ".join(short),
            fix="take a chip with larger memories (`norcim chips`), or a smaller network",
            exit_code=EXIT_UNSUPPORTED,
        )


def _with_known_answer(
    content: ImageContent, data: Mapping[str, npt.NDArray[np.float32]], graph: Graph
) -> ImageContent:
    """Add the first calibration input and what the emulator makes of it.

    A stream begins with the first frames of it, and zeros for the past.
    """
    ports = [port for port in content.ports if not port.is_output]
    first = [data[source.tensor][:1] for source in graph.inputs]
    first += [np.zeros((1, port.h, port.w, port.c), np.float32) for port in ports[len(first) :]]
    inputs = [
        quantise_port(port, values[:, : port.h, : port.w], fine_of(meta))
        for port, values, meta in zip(ports, first, content.meta["inputs"], strict=True)
    ]
    outputs = Emulator(content).run(inputs)
    return replace(
        content,
        kat_input=b"".join(x.tobytes() for x in inputs),
        kat_output=b"".join(y.tobytes() for y in outputs),
    )


def _calibration(
    graph: Graph, chip: Chip, given: Mapping[str, Array] | None
) -> tuple[dict[str, npt.NDArray[np.float32]], frozenset[str]]:
    """Calibration inputs as tensors (n, h, w, c), and those that are codes 0..255."""
    if given is None:
        if needs_calibration(graph, chip):
            raise require_calibration(graph, chip)
        zeros = {
            port.tensor: np.zeros((1, *graph.tensors[port.tensor].shape), np.float32)
            for port in graph.inputs
        }
        return zeros, frozenset()
    return _as_tensors(graph, given)


def _as_tensors(
    graph: Graph, given: Mapping[str, Array]
) -> tuple[dict[str, npt.NDArray[np.float32]], frozenset[str]]:
    """A user's inputs as tensors (n, h, w, c), and those that are codes 0..255."""
    arrays = match_inputs([port.tensor for port in graph.inputs], given)
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for port, array in zip(graph.inputs, arrays, strict=True):
        shaped = _shape_input(port.tensor, port.shape, array)
        if port.codes != "float32":
            q = graph.tensors[port.tensor].qparams
            assert q is not None, "an integer port has parameters"
            shaped = ((shaped.astype(np.float32) - q.zero_point) * q.scale).astype(np.float32)
        if not np.isfinite(shaped).all():
            raise NorcimError(
                "NC-E0403", "the calibration set holds NaN or infinite values",
                where=port.tensor, fix="remove these samples",
            )  # fmt: skip
        shape = graph.tensors[port.tensor].shape
        tensors[port.tensor] = to_tensor(port, shape, shaped.astype(np.float32))
    pairs = zip(graph.inputs, arrays, strict=True)
    return tensors, frozenset(
        port.tensor for port, array in pairs if port.codes == "float32" and array.dtype == np.uint8
    )


def match_inputs(names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
    """The array of every input: by name, or the only array there is for the only input.

    Raises NC-E0404 if that leaves an input without an array.
    """
    if all(name in given for name in names):
        return [np.asarray(given[name]) for name in names]
    if len(names) == 1:
        usable = {k: v for k, v in given.items() if k in ("x", "input", "inputs")} or dict(given)
        if len(usable) == 1:
            return [np.asarray(next(iter(usable.values())))]
    raise NorcimError(
        "NC-E0404",
        "the arrays do not name the model's inputs",
        expected=", ".join(names) + (" (or `x` alone)" if len(names) == 1 else ""),
        got=", ".join(given) or "no array",
        fix="save them with numpy.savez under these names",
        exit_code=EXIT_USAGE,
    )


def _shape_input(name: str, shape: tuple[int, ...], array: Array) -> Array:
    """Check (n, *shape); a lacking batch axis, or axes of size 1, are forgiven."""
    if array.ndim == 0 or array.dtype.kind not in "fiub":
        raise _shape_error(name, shape, array)
    if array.shape[1:] == shape and len(array):
        return array
    if array.shape == shape:
        return array[None]
    squeezed = tuple(n for n in array.shape[1:] if n != 1)
    if squeezed == tuple(n for n in shape if n != 1) and len(array):
        return array.reshape(len(array), *shape)
    raise _shape_error(name, shape, array)


def _shape_error(name: str, shape: tuple[int, ...], array: Array) -> NorcimError:
    empty = array.ndim > 0 and len(array) == 0
    return NorcimError(
        "NC-E0405" if empty else "NC-E0406",
        "the set of inputs is empty" if empty else "the inputs have the wrong shape",
        where=name,
        expected="(n, " + ", ".join(map(str, shape)) + "), numbers, n >= 1",
        got=f"{array.dtype} {tuple(array.shape)}",
        fix="give at least one sample of the model's input shape",
        exit_code=EXIT_USAGE,
    )


def encode_inputs(content: ImageContent, given: Mapping[str, Array]) -> list[Bytes]:
    """A user's arrays as code bytes for the image's input ports.

    given  per input (n, *shape) in the model's layout: real values, or integer codes where the
           model's own interface is integer
    Raises NC-E0404 to NC-E0406.
    """
    metas = content.meta["inputs"]
    arrays = match_inputs([m["name"] for m in metas], given)
    ports = [port for port in content.ports if not port.is_output]
    return [
        encode_port(port, meta, array)
        for port, meta, array in zip(ports, metas, arrays, strict=True)
    ]


def encode_port(port: Port, meta: Mapping[str, Any], array: Array) -> Bytes:
    """A user's array as code bytes (n, h, w, c) for one input port.

    meta  what the image's metadata says of this input
    Raises NC-E0405 to NC-E0407.
    """
    shaped = _shape_input(meta["name"], tuple(meta["shape"]), array)
    graph_port = GraphPort(meta["name"], tuple(meta["shape"]), tuple(meta["perm"]), meta["codes"])
    fine = fine_of(meta)
    tensor = to_tensor(graph_port, values_shape(port, fine), shaped)
    if meta["codes"] == "float32":
        return quantise_port(port, _at_level(meta, tensor), fine)
    own = np.int8 if meta["codes"] == "int8" else np.uint8
    codes = tensor.astype(own)
    if not np.array_equal(codes, tensor):
        raise NorcimError(
            "NC-E0407", f"the model's input is {meta['codes']} codes", where=meta["name"],
            expected=f"whole numbers within {meta['codes']}",
            got=f"{tensor.min()}..{tensor.max()}",
            fix="quantise the values with the model's input scale and zero point",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    return np.ascontiguousarray(codes).view(np.uint8)


def _at_level(meta: Mapping[str, Any], values: Array) -> Array:
    """Values (n, ...) of an input as they go in: divided by their level if the metadata says so."""
    return values / levels_of(values, meta["level"]) if "level" in meta else values


def at_levels(content: ImageContent, given: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays by input as `encode_inputs` takes them, those divided that go in at one level.

    What the network makes of these is what its codes stand for.
    """
    metas = content.meta["inputs"]
    arrays = match_inputs([meta["name"] for meta in metas], given)
    return {
        meta["name"]: _at_level(meta, _shape_input(meta["name"], tuple(meta["shape"]), array))
        for meta, array in zip(metas, arrays, strict=True)
    }


def decode_outputs(
    content: ImageContent, outputs: Sequence[Bytes], given: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Output bytes as arrays (n, *shape) in the model's layout.

    given  what `encode_inputs` was given, for outputs that follow the level of an input
    Real values in float32, or the model's own integer codes where its interface is integer.
    Raises NC-E0404 if an output's level is in no array of `given`.
    """
    ports = [port for port in content.ports if port.is_output]
    levels = _levels(content, given or {})
    found = {}
    for port, meta, data in zip(ports, content.meta["outputs"], outputs, strict=True):
        values = decode_port(port, meta, data)
        for name in meta.get("levels", []):
            values = values * levels[name].reshape(-1, *[1] * (values.ndim - 1))
        found[meta["name"]] = values
    return found


def decode_port(port: Port, meta: Mapping[str, Any], data: Bytes) -> Array:
    """Code bytes (n, h, w, c) of one output port as an array (n, *shape), its level aside."""
    shape, perm = tuple(meta["shape"]), tuple(meta["perm"])
    graph_port = GraphPort(meta["name"], shape, perm, meta["codes"])
    if meta["codes"] == "float32":
        values: Array = dequantise_port(port, data).astype(np.float32)
    else:
        values = data.view(np.int8) if meta["codes"] == "int8" else data
    return from_tensor(graph_port, values)


def _levels(content: ImageContent, given: Mapping[str, Array]) -> dict[str, Array]:
    """By input that an output follows, what each of its samples was divided by, float32."""
    followed = {name for meta in content.meta["outputs"] for name in meta.get("levels", [])}
    if not followed:
        return {}
    metas = content.meta["inputs"]
    arrays = match_inputs([meta["name"] for meta in metas], given)
    return {
        meta["name"]: levels_of(
            _shape_input(meta["name"], tuple(meta["shape"]), array), meta["level"]
        )
        for meta, array in zip(metas, arrays, strict=True)
        if meta["name"] in followed
    }
