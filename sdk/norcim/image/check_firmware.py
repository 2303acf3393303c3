"""The semantic check of firmware steps."""

from __future__ import annotations

from norcim.image.faults import refuse, require_range
from norcim.image.model import ImageContent
from norcim.spec.program import TABLE_BYTES, Descriptor, Function

ARGMAX_CHANNELS = 256


def check_function(content: ImageContent, d: Descriptor, where: str) -> None:
    """Refuse a firmware step whose sizes, tables or zero points are not legal."""
    require_range("NC-E0541", where, "function", d.function, 0, max(Function))
    if d.function == Function.SOFTMAX:
        _check_softmax(content, d, where)
    elif d.function == Function.ARGMAX:
        _check_extent(d, where, (d.in_h, d.in_w, 1))
        require_range("NC-E0542", where, "in_c", d.in_c, 1, ARGMAX_CHANNELS)
        if d.out_signed:
            refuse("NC-E0551", where, "an index is not signed", 0, 1)
    else:
        _check_extent(d, where, (2, 1, d.in_c))
        if (d.in_h, d.in_w) != (2, 1):
            refuse("NC-E0542", where, "the gates are two rows", (2, 1), (d.in_h, d.in_w))
        if not d.out_signed or d.use_table:
            refuse("NC-E0551", where, "a state is signed and has no table", 1, d.out_signed)


def _check_softmax(content: ImageContent, d: Descriptor, where: str) -> None:
    _check_extent(d, where, (d.in_h, d.in_w, d.in_c))
    n_tables = len(content.tables) // TABLE_BYTES
    require_range("NC-E0546", where, "argument + 1", d.argument + 1, 1, n_tables - 1)
    first = d.argument * TABLE_BYTES
    if content.tables[first : first + 2] == b"\0\0":
        refuse("NC-E0546", where, "the softmax table begins with 0", "at least 1", 0)
    lo, hi = (-128, 127) if d.out_signed else (0, 255)
    require_range("NC-E0551", where, "out_zp", d.out_zp, lo, hi)


def _check_extent(d: Descriptor, where: str, expected: tuple[int, int, int]) -> None:
    extent = (d.out_h, d.out_w, d.out_c)
    if extent != expected:
        refuse("NC-E0542", where, "the output has another size", expected, extent)
