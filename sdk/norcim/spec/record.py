"""Fixed-size little-endian records, defined once as dataclass fields with a bit position each.

A record class is a frozen dataclass whose fields are made with `bits`. The same definition packs
and unpacks in Python, renders the C header and the reference page, and is read by the gateware.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

from norcim.errors import NorcimError


@dataclass(frozen=True)
class BitField:
    """Where one field of a record sits: `width` bits from bit `lsb` of 32-bit word `word`."""

    name: str
    word: int
    lsb: int
    width: int
    signed: bool
    doc: str

    @property
    def lo(self) -> int:
        """Smallest value that fits."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest value that fits."""
        return (1 << (self.width - self.signed)) - 1


def bits(word: int, lsb: int, width: int, doc: str, *, signed: bool = False) -> Any:
    """A dataclass field with default 0 that occupies `width` bits of word `word` from bit `lsb`."""
    return field(default=0, metadata={"bits": (word, lsb, width, signed, doc)})


def bit_fields(record: type) -> tuple[BitField, ...]:
    """The bit fields of a record class in order of position."""
    return _bit_fields(record)


@cache
def _bit_fields(record: Any) -> tuple[BitField, ...]:
    found = []
    for item in fields(record):
        word, lsb, width, signed, doc = item.metadata["bits"]
        found.append(BitField(item.name, word, lsb, width, signed, doc))
    return tuple(sorted(found, key=lambda f: (f.word, f.lsb)))


def owned_bits(record: type) -> tuple[int, ...]:
    """Of each word up to the last that has a field, the bits that fields own."""
    masks = [0] * (1 + max(item.word for item in bit_fields(record)))
    for item in bit_fields(record):
        masks[item.word] |= ((1 << item.width) - 1) << item.lsb
    return tuple(masks)


def pack_record(record: Any, n_words: int) -> bytes:
    """Pack a record into `n_words` little-endian words; bits that no field owns are 0.

    Raises NC-E0501 if a value does not fit its field.
    """
    words = [0] * n_words
    for item in bit_fields(type(record)):
        value = int(getattr(record, item.name))
        if not item.lo <= value <= item.hi:
            raise NorcimError(
                "NC-E0501",
                f"{type(record).__name__}.{item.name} does not fit its field",
                expected=f"{item.lo}..{item.hi}",
                got=str(value),
                fix="make the layer smaller, or report this as a bug of the compiler",
            )
        words[item.word] |= (value & ((1 << item.width) - 1)) << item.lsb
    return struct.pack(f"<{n_words}I", *words)


R = TypeVar("R")


def unpack_record(record: type[R], data: bytes, where: str = "") -> R:
    """Unpack a record. Raises NC-E0502 if a bit that no field owns is set."""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    owned = [0] * len(words)
    values: dict[str, int] = {}
    for item in bit_fields(record):
        mask = (1 << item.width) - 1
        owned[item.word] |= mask << item.lsb
        value = (words[item.word] >> item.lsb) & mask
        values[item.name] = value - (1 << item.width) if value > item.hi else value
    for index, (word, mask) in enumerate(zip(words, owned, strict=True)):
        if word & ~mask:
            raise NorcimError(
                "NC-E0502",
                f"reserved bits are set in word {index} of a {record.__name__}",
                where=where,
                expected="0",
                got=f"{word & ~mask:#010x}",
                why="reserved bits are kept for later ABI levels",
                fix="compile the model again with this version of norcim",
            )
    return record(**values)
