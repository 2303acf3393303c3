"""Decodes fixed-size records (descriptors, tiles, columns) by their definition in the spec."""

from __future__ import annotations

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.record import bit_fields


def record_layout(record: type) -> data.StructLayout:
    """All fields of a record class under their own names and signedness."""
    return data.StructLayout(
        {f.name: (signed if f.signed else unsigned)(f.width) for f in bit_fields(record)}
    )


class RecordDecoder(Component):
    """Every field of a record, out of its 32-bit words; combinational.

    words   the record's words
    fields  a struct with one member for each field of the record class
    """

    def __init__(self, record: type, n_words: int) -> None:
        self.record = record
        super().__init__(
            {
                "words": In(data.ArrayLayout(32, n_words)),
                "fields": Out(record_layout(record)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for f in bit_fields(self.record):
            word = self.words[f.word]
            m.d.comb += self.fields[f.name].eq(word[f.lsb : f.lsb + f.width])
        return m
