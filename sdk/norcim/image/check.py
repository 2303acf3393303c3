"""The semantic check: what a program may do, whoever wrote it.

After it, a machine that executes the descriptors as documented reads and writes only inside its
memories, meets no unknown number, and never overflows a 32-bit sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from norcim.image.check_firmware import check_function
from norcim.image.check_mvm import check_columns, check_mvm, check_records
from norcim.image.faults import refuse, require_range
from norcim.image.model import ImageContent
from norcim.image.needs import port_bytes
from norcim.image.networks import first_descriptors
from norcim.spec.image_format import MAX_ACTIVATION_BYTES, MAX_PADDED, MAX_TABLES, MAX_TAPS
from norcim.spec.program import TABLE_BYTES, Descriptor, Function, Opcode, second_extent

SHIFT_MAX = 47


def check_program(content: ImageContent) -> None:
    """Refuse a program that is not legal, with the number of the descriptor.

    Raises NC-E0540 (opcode, END), 0541 (enum), 0542 (geometry), 0543 (memory), 0544 (tile), 0545
    (column), 0546 (table), 0547 (weights), 0548 (port), 0549 (known-answer test), 0550 (32-bit
    sum), 0551 (clamp, zero point, shift).
    """
    require_range(
        "NC-E0543", "header", "activation_bytes", content.activation_bytes, 0, MAX_ACTIVATION_BYTES
    )
    n_tables, rest = divmod(len(content.tables), TABLE_BYTES)
    if rest or n_tables > MAX_TABLES:
        limit = f"a multiple of {TABLE_BYTES}, at most {MAX_TABLES * TABLE_BYTES:,}"
        got = len(content.tables)
        refuse("NC-E0546", "section TABLES", "the tables' length is wrong", limit, got)
    _check_end(content)
    check_records(content)
    for index, descriptor in enumerate(content.program):
        if descriptor.opcode != Opcode.END:
            _check_descriptor(content, descriptor, index)
    _check_ports(content)
    _check_known_answer(content)


def _check_end(content: ImageContent) -> None:
    """END comes last in each network's program and nowhere else."""
    program = content.program
    if not program:
        refuse("NC-E0540", "section PROGRAM", "the program is empty", "END as the last descriptor")
    ends = {first - 1 for first in first_descriptors(content.ports)[1:]} | {len(program) - 1}
    for index, descriptor in enumerate(program):
        if (descriptor.opcode == Opcode.END) != (index in ends):
            refuse(
                "NC-E0540", f"descriptor {index}", "END is the last descriptor of a network and no "
                "other", got=f"opcode {descriptor.opcode} at {index} of {len(program)}",
            )  # fmt: skip


def _check_descriptor(content: ImageContent, d: Descriptor, index: int) -> None:
    if d.opcode not in _CHECKS:
        refuse("NC-E0540", f"descriptor {index}", "unknown opcode", "0..9", d.opcode)
    where = f"descriptor {index} ({Opcode(d.opcode).name})"
    _check_sizes(content, d, where)
    _check_accesses(content, d, where)
    _CHECKS[d.opcode](content, d, where)
    _check_apart(d, where)


def _check_sizes(content: ImageContent, d: Descriptor, where: str) -> None:
    for name in ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c"):
        if getattr(d, name) < 1:
            refuse("NC-E0542", where, f"{name} is 0", "at least 1")
    if d.in_h * d.in_w * d.in_c > content.activation_bytes:  # strides of 0 would allow it
        limit = f"at most {content.activation_bytes}"
        refuse("NC-E0543", where, "the input is larger than the memory", limit)
    if d.opcode not in (Opcode.MVM, Opcode.FIRMWARE) and d.in_c != d.out_c:
        refuse("NC-E0542", where, "input and output channels differ", d.in_c, d.out_c)
    for name in ("in_channel_stride", "out_channel_stride"):
        if d.opcode != Opcode.COPY and getattr(d, name) != 1:
            refuse("NC-E0542", where, f"{name} is not 1", 1, getattr(d, name))


def _check_box(
    content: ImageContent,
    where: str,
    name: str,
    addr: int,
    extent: tuple[int, int, int],
    strides: tuple[int, int, int],
) -> None:
    """Refuse a box of bytes whose far corner lies outside the activation memory."""
    end = _span(addr, extent, strides).stop
    if end > content.activation_bytes:
        limit = f"bytes 0..{content.activation_bytes - 1}"
        got = f"{addr}..{end - 1}"
        refuse("NC-E0543", where, f"{name} leaves the activation memory", limit, got)


def _span(addr: int, extent: tuple[int, int, int], strides: tuple[int, int, int]) -> range:
    last = addr + sum((n - 1) * stride for n, stride in zip(extent, strides, strict=True))
    return range(addr, last + 1)


