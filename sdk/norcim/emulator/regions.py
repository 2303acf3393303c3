"""Where descriptors read and write activation memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from norcim.spec.program import Descriptor, Function, Opcode, Port, second_extent

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """A strided (h, w, c) block of bytes in activation memory."""

    addr: int
    h: int
    w: int
    c: int
    row_stride: int
    pixel_stride: int
    channel_stride: int

    @property
    def end(self) -> int:
        """One past the last byte."""
        last = (self.h - 1) * self.row_stride + (self.w - 1) * self.pixel_stride
        return self.addr + last + (self.c - 1) * self.channel_stride + 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c)"""
        return self.h, self.w, self.c

    @property
    def is_dense(self) -> bool:
        """Whether the bytes are contiguous in (h, w, c) order."""
        dense = self.channel_stride == 1 or self.c == 1
        dense &= self.pixel_stride == self.c or self.w == 1
        return dense and (self.row_stride == self.w * self.c or self.h == 1)

    def overlaps(self, other: Region) -> bool:
        """Whether the spans of the two regions share an address (conservative)."""
        return self.addr < other.end and other.addr < self.end

    def view(self, memory: Bytes) -> Bytes:
        """The region of a memory (n, n_bytes) as (n, h, w, c), without a copy."""
        strides = (memory.strides[0], self.row_stride, self.pixel_stride, self.channel_stride)
        return as_strided(memory[:, self.addr :], (len(memory), *self.shape), strides)


def input_signs(d: Descriptor) -> tuple[int, int, int]:
    """Whether the codes of each input are int8; the bytes of a state always are."""
    return d.in_signed, d.in2_signed, 1


def input_regions(d: Descriptor) -> tuple[Region, ...]:
    """What a descriptor reads: its inputs in order."""
    if d.opcode == Opcode.END:
        return ()
    first = Region(
        d.in_addr, d.in_h, d.in_w, d.in_c, d.in_row_stride, d.in_pixel_stride, d.in_channel_stride
    )
    sizes = second_extent(d)
    if sizes is None:
        return (first,)
    second = Region(d.in2_addr, *sizes, d.in2_row_stride, d.in2_pixel_stride, 1)
    if d.opcode == Opcode.FIRMWARE and d.function == Function.UPDATE:
        return first, second, Region(d.argument, 2, 1, d.in_c, d.in_c, d.in_c, 1)
    return first, second


def output_region(d: Descriptor) -> Region:
    """What a descriptor writes."""
    return Region(
        d.out_addr,
        d.out_h,
        d.out_w,
        d.out_c,
        d.out_row_stride,
        d.out_pixel_stride,
        d.out_channel_stride,
    )


def port_region(port: Port) -> Region:
    """Where an input or output of the network lies."""
    return Region(port.addr, port.h, port.w, port.c, port.row_stride, port.pixel_stride, 1)
