"""The weight image: a verified container of ten sections.

    header        HEADER_WORDS words, then the byte fields of BYTE_FIELDS
    section table one SectionEntry for each SectionKind, in order of kind
    sections      each at the next multiple of 4 after the one before, zeros between

Every section carries its exact length; the zeros that pad it to a multiple of 4 belong to no
section. The SHA-256 covers the whole file with bytes UNHASHED_FIRST..UNHASHED_END - 1 (header
CRC, SHA-256 and signature) read as zeros. The header CRC-32 covers header and section table with
its own four bytes read as zeros. An Ed25519 signature signs SIGNATURE_DOMAIN + SHA-256.
Nothing in an image depends on when or where it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from norcim.spec.record import bits

MAGIC = 0x4D49434E
"""The bytes `NCIM`, read as a little-endian word."""

HEADER_WORDS = 7
SECTION_ENTRY_WORDS = 4
ALIGNMENT = 4  #: of every section, bytes

MAX_HEADER_BYTES = 64 * 1024
MAX_IMAGE_BYTES = 64 * 1024 * 1024
MAX_ACTIVATION_BYTES = 64 * 1024 * 1024
MAX_META_BYTES = 1024 * 1024
MAX_META_DEPTH = 16
MAX_DESCRIPTORS = 4096
MAX_TILES = 65536
MAX_COLUMNS = 262144
MAX_PORTS = 64
MAX_TABLES = 4096
MAX_TAPS = 1 << 26  #: positions x window x channels that one descriptor fetches
MAX_PADDED = 1 << 24  #: positions x channels of an input with the padding that windows reach

FLAG_SIGNED = 1
"""Header flag: the signature field holds an Ed25519 signature (else zeros)."""

SIGNATURE_DOMAIN = b"norcim image 1\0\0"
"""What a signed digest is prefixed with, so that it can be mistaken for nothing else."""


class SectionKind(IntEnum):
    """What a section holds."""

    PROGRAM = 1  #: Descriptor records, DESCRIPTOR_WORDS words each
    TILES = 2  #: Tile records
    COLUMNS = 3  #: Column records
    PORTS = 4  #: Port records, network by network, inputs first
    WEIGHTS = 5  #: int8 cells, addressed by Tile.cells
    VECTOR_WEIGHTS = 6  #: int8 weights of the vector path
    TABLES = 7  #: lookup tables, TABLE_BYTES each
    KAT_INPUT = 8  #: known-answer test: bytes of all input ports, vector by vector; may be empty
    KAT_OUTPUT = 9  #: the bytes of all output ports that each network must give for them
    META = 10  #: JSON object: sorted keys, no white space, no NaN, UTF-8


@dataclass(frozen=True)
class ImageHeader:
    """The first 7 words of an image."""

    magic: int = bits(0, 0, 32, "MAGIC")
    abi_level: int = bits(1, 0, 32, "ABI_LEVEL of the program and of this format")
    flags: int = bits(2, 0, 32, "FLAG_SIGNED or 0")
    header_bytes: int = bits(3, 0, 32, "header and section table")
    total_bytes: int = bits(4, 0, 32, "the whole image")
    n_sections: int = bits(5, 0, 32, "entries of the section table: one of each SectionKind")
    activation_bytes: int = bits(6, 0, 32, "activation memory that the program needs")


@dataclass(frozen=True)
class SectionEntry:
    """One entry of the section table, 4 words."""

    kind: int = bits(0, 0, 32, "SectionKind")
    offset: int = bits(1, 0, 32, "first byte, from the start of the image; a multiple of 4")
    length: int = bits(2, 0, 32, "bytes, exact, without padding")
    crc32: int = bits(3, 0, 32, "CRC-32 (IEEE 802.3, as zlib) of those bytes")


@dataclass(frozen=True)
class ByteField:
    """A byte string at a fixed place in the header."""

    name: str
    offset: int
    n_bytes: int
    doc: str

    @property
    def end(self) -> int:
        """Offset of the byte after the field."""
        return self.offset + self.n_bytes


CHIP_NAME = ByteField("chip_name", 28, 32, "name of the chip file, ASCII, padded with zeros")
CHIP_HASH = ByteField("chip_hash", 60, 32, "SHA-256 of the chip file's values")
HEADER_CRC = ByteField("header_crc", 92, 4, "CRC-32 of header and section table, little-endian")
SHA256 = ByteField("sha256", 96, 32, "SHA-256 of the image")
SIGNATURE = ByteField("signature", 128, 64, "Ed25519 signature; zeros when FLAG_SIGNED is clear")
BYTE_FIELDS = (CHIP_NAME, CHIP_HASH, HEADER_CRC, SHA256, SIGNATURE)

UNHASHED_FIRST = HEADER_CRC.offset  #: first byte that the SHA-256 reads as zero
UNHASHED_END = SIGNATURE.end  #: first byte after those
SECTION_TABLE_OFFSET = SIGNATURE.end  #: where the section table begins
HEADER_BYTES = SECTION_TABLE_OFFSET + 4 * SECTION_ENTRY_WORDS * len(SectionKind)
"""Bytes of header and section table at this ABI level."""


def align_up(n_bytes: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT
