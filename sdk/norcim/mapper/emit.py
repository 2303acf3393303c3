"""Emit the program: descriptors, tiles, columns, tables and cells of a quantised graph."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from norcim.chips.model import Chip
from norcim.image.model import ImageContent
from norcim.ir.graph import Graph, QParams, Shape
from norcim.ir.graph import Port as GraphPort
from norcim.ir.lowered import QuantConv, QuantGraph, QuantOp
from norcim.mapper.arrange import arrange
from norcim.mapper.memory import MemoryPlan
from norcim.mapper.placement import Block, check_weight_memory
from norcim.mapper.strips import Run, row_window
from norcim.spec.program import (
    TABLE_BYTES,
    Column,
    Descriptor,
    Function,
    Opcode,
    Port,
    Stage,
    Tile,
)

_OWN = (
    "layer", "in_addr", "in_row_stride", "in_h", "in_w", "pad_top", "pad_left",
    "out_addr", "out_row_stride", "out_h", "out_w",
)  # fmt: skip
"""What a convolution that repeats another's does not share with it: tensors and their sizes."""


@dataclass
class _Sections:
    """What has been emitted so far."""

    quant: QuantGraph
    chip: Chip
    memory: MemoryPlan
    program: list[Descriptor] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)
    vector_weights: bytearray = field(default_factory=bytearray)
    tables: bytearray = field(default_factory=bytearray)
    known_tables: dict[bytes, int] = field(default_factory=dict)
    known_convs: dict[int, Descriptor] = field(default_factory=dict)
    layers: list[dict[str, Any]] = field(default_factory=list)

    def shape(self, name: str) -> Shape:
        return self.quant.graph.tensors[name].shape

    def q(self, name: str) -> QParams:
        q = self.quant.graph.tensors[name].qparams
        assert q is not None, "the quantiser gives every tensor its parameters"
        return q

    def table(self, entries: bytes) -> int:
        """Index of a table with these entries (whole tables of 256 bytes); equal ones are one."""
        found = self.known_tables.get(entries)
        if found is None:
            found = self.known_tables[entries] = len(self.tables) // TABLE_BYTES
            self.tables += entries
        return found


def tile_blocks(quant: QuantGraph) -> list[Block]:
    """The blocks of all tiles in the order in which they first run."""
    return [
        Block(op.op.node, len(tile.weights), tile.shape.n_cols, len(tile.bias))
        for op, conv in _different_convs(quant)
        for tile in conv.tiles
    ]


def _different_convs(quant: QuantGraph) -> list[tuple[QuantOp, QuantConv]]:
    """Convolutions and who runs them first."""
    found: dict[int, tuple[QuantOp, QuantConv]] = {}
    for op in quant.ops:
        if op.conv is not None:
            found.setdefault(id(op.conv), (op, op.conv))
    return list(found.values())


def _vector_weight_bytes(quant: QuantGraph) -> int:
    arrays = [conv.vector_weights for _, conv in _different_convs(quant)]
    return sum(array.size for array in arrays if array is not None)


def emit(quant: QuantGraph, chip: Chip, memory: MemoryPlan, meta: dict[str, Any]) -> ImageContent:
    """Build the image's content and place its tiles; the known-answer test is left empty.

    meta  goes into the image's metadata beside layers and ports
    Raises NC-E0302 or NC-E0303 if the tiles do not fit.
    """
    blocks = tile_blocks(quant)
    check_weight_memory(blocks, _vector_weight_bytes(quant), chip)
    sections = _Sections(quant, chip, memory)
    _emit_program(sections)
    sections.program.append(Descriptor(opcode=Opcode.END))
    graph = quant.graph
    ports = [_port(sections, port, 0) for port in graph.inputs]
    ports += [_port(sections, port, 1) for port in graph.outputs]
    full_meta = {
        **meta,
        "inputs": [_port_meta(port) for port in graph.inputs],
        "outputs": [_port_meta(port) | _levels_meta(port, graph) for port in graph.outputs],
        "layers": sections.layers,
        "notes": [*quant.notes, *_notes(quant, memory)],
    }
    content = ImageContent(
        chip.name, chip.fingerprint, memory.n_bytes, tuple(sections.program),
        tuple(sections.tiles), tuple(sections.columns), tuple(ports), bytes(sections.weights),
        bytes(sections.vector_weights), bytes(sections.tables), b"", b"", full_meta,
    )  # fmt: skip
    return arrange([content], chip)[0]


