"""Reads an ONNX file into plain Python: nodes, constants, inputs, outputs.

Nothing here trusts the file. Only this module and the constant folder touch onnx's own types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

from norcim.errors import NorcimError
from norcim.frontend.builder import check_budget

Array = npt.NDArray[Any]
Dim = int | str
"""A dimension: its size, or the name of a symbol ("" if it has none)."""

MIN_OPSET = 7
MAX_NESTING = 16
"""Branches within branches."""
STANDARD_DOMAINS = ("", "ai.onnx")
_NAME_LENGTH = 60

_SIGNATURES = (
    (b"\x89HDF\r\n", "an HDF5 file (Keras .h5)"),
    (b"PK\x03\x04", "a zip archive (a PyTorch .pt, a Keras .keras or an .npz)"),
    (b"\x80\x02", "a Python pickle (an old PyTorch checkpoint)"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x93NUMPY", "a NumPy .npy array"),
    (b"RIFF", "a WAV recording"),
    (b"\x7fELF", "a program"),
    (b"NCIM", "a norcim weight image"),
)


@dataclass(frozen=True)
class Node:
    """One ONNX node; `name` is shortened for messages."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Subgraph:
    """A branch or body: nodes, own constants, names of inputs and outputs."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ValueInfo:
    """A graph input or output: ONNX element type name in lower case, dimensions (None: any)."""

    name: str
    dtype: str
    dims: tuple[Dim, ...] | None


@dataclass(frozen=True)
class Model:
    """A parsed ONNX model, constants resolved to arrays."""

    name: str
    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]


def load(path: Path) -> Model:
    """Read and parse an ONNX file.

    Raises NorcimError: NC-E0201 not ONNX, NC-E0202 damaged, NC-E0203 older than opset 7,
    NC-E0206 too large, NC-E0207 external data outside the model's folder.
    """
    data = _read(path)
    try:
        return _parse(onnx.ModelProto.FromString(data), path)
    except NorcimError:
        raise
    except Exception as error:  # onnx raises many types on a damaged file, none of them documented
        raise damaged(str(path), f"{type(error).__name__}: {error}") from error


def damaged(where: str, got: str) -> NorcimError:
    """The error for a file that says it is ONNX and is not whole."""
    return NorcimError(
        "NC-E0202",
        "the ONNX model is damaged",
        where=where,
        expected="a complete ONNX model",
        got=got,
        fix="export or copy the file again; `python -m onnx.checker` may say more",
    )


def short_name(name: str, fallback: str = "") -> str:
    """A node name fit for a message: TensorFlow's lists cut to the last path, 60 characters."""
    short = name.split(";")[-1] or fallback
    while len(short) > _NAME_LENGTH and "/" in short:
        short = short.split("/", 1)[1]
    return short if len(short) <= _NAME_LENGTH else "..." + short[3 - _NAME_LENGTH :]


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NorcimError(
            "NC-E0201", "the model cannot be read", where=str(path), got=error.strerror or ""
        ) from error
    looks_like = _looks_like(data)
    if looks_like:
        raise NorcimError(
            "NC-E0201",
            "the file is not an ONNX model",
            where=str(path),
            expected="an ONNX model (protobuf)",
            got=f"what looks like {looks_like}",
            fix="export the model to ONNX: torch.onnx.export, tf2onnx, or tflite2onnx",
        )
    return data


