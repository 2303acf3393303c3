"""ImageContent to bytes."""

from __future__ import annotations

import hashlib
import re
import zlib

from norcim.errors import NorcimError
from norcim.image.check import check_program
from norcim.image.meta import encode_meta
from norcim.image.model import ImageContent
from norcim.image.records import encode_records
from norcim.image.signature import sign_digest
from norcim.spec.image_format import (
    CHIP_HASH,
    CHIP_NAME,
    FLAG_SIGNED,
    HEADER_BYTES,
    HEADER_CRC,
    HEADER_WORDS,
    MAGIC,
    MAX_IMAGE_BYTES,
    SECTION_ENTRY_WORDS,
    SECTION_TABLE_OFFSET,
    SHA256,
    SIGNATURE,
    UNHASHED_END,
    UNHASHED_FIRST,
    ByteField,
    ImageHeader,
    SectionEntry,
    SectionKind,
    align_up,
)
from norcim.spec.program import (
    ABI_LEVEL,
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    PORT_WORDS,
    TILE_WORDS,
)
from norcim.spec.record import pack_record


def build_image(content: ImageContent, *, sign_key: bytes | None = None) -> bytes:
    """The weight image of `content`: the same bytes for the same content and key.

    sign_key  raw 32-byte Ed25519 private key; needs the extra `sign`
    Raises NC-E05xx if the program is not legal (see `check_program`) or does not fit the format.
    """
    check_program(content)
    sections = _encode_sections(content)
    table, offset = b"", HEADER_BYTES
    for kind, data in sections.items():
        entry = SectionEntry(kind, offset, len(data), zlib.crc32(data))
        table += pack_record(entry, SECTION_ENTRY_WORDS)
        offset += align_up(len(data))
    if offset > MAX_IMAGE_BYTES:
        raise NorcimError(
            "NC-E0518", "the image is over a limit of the format",
            expected=f"at most {MAX_IMAGE_BYTES:,} bytes", got=f"{offset:,}",
            fix="compile a smaller model",
        )  # fmt: skip
    image = bytearray(offset)
    _fill_header(image, content, signed=sign_key is not None)
    image[SECTION_TABLE_OFFSET:HEADER_BYTES] = table
    offset = HEADER_BYTES
    for data in sections.values():
        image[offset : offset + len(data)] = data
        offset += align_up(len(data))
    _seal(image, sign_key)
    return bytes(image)


def hash_image(image: bytes | bytearray) -> bytes:
    """SHA-256 of an image with header CRC, SHA-256 and signature read as zeros."""
    digest = hashlib.sha256(image[:UNHASHED_FIRST])
    digest.update(bytes(UNHASHED_END - UNHASHED_FIRST))
    digest.update(memoryview(image)[UNHASHED_END:])
    return digest.digest()


def header_crc(header: bytes | bytearray) -> int:
    """CRC-32 of header and section table with the CRC's own bytes read as zeros."""
    crc = zlib.crc32(bytes(HEADER_CRC.n_bytes), zlib.crc32(header[: HEADER_CRC.offset]))
    return zlib.crc32(header[HEADER_CRC.end :], crc)


def _encode_sections(content: ImageContent) -> dict[SectionKind, bytes]:
    """The bytes of every section, in the order in which they are stored."""
    return {
        SectionKind.PROGRAM: encode_records(content.program, DESCRIPTOR_WORDS),
        SectionKind.TILES: encode_records(content.tiles, TILE_WORDS),
        SectionKind.COLUMNS: encode_records(content.columns, COLUMN_WORDS),
        SectionKind.PORTS: encode_records(content.ports, PORT_WORDS),
        SectionKind.WEIGHTS: content.weights,
        SectionKind.VECTOR_WEIGHTS: content.vector_weights,
        SectionKind.TABLES: content.tables,
        SectionKind.KAT_INPUT: content.kat_input,
        SectionKind.KAT_OUTPUT: content.kat_output,
        SectionKind.META: encode_meta(content.meta),
    }


def _put(image: bytearray, place: ByteField, data: bytes) -> None:
    image[place.offset : place.end] = data.ljust(place.n_bytes, b"\0")


def _fill_header(image: bytearray, content: ImageContent, *, signed: bool) -> None:
    if not re.fullmatch(r"[!-~]{1,32}", content.chip):
        raise NorcimError(
            "NC-E0530", "the chip's name cannot be stored", expected="1..32 ASCII characters",
            got=repr(content.chip), fix="rename the chip in its chip file",
        )  # fmt: skip
    if not re.fullmatch(r"[0-9a-f]{64}", content.chip_hash):
        raise NorcimError(
            "NC-E0530", "the chip's hash cannot be stored", expected="64 lower-case hex digits",
            got=repr(content.chip_hash), fix="take it from `Chip.fingerprint`",
        )  # fmt: skip
    header = ImageHeader(
        magic=MAGIC,
        abi_level=ABI_LEVEL,
        flags=FLAG_SIGNED if signed else 0,
        header_bytes=HEADER_BYTES,
        total_bytes=len(image),
        n_sections=len(SectionKind),
        activation_bytes=content.activation_bytes,
    )
    image[: 4 * HEADER_WORDS] = pack_record(header, HEADER_WORDS)
    _put(image, CHIP_NAME, content.chip.encode("ascii"))
    _put(image, CHIP_HASH, bytes.fromhex(content.chip_hash))


def _seal(image: bytearray, sign_key: bytes | None) -> None:
    """Fill in hash, signature and header CRC, in that order: each covers what is before it."""
    digest = hash_image(image)
    _put(image, SHA256, digest)
    if sign_key is not None:
        _put(image, SIGNATURE, sign_digest(digest, sign_key))
    crc = header_crc(image[:HEADER_BYTES])
    _put(image, HEADER_CRC, crc.to_bytes(HEADER_CRC.n_bytes, "little"))