def _notes(quant: QuantGraph, memory: MemoryPlan) -> list[str]:
    """What a user should know of the memory plan."""
    numbers = sorted({run.op for run in memory.runs if run.room is not None})
    if not numbers:
        return []
    first, last = (quant.ops[number].op.node for number in (numbers[0], numbers[-1]))
    n_steps = sum(run.room is not None for run in memory.runs)
    return [
        f"{first} to {last} run in strips of rows, {n_steps} steps for {len(numbers)} layers: "
        "whole, their tensors do not fit the activation memory"
    ]


def _emit_program(s: _Sections) -> None:
    """The descriptors of all runs, those of strips made of the whole operation's."""
    origins = dict(s.memory.addr)
    whole: dict[int, Descriptor] = {}
    kept: dict[int, int] = {}  # by operation, the layer of what strips carry over
    for run, origin in zip(s.memory.runs, s.memory.origins, strict=True):
        op = s.quant.ops[run.op]
        if run.room is None:
            _EMIT[op.op.kind](s, op)
            continue
        if run.op not in whole:
            _EMIT[op.op.kind](s, op)
            whole[run.op] = s.program.pop()
        if run.kept:
            if run.op not in kept:
                kept[run.op] = len(s.layers)
                s.layers.append(_layer(s, op) | {"name": f"{op.op.node} (kept)", "kind": "move"})
            s.program.append(_kept(whole[run.op], run, origins[op.op.output], origin, kept[run.op]))
        else:
            s.program.append(_strip(s, op, whole[run.op], run, origins | {op.op.output: origin}))
        origins[op.op.output] = origin


def _strip(
    s: _Sections, op: QuantOp, d: Descriptor, run: Run, origins: Mapping[str, int]
) -> Descriptor:
    """The part of an operation's descriptor that writes some rows.

    origins  by tensor, where its row 0 lies or would lie
    """
    window = row_window(op.op)
    assert window is not None, "the operation runs in strips"
    first, end = window.reads(run.rows, d.in_h)
    d = replace(
        d, in_addr=origins[op.op.inputs[0]] + first * d.in_row_stride, in_h=end - first,
        pad_top=first + window.pad - run.rows[0] * window.stride, out_h=run.rows[1] - run.rows[0],
        out_addr=origins[op.op.output] + run.rows[0] * d.out_row_stride,
    )  # fmt: skip
    if len(op.op.inputs) == 1:
        return d
    return replace(d, in2_addr=origins[op.op.inputs[1]] + first * d.in2_row_stride)


def _kept(d: Descriptor, run: Run, origin: int, new_origin: int, layer: int) -> Descriptor:
    """Rows of what a descriptor writes, from their place before to the new one."""
    row, h = d.out_row_stride, run.rows[1] - run.rows[0]
    return Descriptor(
        opcode=Opcode.COPY, layer=layer, in_signed=d.out_signed, out_signed=d.out_signed,
        in_addr=origin + run.rows[0] * row, in_row_stride=row, in_pixel_stride=d.out_pixel_stride,
        in_channel_stride=1, in_h=h, in_w=d.out_w, in_c=d.out_c, out_c=d.out_c, out_h=h,
        out_w=d.out_w, out_addr=new_origin + run.rows[0] * row, out_row_stride=row,
        out_pixel_stride=d.out_pixel_stride, out_channel_stride=1, kernel_h=1, kernel_w=1,
        stride_h=1, stride_w=1, dilation_h=1, dilation_w=1,
        clamp_lo=-128 if d.out_signed else 0, clamp_hi=127 if d.out_signed else 255,
    )  # fmt: skip


def _port(s: _Sections, port: GraphPort, is_output: int) -> Port:
    h, w, c = s.shape(port.tensor)
    q = s.q(port.tensor)
    scale = struct.unpack("<I", struct.pack("<f", q.scale))[0]
    return Port(
        is_output, int(q.signed), q.zero_point, scale, s.memory.addr[port.tensor], w * c, c, h, w, c
    )