def _check_apart(d: Descriptor, where: str) -> None:
    """Refuse an output within its own input: hardware writes while it still reads."""
    extent = (d.in_h, d.in_w, d.in_c)
    strides = (d.in_row_stride, d.in_pixel_stride, d.in_channel_stride)
    sources = [_span(d.in_addr, extent, strides)]
    second = second_extent(d)
    if second is not None:
        sources.append(_span(d.in2_addr, second, (d.in2_row_stride, d.in2_pixel_stride, 1)))
    if _has_state(d):
        sources.append(_span(d.argument, (2, 1, d.in_c), (d.in_c, d.in_c, 1)))
    target = _span(
        d.out_addr, (d.out_h, d.out_w, d.out_c),
        (d.out_row_stride, d.out_pixel_stride, d.out_channel_stride),
    )  # fmt: skip
    for source in sources:
        if source.start < target.stop and target.start < source.stop:
            inside = f"outside bytes {source.start}..{source.stop - 1}"
            got = f"{target.start}..{target.stop - 1}"
            refuse("NC-E0543", where, "the output overlaps an input", inside, got)


def _check_distinct(
    where: str, name: str, extent: tuple[int, int, int], strides: tuple[int, int, int]
) -> None:
    """Refuse a box in which two positions share a byte.

    Sorted by stride, each step has to clear all that smaller steps reach. This also bounds the
    number of outputs by the size of the memory.
    """
    reach = 1
    for stride, n in sorted((s, n) for s, n in zip(strides, extent, strict=True) if n > 1):
        if stride < reach:
            limit = f"a stride of at least {reach}"
            refuse("NC-E0543", where, f"{name} overlaps itself", limit, stride)
        reach += (n - 1) * stride


def _has_state(d: Descriptor) -> bool:
    return d.opcode == Opcode.FIRMWARE and d.function == Function.UPDATE


def _check_accesses(content: ImageContent, d: Descriptor, where: str) -> None:
    in_extent = (d.in_h, d.in_w, d.in_c)
    in_strides = (d.in_row_stride, d.in_pixel_stride, d.in_channel_stride)
    _check_box(content, where, "the input", d.in_addr, in_extent, in_strides)
    second = second_extent(d)
    if second is not None:
        in2_strides = (d.in2_row_stride, d.in2_pixel_stride, 1)
        _check_box(content, where, "the second input", d.in2_addr, second, in2_strides)
    if _has_state(d):
        strides = (d.in_c, d.in_c, 1)
        _check_box(content, where, "the old state", d.argument, (2, 1, d.in_c), strides)
    out_extent = (d.out_h, d.out_w, d.out_c)
    out_strides = (d.out_row_stride, d.out_pixel_stride, d.out_channel_stride)
    _check_box(content, where, "the output", d.out_addr, out_extent, out_strides)
    _check_distinct(where, "the output", out_extent, out_strides)


def _check_window(d: Descriptor, where: str) -> None:
    for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w"):
        if getattr(d, name) < 1:
            refuse("NC-E0542", where, f"{name} is 0", "at least 1")
    n_taps = d.out_h * d.out_w * d.kernel_h * d.kernel_w * d.in_c
    require_range("NC-E0542", where, "the number of taps", n_taps, 1, MAX_TAPS)
    _check_reach(d, where)


def _check_reach(d: Descriptor, where: str) -> None:
    """Bound how far windows reach outside the input: a machine may keep padding in memory."""
    height = _reach(d.in_h, d.out_h, d.kernel_h, d.stride_h, d.dilation_h, d.pad_top)
    width = _reach(d.in_w, d.out_w, d.kernel_w, d.stride_w, d.dilation_w, d.pad_left)
    n_padded = height * width * d.in_c
    require_range("NC-E0542", where, "the padded input", n_padded, 1, MAX_PADDED)


