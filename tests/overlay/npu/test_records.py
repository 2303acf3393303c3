"""The decoder puts every bit of every record where the spec says."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TILE_WORDS,
    Column,
    Descriptor,
    Tile,
)
from norcim.spec.record import bit_fields, pack_record
from norcim_overlay.npu.records import RecordDecoder
from tests.overlay.npu.stream import simulate

RECORDS = [(Descriptor, DESCRIPTOR_WORDS), (Tile, TILE_WORDS), (Column, COLUMN_WORDS)]


@pytest.mark.parametrize(("record", "n_words"), RECORDS, ids=lambda x: getattr(x, "__name__", ""))
def test_every_field_alone_at_both_ends_of_its_range(record: type, n_words: int) -> None:
    decoder = RecordDecoder(record, n_words)
    fields = bit_fields(record)
    wrong = []

    async def testbench(ctx: object) -> None:
        for item in fields:
            for value in (item.lo, item.hi, 1, -1 if item.signed else item.hi // 2):
                words = struct.unpack(
                    f"<{n_words}I", pack_record(replace(record(), **{item.name: value}), n_words)
                )
                for index, word in enumerate(words):
                    ctx.set(decoder.words[index], word)
                await ctx.delay(1e-6)
                for other in fields:
                    expected = value if other is item else 0
                    got = ctx.get(decoder.fields[other.name])
                    if got != expected:
                        wrong.append((item.name, value, other.name, got))

    simulate(decoder, testbench, clock=False)
    assert wrong == []