def _port_meta(port: GraphPort) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": port.name or port.tensor,
        "shape": list(port.shape),
        "perm": list(port.perm),
        "codes": port.codes,
    }
    if port.fine > 1:
        meta["fine"] = port.fine
    if port.level:
        meta["level"] = port.level
    return meta


def _levels_meta(port: GraphPort, graph: Graph) -> dict[str, Any]:
    """By the names of which inputs' levels an output is multiplied."""
    names = [
        source.name or source.tensor for source in graph.inputs if source.tensor in port.levels
    ]
    return {"levels": names} if names else {}


def _base(s: _Sections, op: QuantOp, opcode: Opcode) -> Descriptor:
    """The fields that every opcode shares."""
    source, target = op.op.inputs[0], op.op.output
    (in_h, in_w, in_c), (out_h, out_w, out_c) = s.shape(source), s.shape(target)
    return Descriptor(
        opcode=opcode, in_signed=int(s.q(source).signed), out_signed=int(s.q(target).signed),
        layer=len(s.layers), in_addr=s.memory.addr[source], in_row_stride=in_w * in_c,
        in_pixel_stride=in_c, in_channel_stride=1, in_h=in_h, in_w=in_w, in_c=in_c, out_c=out_c,
        out_h=out_h, out_w=out_w, out_addr=s.memory.addr[target], out_row_stride=out_w * out_c,
        out_pixel_stride=out_c, out_channel_stride=1, kernel_h=1, kernel_w=1, stride_h=1,
        stride_w=1, dilation_h=1, dilation_w=1, clamp_lo=op.clamp[0], clamp_hi=op.clamp[1],
    )  # fmt: skip


def _append(s: _Sections, op: QuantOp, d: Descriptor) -> None:
    s.program.append(d)
    _add_layer(s, op)


def _add_layer(s: _Sections, op: QuantOp) -> None:
    s.layers.append(_layer(s, op))


def _layer(s: _Sections, op: QuantOp) -> dict[str, Any]:
    tensor = op.op.output
    q, error = s.q(tensor), s.quant.errors[tensor]
    entry = {
        "name": op.op.node,
        "kind": op.op.kind,
        "tensor": tensor,
        "shape": list(s.shape(tensor)),
        "scale": q.scale,
        "zero_point": q.zero_point,
        "signed": q.signed,
        "rms_error_lsb": round(error.rms_lsb, 2),
        "sqnr_db": None if error.sqnr_db is None else round(error.sqnr_db, 1),
    }
    if tensor in s.quant.quarters:
        entry["channel_quarters"] = list(s.quant.quarters[tensor])
    return entry


def _windowed(d: Descriptor, op: QuantOp, kernel: Sequence[int]) -> Descriptor:
    attrs = op.op.attrs
    dilation = attrs.get("dilation", (1, 1))
    return replace(
        d, kernel_h=kernel[0], kernel_w=kernel[1], stride_h=attrs["stride"][0],
        stride_w=attrs["stride"][1], dilation_h=dilation[0], dilation_w=dilation[1],
        pad_top=attrs["pads"][0], pad_left=attrs["pads"][1],
    )  # fmt: skip


def _conv(s: _Sections, op: QuantOp) -> None:
    conv = op.conv
    assert conv is not None
    assert op.op.weight is not None
    q_in, q_out = s.q(op.op.inputs[0]), s.q(op.op.output)
    opcode = Opcode.MVM if conv.tiles else Opcode.DWCONV
    d = _windowed(_base(s, op, opcode), op, op.op.weight.shape[:2])
    d = replace(
        d, pad_value=q_in.zero_point & 0xFF, out_zp=q_out.zero_point, column_base=len(s.columns)
    )
    first = s.known_convs.get(id(conv))
    if first is not None:  # the same records, on other tensors
        _append(s, op, replace(first, **{name: getattr(d, name) for name in _OWN}))
        return
    if conv.stage == Stage.REQUANTISE:
        s.columns += [
            Column(int(b), int(m), int(k))
            for b, m, k in zip(conv.bias, conv.multiplier, conv.shift, strict=True)
        ]
    else:
        d = replace(d, out_zp=0, column_base=0)
    if conv.vector_weights is not None:
        d = replace(d, weight_base=len(s.vector_weights))
        s.vector_weights += conv.vector_weights.tobytes()
    else:
        d = _mvm(s, d, conv)
    s.known_convs[id(conv)] = d
    _append(s, op, d)


