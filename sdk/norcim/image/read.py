"""Bytes to ImageContent, trusting nothing.

Order matters: magic, ABI level, sizes, header CRC, section table, section CRCs, SHA-256,
signature, then records, then the semantic check. Each step relies only on those before it.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import NoReturn

from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.image.build import hash_image, header_crc
from norcim.image.check import check_program
from norcim.image.meta import decode_meta
from norcim.image.model import ImageContent
from norcim.image.records import decode_records
from norcim.image.signature import verify_digest
from norcim.spec.image_format import (
    CHIP_HASH,
    CHIP_NAME,
    FLAG_SIGNED,
    HEADER_BYTES,
    HEADER_CRC,
    HEADER_WORDS,
    MAGIC,
    MAX_COLUMNS,
    MAX_DESCRIPTORS,
    MAX_IMAGE_BYTES,
    MAX_PORTS,
    MAX_TILES,
    SECTION_ENTRY_WORDS,
    SECTION_TABLE_OFFSET,
    SHA256,
    SIGNATURE,
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
    Column,
    Descriptor,
    Port,
    Tile,
)
from norcim.spec.record import unpack_record

_AGAIN = "copy or compile the image again"


@dataclass(frozen=True)
class SectionInfo:
    """Where a section lies in an image. offset and length in bytes."""

    name: str
    offset: int
    length: int
    crc32: int


def looks_like_image(data: bytes) -> bool:
    """Whether `data`, the first bytes of a file, begins like a weight image."""
    return data[:4] == MAGIC.to_bytes(4, "little")


def read_header(data: bytes) -> ImageHeader:
    """The header of an image of which at least the first HEADER_BYTES bytes are given.

    Checks magic, ABI level, sizes and header CRC, so that a device's slot can be judged before
    the rest is read. Raises NC-E0510..0514, NC-E0518.
    """
    if not looks_like_image(data):
        _refuse("NC-E0510", "this is no weight image", "it begins with NCIM", repr(data[:4])[1:])
    if len(data) < HEADER_BYTES:
        _refuse("NC-E0512", "the image ends within its header", f"{HEADER_BYTES} bytes", len(data))
    header = unpack_record(ImageHeader, data[: 4 * HEADER_WORDS], "header")
    if header.abi_level != ABI_LEVEL:
        raise NorcimError(
            "NC-E0511", "the image is of another ABI level", where="header",
            expected=str(ABI_LEVEL), got=str(header.abi_level), exit_code=EXIT_UNSUPPORTED,
            why="descriptors and their meaning differ between ABI levels",
            fix="compile the model again with this version of norcim, or install the version "
            "that made the image",
        )  # fmt: skip
    stored = int.from_bytes(_get(data, HEADER_CRC), "little")
    if header.header_bytes != HEADER_BYTES or header_crc(data[:HEADER_BYTES]) != stored:
        _refuse("NC-E0513", "the image's header is damaged", f"CRC-32 {stored:08x}")
    _check_header(data, header)
    return header


def describe_image(data: bytes) -> tuple[SectionInfo, ...]:
    """The sections of an image whose header, section table and CRCs are good."""
    entries = _read_sections(data, read_header(data))
    return tuple(
        SectionInfo(SectionKind(entry.kind).name, entry.offset, entry.length, entry.crc32)
        for entry in entries
    )


def read_image(data: bytes, *, verify_key: bytes | None = None) -> ImageContent:
    """Decode and check a weight image.

    data        the whole file
    verify_key  raw 32-byte Ed25519 public key; when given, an unsigned image is refused
    Raises NC-E05xx, whatever the bytes are; never trusts a length, an index or an enum.
    """
    header = read_header(data)
    entries = _read_sections(data, header)
    digest = hash_image(data)
    if digest != _get(data, SHA256):
        _refuse("NC-E0517", "the image's SHA-256 differs", _get(data, SHA256).hex(), digest.hex())
    if verify_key is not None:
        if not header.flags & FLAG_SIGNED:
            _refuse("NC-E0526", "the image is not signed", "a signature, because a key is set")
        verify_digest(digest, _get(data, SIGNATURE), verify_key)
    content = _decode(data, header, entries)
    check_program(content)
    return content


def _refuse(id: str, what: str, expected: str = "", got: object = "", where: str = "") -> NoReturn:
    raise NorcimError(
        id, what, where=where, expected=expected, got=str(got), fix=_AGAIN,
        exit_code=EXIT_UNSUPPORTED,
    )  # fmt: skip


def _get(data: bytes, place: ByteField) -> bytes:
    return bytes(data[place.offset : place.end])


def _check_header(data: bytes, header: ImageHeader) -> None:
    """What the CRC cannot tell: a header that was made wrong."""
    if header.flags & ~FLAG_SIGNED:
        _refuse("NC-E0514", "the header has unknown flags", "0 or 1", header.flags, "header")
    if not header.flags & FLAG_SIGNED and any(_get(data, SIGNATURE)):
        _refuse("NC-E0514", "an unsigned image has a signature", "zeros", where="header")
    if header.n_sections != len(SectionKind):
        n = len(SectionKind)
        _refuse("NC-E0514", "the number of sections is wrong", str(n), header.n_sections, "header")
    if not re.fullmatch(rb"[!-~]{1,32}\0*", _get(data, CHIP_NAME)):
        _refuse("NC-E0514", "the chip's name is not ASCII padded with zeros", where="header")
    if header.total_bytes > MAX_IMAGE_BYTES:
        limit = f"at most {MAX_IMAGE_BYTES:,} bytes"
        _refuse("NC-E0518", "the image is over a limit of the format", limit, header.total_bytes)


def _read_sections(data: bytes, header: ImageHeader) -> tuple[SectionEntry, ...]:
    """The section table, with every range, padding byte and CRC checked."""
    if len(data) < header.total_bytes:
        _refuse("NC-E0512", "the image is cut short", f"{header.total_bytes:,} bytes", len(data))
    if len(data) > header.total_bytes:
        _refuse("NC-E0522", "bytes follow the image", f"{header.total_bytes:,} bytes", len(data))
    entries, offset = [], HEADER_BYTES
    for index, kind in enumerate(SectionKind):
        first = SECTION_TABLE_OFFSET + 4 * SECTION_ENTRY_WORDS * index
        raw = data[first : first + 4 * SECTION_ENTRY_WORDS]
        entry = unpack_record(SectionEntry, raw, f"section table, entry {index}")
        offset = _check_section(data, entry, kind, offset)
        entries.append(entry)
    if offset != header.total_bytes:
        _refuse("NC-E0515", "bytes follow the last section", f"{offset:,}", header.total_bytes)
    return tuple(entries)


def _check_section(data: bytes, entry: SectionEntry, kind: SectionKind, offset: int) -> int:
    """Check one section that has to start at `offset`; returns where the next one starts."""
    where = f"section {kind.name}"
    if entry.kind != kind:
        _refuse("NC-E0515", "another kind of section is due", str(int(kind)), entry.kind, where)
    if entry.offset != offset:
        what = "sections leave a hole or overlap"
        _refuse("NC-E0515", what, f"offset {offset}", entry.offset, where)
    end = offset + entry.length
    if align_up(end) > len(data):
        _refuse("NC-E0515", "the section ends after the image", f"<= {len(data):,}", end, where)
    crc = zlib.crc32(memoryview(data)[offset:end])
    if crc != entry.crc32:
        _refuse("NC-E0516", f"{where} is damaged", f"CRC-32 {entry.crc32:08x}", f"{crc:08x}", where)
    if any(data[end : align_up(end)]):
        _refuse("NC-E0519", "the padding after a section is not zero", where=where)
    return align_up(end)


def _decode(data: bytes, header: ImageHeader, entries: tuple[SectionEntry, ...]) -> ImageContent:
    raw = {e.kind: bytes(data[e.offset : e.offset + e.length]) for e in entries}
    kind = SectionKind
    return ImageContent(
        chip=_get(data, CHIP_NAME).rstrip(b"\0").decode("ascii"),
        chip_hash=_get(data, CHIP_HASH).hex(),
        activation_bytes=header.activation_bytes,
        program=decode_records(
            Descriptor, raw[kind.PROGRAM], DESCRIPTOR_WORDS, "PROGRAM", MAX_DESCRIPTORS
        ),
        tiles=decode_records(Tile, raw[kind.TILES], TILE_WORDS, "TILES", MAX_TILES),
        columns=decode_records(Column, raw[kind.COLUMNS], COLUMN_WORDS, "COLUMNS", MAX_COLUMNS),
        ports=decode_records(Port, raw[kind.PORTS], PORT_WORDS, "PORTS", MAX_PORTS),
        weights=raw[kind.WEIGHTS],
        vector_weights=raw[kind.VECTOR_WEIGHTS],
        tables=raw[kind.TABLES],
        kat_input=raw[kind.KAT_INPUT],
        kat_output=raw[kind.KAT_OUTPUT],
        meta=decode_meta(raw[kind.META]),
    )
