"""The slot table in a device's flash: which slot is active, whatever cut the power.

    sectors 0, 1, 2    the table; each holds at most one commit in its first three pages
    then               the slots, each a whole number of sectors

A commit erases one of the three sectors and programs three pages, each a SlotRecord, its SHA-256
and the CRC-32 of both: RECORD, CLOSE, DONE, alike but for the magic. A page that is being
programmed when the power goes may read either way from then on; all pages before it are sound.
Hence, at boot:

    closed = RECORD and CLOSE are valid; done = closed and DONE is valid
    the closed commit with the highest counter says which slot is active
    if it is not done, or a valid RECORD has a higher counter, it is committed again, with a
    counter above all, in a sector that is neither its own nor that of the last done commit,
    before anything is run

so that what one boot has chosen every later boot chooses. A table without a closed commit is
written new, with NO_SLOT active. A counter never falls.
"""

from __future__ import annotations

from dataclasses import dataclass

from norcim.spec.record import bits

SLOT_TABLE_SECTORS = 3
RECORD_MAGIC = 0x5253434E  #: `NCSR`: first page of a commit
CLOSE_MAGIC = 0x4353434E  #: `NCSC`: second page
DONE_MAGIC = 0x4453434E  #: `NCSD`: third page
SLOT_RECORD_WORDS = 4
SLOT_RECORD_BYTES = 52  #: record, SHA-256, CRC-32


@dataclass(frozen=True)
class SlotRecord:
    """What a commit says, 4 words; then the image's SHA-256, then the CRC-32 of these 48 bytes."""

    magic: int = bits(0, 0, 32, "RECORD_MAGIC, CLOSE_MAGIC or DONE_MAGIC")
    counter: int = bits(1, 0, 32, "monotonic counter")
    slot: int = bits(2, 0, 8, "the active slot, or NO_SLOT")
    image_bytes: int = bits(3, 0, 32, "bytes of the image in it")