def _mvm(s: _Sections, d: Descriptor, conv: QuantConv) -> Descriptor:
    converter = s.chip.converter
    d = replace(
        d, stage=conv.stage, encoding=conv.encoding, rule=converter.rule,
        converter_bits=converter.bits, tile_base=len(s.tiles), n_tiles=len(conv.tiles),
        in_zp=conv.centre,
    )  # fmt: skip
    starts = [tile.shape.out_c_first for tile in conv.tiles]
    for index, tile in enumerate(conv.tiles):
        shape = tile.shape
        s.tiles.append(
            Tile(
                gain=tile.gain, align=tile.align,
                first=int(index == 0 or starts[index - 1] != starts[index]),
                last=int(index + 1 == len(starts) or starts[index + 1] != starts[index]),
                n_rows=shape.n_rows, n_cols=shape.n_cols,
                k_first=shape.k_first, in_c_first=shape.in_c_first,
                in_c_count=shape.in_c_count, out_c_first=shape.out_c_first,
                n_bias_rows=len(tile.bias), cells=len(s.weights),
                repeats=tile.repeats,
            )
        )  # fmt: skip
        s.weights += tile.weights.tobytes() + tile.bias.tobytes()
    return d


def _add(s: _Sections, op: QuantOp) -> None:
    d = _binary(s, op, Opcode.ADD)
    _append(s, op, replace(d, multiplier_b=op.numbers["multiplier_b"]))


def _mul(s: _Sections, op: QuantOp) -> None:
    _append(s, op, _binary(s, op, Opcode.MUL))


def _binary(s: _Sections, op: QuantOp, opcode: Opcode) -> Descriptor:
    second = op.op.inputs[1]
    _, w, c = s.shape(second)
    q_a, q_b, q_out = s.q(op.op.inputs[0]), s.q(second), s.q(op.op.output)
    return replace(
        _base(s, op, opcode), in2_signed=int(q_b.signed), in_zp=q_a.zero_point,
        in2_zp=q_b.zero_point, out_zp=q_out.zero_point, in2_addr=s.memory.addr[second],
        in2_row_stride=w * c, in2_pixel_stride=c, multiplier_a=op.numbers["multiplier_a"],
        shift=op.numbers["shift"],
    )  # fmt: skip


def _maxpool(s: _Sections, op: QuantOp) -> None:
    _append(s, op, _windowed(_base(s, op, Opcode.MAXPOOL), op, op.op.attrs["kernel"]))


def _avgpool(s: _Sections, op: QuantOp) -> None:
    d = _windowed(_base(s, op, Opcode.AVGPOOL), op, op.op.attrs["kernel"])
    q_in, q_out = s.q(op.op.inputs[0]), s.q(op.op.output)
    d = replace(d, in_zp=q_in.zero_point, out_zp=q_out.zero_point, column_base=len(s.columns))
    pairs = zip(op.arrays["multiplier"], op.arrays["shift"], strict=True)
    s.columns += [Column(0, int(m), int(k)) for m, k in pairs]
    _append(s, op, d)


def _table(s: _Sections, op: QuantOp) -> None:
    table = s.table(op.arrays["table"].astype(np.uint8).tobytes())
    _append(s, op, replace(_base(s, op, Opcode.TABLE), use_table=1, table=table))


def _softmax(s: _Sections, op: QuantOp) -> None:
    d = replace(
        _base(s, op, Opcode.FIRMWARE), function=Function.SOFTMAX,
        argument=s.table(op.arrays["softmax"].astype("<u2").tobytes()),
        out_zp=op.numbers.get("zero_point", s.q(op.op.output).zero_point),
    )  # fmt: skip
    if "table" in op.arrays:  # the model's own output parameters
        d = replace(d, use_table=1, table=s.table(op.arrays["table"].astype(np.uint8).tobytes()))
    _append(s, op, d)


def _argmax(s: _Sections, op: QuantOp) -> None:
    _append(s, op, replace(_base(s, op, Opcode.FIRMWARE), function=Function.ARGMAX))


