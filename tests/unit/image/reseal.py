"""Make the sums of a changed image good again, so that what they hide is reached."""

from __future__ import annotations

import hashlib
import zlib

from norcim.spec.image_format import SECTION_TABLE_OFFSET, SectionKind


def reseal(image: bytes, *, sections: bool = True, sha: bool = True) -> bytes:
    """Recompute section CRCs (`sections`), SHA-256 (`sha`) and header CRC."""
    changed = bytearray(image)
    n_sections = len(SectionKind)
    if sections:
        for index in range(n_sections):
            entry = SECTION_TABLE_OFFSET + 16 * index
            offset = int.from_bytes(changed[entry + 4 : entry + 8], "little")
            length = int.from_bytes(changed[entry + 8 : entry + 12], "little")
            crc = zlib.crc32(changed[offset : offset + length])
            changed[entry + 12 : entry + 16] = crc.to_bytes(4, "little")
    if sha:
        hashed = bytes(changed[:92]) + bytes(100) + bytes(changed[192:])
        changed[96:128] = hashlib.sha256(hashed).digest()
    end = SECTION_TABLE_OFFSET + 16 * n_sections
    crc = zlib.crc32(bytes(changed[:92]) + bytes(4) + bytes(changed[96:end]))
    changed[92:96] = crc.to_bytes(4, "little")
    return bytes(changed)