def _looks_like(data: bytes) -> str:
    """What a file that cannot be ONNX looks like; empty if it may be ONNX."""
    if not data:
        return "an empty file"
    if data[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    for signature, text in _SIGNATURES:
        if data.startswith(signature):
            return text
    head = data[:512]
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text"
    # field numbers of ModelProto, with their wire types
    known = {0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA, 0xD2}
    return "" if data[0] in known else f"unknown data (first bytes {head[:4].hex(' ')})"


def _parse(proto: onnx.ModelProto, path: Path) -> Model:
    graph = proto.graph
    if not graph.node and not graph.output:
        raise damaged(str(path), "no graph in it")
    constants = {t.name: _to_array(t, path) for t in graph.initializer}
    for sparse in graph.sparse_initializer:
        raise unsupported_file(f"sparse initialiser {sparse.values.name!r}", "store it dense")
    return Model(
        name=short_name(graph.name, path.stem),
        opset=_opset(proto),
        nodes=_nodes(graph, path, 0),
        constants=constants,
        inputs=tuple(_value_info(v) for v in graph.input if v.name not in constants),
        outputs=tuple(_value_info(v) for v in graph.output),
    )


def unsupported_file(what: str, fix: str) -> NorcimError:
    """The error for something in the file, not a node, that norcim does not take."""
    return NorcimError("NC-E0203", f"not supported: {what}", fix=fix, exit_code=3)


def _opset(proto: onnx.ModelProto) -> int:
    versions = [o.version for o in proto.opset_import if o.domain in STANDARD_DOMAINS]
    opset = max(versions, default=1)
    if opset < MIN_OPSET:
        raise unsupported_file(
            f"ONNX opset {opset}, {MIN_OPSET} or newer is needed",
            "convert it with onnx.version_converter.convert_version(model, 13)",
        )
    return int(opset)


def type_name(number: int) -> str:
    """Name of one of onnx's element types."""
    types = onnx.TensorProto.DataType
    return types.Name(number).lower() if number in types.values() else f"type {number}"


def _value_info(info: onnx.ValueInfoProto) -> ValueInfo:
    if not info.type.HasField("tensor_type"):
        raise unsupported_file(f"{info.name!r} is not a tensor", "export with tensor ports only")
    tensor = info.type.tensor_type
    dtype = type_name(tensor.elem_type)
    dims: tuple[Dim, ...] | None = None
    if tensor.HasField("shape"):
        dims = tuple(
            int(d.dim_value) if d.HasField("dim_value") else str(d.dim_param)
            for d in tensor.shape.dim
        )
    return ValueInfo(info.name, dtype, dims)


def _nodes(graph: onnx.GraphProto, path: Path, depth: int) -> tuple[Node, ...]:
    return tuple(_node(node, place, path, depth) for place, node in enumerate(graph.node))


def _subgraph(graph: onnx.GraphProto, path: Path, depth: int) -> Subgraph:
    if depth > MAX_NESTING:
        raise unsupported_file(f"graphs nested more than {MAX_NESTING} deep", "flatten the model")
    for sparse in graph.sparse_initializer:
        raise unsupported_file(f"sparse initialiser {sparse.values.name!r}", "store it dense")
    return Subgraph(
        _nodes(graph, path, depth),
        {t.name: _to_array(t, path) for t in graph.initializer},
        tuple(value.name for value in graph.input),
        tuple(value.name for value in graph.output),
    )


def _node(node: onnx.NodeProto, position: int, path: Path, depth: int) -> Node:
    fallback = node.output[0] if node.output else f"{node.op_type}_{position}"
    domain = "" if node.domain in STANDARD_DOMAINS else node.domain
    return Node(
        op=node.op_type,
        domain=domain,
        name=short_name(node.name, short_name(fallback)),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attrs={a.name: _attribute(a, path, depth) for a in node.attribute},
    )


def _attribute(attribute: onnx.AttributeProto, path: Path, depth: int) -> Any:
    kinds = onnx.AttributeProto
    if attribute.type == kinds.TENSOR:
        return _to_array(attribute.t, path)
    if attribute.type == kinds.GRAPH:
        return _subgraph(attribute.g, path, depth + 1)
    if attribute.type == kinds.GRAPHS:
        return None  # no operation that is supported has them
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _to_array(tensor: onnx.TensorProto, path: Path) -> Array:
    elements = 1
    for size in tensor.dims:
        if size < 0:
            raise damaged(tensor.name, f"dimensions {list(tensor.dims)}")
        elements *= size
    check_budget(elements, tensor.name)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _load_external(tensor, path)
    array = numpy_helper.to_array(tensor)
    if array.dtype == object or array.dtype.kind in "SU":
        raise unsupported_file(f"text constant {tensor.name!r}", "remove it from the graph")
    narrow = array.dtype.kind == "f" or array.dtype.name in ("bfloat16", "float8_e4m3fn")
    return array.astype(np.float32) if narrow else array


def _load_external(tensor: onnx.TensorProto, path: Path) -> None:
    """Fill a tensor whose bytes lie in another file, which must be inside the model's folder."""
    location = next((e.value for e in tensor.external_data if e.key == "location"), "")
    folder = path.resolve().parent
    target = (folder / location).resolve()
    if not location or not target.is_relative_to(folder) or not target.is_file():
        raise NorcimError(
            "NC-E0207",
            "external data outside the model's folder, or missing",
            where=tensor.name,
            expected=f"a file under {folder}",
            got=repr(location),
            why="a model may not make norcim read other files of this machine",
            fix="put the data file beside the .onnx, or save the model in one file",
        )
    load_external_data_for_tensor(tensor, str(folder))