def _reach(n_in: int, n_out: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Positions from the first to the last that windows or the input cover along one axis."""
    end = (n_out - 1) * stride + (kernel - 1) * dilation + 1 - pad
    return max(end, n_in) + max(pad, 0)


def _check_same_extent(d: Descriptor, where: str) -> None:
    extent, expected = (d.in_h, d.in_w), (d.out_h, d.out_w)
    if extent != expected:
        refuse("NC-E0542", where, "input and output sizes differ", expected, extent)


def _check_result(content: ImageContent, d: Descriptor, where: str) -> None:
    """Zero points, clamp and table of an opcode that computes codes."""
    require_range("NC-E0551", where, "in_zp", d.in_zp, -128, 255)
    require_range("NC-E0551", where, "in2_zp", d.in2_zp, -128, 255)
    lo, hi = (-128, 127) if d.out_signed else (0, 255)
    if d.use_table:  # the clamped code is the index, so it may be of either kind
        lo, hi = (-128, 127) if d.clamp_lo < 0 else (0, 255)
        _check_table(content, d, where)
    require_range("NC-E0551", where, "clamp_lo", d.clamp_lo, lo, hi)
    require_range("NC-E0551", where, "clamp_hi", d.clamp_hi, d.clamp_lo, hi)


def _check_table(content: ImageContent, d: Descriptor, where: str) -> None:
    n_tables = len(content.tables) // TABLE_BYTES
    require_range("NC-E0546", where, "table", d.table, 0, n_tables - 1)


def _check_matrix(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_window(d, where)
    _check_result(content, d, where)
    check_mvm(content, d, where)


def _check_depthwise(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_window(d, where)
    _check_result(content, d, where)
    n_taps = d.kernel_h * d.kernel_w
    end = d.weight_base + n_taps * d.out_c
    if end > len(content.vector_weights):
        limit = f"bytes 0..{len(content.vector_weights) - 1}"
        refuse("NC-E0547", where, "the weights leave their section", limit, end - 1)
    check_columns(content, d.column_base, d.out_c, n_taps * 383 * 128, where)


def _check_elementwise(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_same_extent(d, where)
    _check_result(content, d, where)
    require_range("NC-E0551", where, "shift", d.shift, 1, SHIFT_MAX)


def _check_max_pool(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_window(d, where)
    _check_result(content, d, where)


def _check_average_pool(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_window(d, where)
    _check_result(content, d, where)
    rows = _fewest_inside(d.in_h, d.out_h, d.kernel_h, d.stride_h, d.dilation_h, d.pad_top)
    columns = _fewest_inside(d.in_w, d.out_w, d.kernel_w, d.stride_w, d.dilation_w, d.pad_left)
    n_taps = d.kernel_h * d.kernel_w
    check_columns(content, d.column_base, n_taps - rows * columns + 1, n_taps * 383, where)


def _fewest_inside(n_in: int, n_out: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Fewest taps of any window that lie inside the input along one axis."""
    start = np.arange(n_out, dtype=np.int64) * stride - pad
    first = np.maximum(0, -(start // dilation))
    last = np.minimum(kernel - 1, (n_in - 1 - start) // dilation)
    return int(np.maximum(0, last - first + 1).min())


def _check_lookup(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_same_extent(d, where)
    if not d.use_table:
        refuse("NC-E0546", where, "a table lookup without use_table", 1, 0)
    _check_table(content, d, where)


def _check_copy(content: ImageContent, d: Descriptor, where: str) -> None:
    if (d.kernel_h, d.kernel_w) != (1, 1):
        refuse("NC-E0542", where, "a copy has one tap", (1, 1), (d.kernel_h, d.kernel_w))
    _check_reach(d, where)
    if d.use_table:
        _check_table(content, d, where)


def _check_firmware(content: ImageContent, d: Descriptor, where: str) -> None:
    check_function(content, d, where)
    _check_result(content, d, where)
    if d.function == Function.UPDATE:
        require_range("NC-E0551", where, "shift", d.shift, 1, SHIFT_MAX)


_CHECKS: dict[int, Callable[[ImageContent, Descriptor, str], None]] = {
    Opcode.MVM: _check_matrix,
    Opcode.DWCONV: _check_depthwise,
    Opcode.ADD: _check_elementwise,
    Opcode.MUL: _check_elementwise,
    Opcode.MAXPOOL: _check_max_pool,
    Opcode.AVGPOOL: _check_average_pool,
    Opcode.TABLE: _check_lookup,
    Opcode.COPY: _check_copy,
    Opcode.FIRMWARE: _check_firmware,
}


def _check_ports(content: ImageContent) -> None:
    firsts = first_descriptors(content.ports)
    if firsts[:1] != (0,) or [port.first for port in content.ports] != sorted(
        port.first for port in content.ports
    ):
        order = "networks from descriptor 0 on, in the order of their programs"
        refuse("NC-E0548", "section PORTS", "ports are wrong", order, firsts)
    for first in firsts:
        kinds = [port.is_output for port in content.ports if port.first == first]
        if kinds != sorted(kinds) or set(kinds) != {0, 1}:
            refuse("NC-E0548", "section PORTS", "ports are wrong", "inputs, then outputs", kinds)
    for index, port in enumerate(content.ports):
        where = f"port {index}"
        extent, strides = (port.h, port.w, port.c), (port.row_stride, port.pixel_stride, 1)
        if min(extent) < 1:
            refuse("NC-E0548", where, "a size of the port is 0", "at least 1", extent)
        _check_box(content, where, "the port", port.addr, extent, strides)
        _check_distinct(where, "the port", extent, strides)
        scale = port.real_scale
        if not (math.isfinite(scale) and scale > 0):
            refuse("NC-E0548", where, "the scale is wrong", "finite and positive", scale)
        lo, hi = (-128, 127) if port.signed else (0, 255)
        require_range("NC-E0548", where, "zero_point", port.zero_point, lo, hi)


def _check_known_answer(content: ImageContent) -> None:
    """The test holds whole inputs and as many whole outputs."""
    where, counts = "section KAT_INPUT", []
    for data, is_output in ((content.kat_input, 0), (content.kat_output, 1)):
        size = sum(port_bytes(port) for port in content.ports if port.is_output == is_output)
        n_vectors, rest = divmod(len(data), size)
        if rest:
            name = ("inputs", "outputs")[is_output]
            refuse("NC-E0549", where, f"{name} are cut", f"a multiple of {size}", len(data))
        counts.append(n_vectors)
    if counts[0] != counts[1]:
        refuse("NC-E0549", where, "inputs and outputs differ in number", counts[0], counts[1])
