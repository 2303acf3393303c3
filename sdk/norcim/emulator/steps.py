"""From a program to steps: which earlier step each input comes from, and what must reach memory.

Activations live in float32 arrays while a consumer reads exactly what one producer wrote. A read
that matches no single write goes through byte memory, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from norcim.emulator.regions import (
    Region,
    input_regions,
    input_signs,
    output_region,
    port_region,
)
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Opcode

FAST_OPCODES = frozenset(
    {
        Opcode.MVM,
        Opcode.DWCONV,
        Opcode.ADD,
        Opcode.MAXPOOL,
        Opcode.AVGPOOL,
        Opcode.TABLE,
        Opcode.FIRMWARE,
    }
)


@dataclass(frozen=True)
class Border:
    """Padding kept around an array, in positions, and the code that fills it."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    code: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is no padding at all."""
        return not (self.top or self.left or self.bottom or self.right)


NO_BORDER = Border()


@dataclass(frozen=True)
class Step:
    """One descriptor, or the arrival of one input (`d` is None).

    sources  for each input, the index of the step whose array it reads, None for byte memory
    flush    whether the output must also be written to byte memory
    border   padding that the output array carries for its consumer
    """

    d: Descriptor | None
    out: Region
    signed: bool
    sources: tuple[int | None, ...]
    flush: bool
    border: Border


def swap_axes(d: Descriptor) -> Descriptor:
    """The same step with y and x exchanged (the order of im2col inputs is not touched)."""
    return replace(
        d,
        in_h=d.in_w, in_w=d.in_h, in_row_stride=d.in_pixel_stride,
        in_pixel_stride=d.in_row_stride, in2_row_stride=d.in2_pixel_stride,
        in2_pixel_stride=d.in2_row_stride, out_h=d.out_w, out_w=d.out_h,
        out_row_stride=d.out_pixel_stride, out_pixel_stride=d.out_row_stride,
        kernel_h=d.kernel_w, kernel_w=d.kernel_h, stride_h=d.stride_w, stride_w=d.stride_h,
        dilation_h=d.dilation_w, dilation_w=d.dilation_h, pad_top=d.pad_left, pad_left=d.pad_top,
    )  # fmt: skip


def swap_region(region: Region) -> Region:
    """The same bytes with y and x exchanged."""
    return replace(
        region,
        h=region.w, w=region.h,
        row_stride=region.pixel_stride, pixel_stride=region.row_stride,
    )  # fmt: skip


def needs_border(d: Descriptor) -> Border:
    """The padding that a windowed step reads around its first input."""
    bottom = (d.out_h - 1) * d.stride_h + (d.kernel_h - 1) * d.dilation_h + 1 - d.pad_top - d.in_h
    right = (d.out_w - 1) * d.stride_w + (d.kernel_w - 1) * d.dilation_w + 1 - d.pad_left - d.in_w
    code = d.pad_value - 256 if d.in_signed and d.pad_value > 127 else d.pad_value
    sides = (max(d.pad_top, 0), max(d.pad_left, 0), max(bottom, 0), max(right, 0))
    return Border(*sides, code=code if any(sides) else 0)


def is_tall(content: ImageContent) -> bool:
    """Whether most activations are higher than wide, so that swapping gives longer inner loops."""
    sizes = [(d.out_h, d.out_w, d.out_c) for d in content.program if d.opcode != Opcode.END]
    return sum(h * w * c * (1 if h > w else -1) for h, w, c in sizes if h != w) > 0


def _same_bytes(written: Region, read: Region) -> bool:
    """Whether the read region is the written one, in place or as a dense reshape."""
    if written == read:
        return True
    size = written.h * written.w * written.c
    dense = written.is_dense and read.is_dense and written.addr == read.addr
    return dense and size == read.h * read.w * read.c


def _source(region: Region, signed: bool, writes: list[tuple[Region, bool]]) -> int | None:
    """The step that wrote all of `region` last, if exactly one did and the codes mean the same."""
    for index in range(len(writes) - 1, -1, -1):
        written, written_signed = writes[index]
        if written.overlaps(region):
            return index if _same_bytes(written, region) and written_signed == signed else None
    return None


def plan_steps(
    content: ImageContent, is_fast: Callable[[Descriptor], bool]
) -> tuple[tuple[Step, ...], tuple[int | None, ...], bool]:
    """Resolve a program.

    is_fast  whether a kernel runs a descriptor; else it reads and writes byte memory

    Returns the steps (one per input port, then one per descriptor up to END), for each output
    port the step whose array holds it (None: byte memory), and whether y and x are exchanged in
    every step.
    """
    ports_in = [p for p in content.ports if not p.is_output]
    program = [d for d in content.program if d.opcode != Opcode.END]
    writes = [(port_region(p), bool(p.signed)) for p in ports_in]
    sources: list[tuple[int | None, ...]] = [() for _ in ports_in]
    flush: set[int] = set()

    def resolve(region: Region, signed: bool, fast: bool) -> int | None:
        found = _source(region, signed, writes) if fast else None
        if found is None:
            flush.update(i for i, (written, _) in enumerate(writes) if written.overlaps(region))
        return found

    for d in program:
        fast = is_fast(d)
        reads = zip(input_regions(d), input_signs(d), strict=False)
        sources.append(tuple(resolve(region, bool(s), fast) for region, s in reads))
        writes.append((output_region(d), bool(d.out_signed)))
    outputs = tuple(
        resolve(port_region(p), bool(p.signed), True) for p in content.ports if p.is_output
    )
    tall = is_tall(content)
    borders = _borders(program, sources, len(ports_in), tall)
    steps = []
    for index, (region, signed) in enumerate(writes):
        d_index = index - len(ports_in)
        plain = program[d_index] if d_index >= 0 else None
        step = swap_axes(plain) if plain is not None and tall else plain
        out = swap_region(region) if tall else region
        steps.append(
            Step(step, out, signed, sources[index], index in flush, borders.get(index, NO_BORDER))
        )
    return tuple(steps), outputs, tall


def _borders(
    program: list[Descriptor], sources: list[tuple[int | None, ...]], n_ports: int, tall: bool
) -> dict[int, Border]:
    """Give a producer the border of its only reader, so that padding costs no copy."""
    readers: dict[int, list[Descriptor]] = {}
    for d, read in zip(program, sources[n_ports:], strict=True):
        for source in read:
            if source is not None:
                readers.setdefault(source, []).append(swap_axes(d) if tall else d)
    borders = {}
    for source, found in readers.items():
        d = found[0]
        windowed = d.opcode in (Opcode.MVM, Opcode.DWCONV)
        in_place = source < n_ports or program[source - n_ports].opcode in FAST_OPCODES
        if len(found) == 1 and windowed and in_place and not needs_border(d).empty:
            borders[source] = needs_border(d)
    return borders