def _widen(s: _Sections, op: QuantOp) -> None:
    """A copy with a second row, which lies outside the input: the table makes its zero a 0."""
    q, c = s.q(op.op.inputs[0]), s.shape(op.op.output)[2]
    table = s.table(op.arrays["table"].astype(np.uint8).tobytes())
    d = replace(
        _base(s, op, Opcode.COPY), out_h=2, out_row_stride=c, pad_value=q.zero_point & 0xFF,
        use_table=1, table=table,
    )  # fmt: skip
    _append(s, op, d)


def _update(s: _Sections, op: QuantOp) -> None:
    gates, new, old = op.op.inputs
    c = s.shape(op.op.output)[2]
    d = replace(
        _base(s, op, Opcode.FIRMWARE), function=Function.UPDATE, in_zp=s.q(gates).zero_point,
        in2_addr=s.memory.addr[new], in2_row_stride=c, in2_pixel_stride=c,
        in2_zp=s.q(new).zero_point, in2_signed=int(s.q(new).signed), argument=s.memory.addr[old],
        out_h=2, out_row_stride=c, **op.numbers,
    )  # fmt: skip
    _append(s, op, d)


def _reshape(s: _Sections, op: QuantOp) -> None:
    """Nothing to do: the output shares the input's bytes."""


def _transpose(s: _Sections, op: QuantOp) -> None:
    h, w, c = s.shape(op.op.inputs[0])
    strides, sizes = (w * c, c, 1), (h, w, c)
    perm = op.op.attrs["perm"]
    row, pixel, channel = (strides[axis] for axis in perm)
    in_h, in_w, in_c = (sizes[axis] for axis in perm)
    d = replace(
        _base(s, op, Opcode.COPY), in_row_stride=row, in_pixel_stride=pixel,
        in_channel_stride=channel, in_h=in_h, in_w=in_w, in_c=in_c,
    )  # fmt: skip
    _append(s, op, d)


def _move(s: _Sections, op: QuantOp) -> None:
    """One strided copy a piece; they share an entry of the layers."""
    target, n_layers = op.op.output, len(s.layers)
    for piece in op.op.attrs["pieces"]:
        source = op.op.inputs[piece.source]
        (row, pixel, channel), (out_row, out_pixel, out_channel) = piece.strides, piece.out_strides
        out_h, out_w, out_c = piece.out_size
        d = Descriptor(
            opcode=Opcode.COPY, in_signed=int(s.q(source).signed),
            out_signed=int(s.q(target).signed), layer=n_layers,
            in_addr=s.memory.addr[source] + piece.start, in_row_stride=row,
            in_pixel_stride=pixel, in_channel_stride=channel, in_h=piece.size[0],
            in_w=piece.size[1], in_c=out_c, out_c=out_c, out_h=out_h, out_w=out_w,
            out_addr=s.memory.addr[target] + piece.out_start, out_row_stride=out_row,
            out_pixel_stride=out_pixel, out_channel_stride=out_channel, kernel_h=1, kernel_w=1,
            stride_h=1, stride_w=1, dilation_h=1, dilation_w=1, clamp_lo=op.clamp[0],
            clamp_hi=op.clamp[1], pad_top=piece.pads[0], pad_left=piece.pads[1],
            pad_value=s.q(source).zero_point & 0xFF,
        )  # fmt: skip
        table = op.arrays.get(f"table_{piece.source}")
        if table is not None:
            d = replace(d, use_table=1, table=s.table(table.astype(np.uint8).tobytes()))
        s.program.append(d)
    _add_layer(s, op)


def _pad(s: _Sections, op: QuantOp) -> None:
    top, left, _, _ = op.op.attrs["pads"]
    code = op.numbers["code"] & 0xFF
    d = replace(_base(s, op, Opcode.COPY), pad_top=top, pad_left=left, pad_value=code)
    _append(s, op, d)


_EMIT: dict[str, Callable[[_Sections, QuantOp], None]] = {
    "conv": _conv,
    "add": _add,
    "mul": _mul,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "clip": _table,
    "table": _table,
    "softmax": _softmax,
    "argmax": _argmax,
    "widen": _widen,
    "update": _update,
    "reshape": _reshape,
    "transpose": _transpose,
    "pad": _pad,
    "move": _move,
}
