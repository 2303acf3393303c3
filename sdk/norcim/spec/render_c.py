"""The C header: constants, enumerations, record accessors and registers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from norcim.spec import error_codes, image_format, program, protocol, slot_table
from norcim.spec.documented import constants, members, summary
from norcim.spec.record import BitField, bit_fields, owned_bits
from norcim.spec.registers import IO_BASE, PERIPHERALS, WINDOWS, Register

MODULES = (program, image_format, protocol, slot_table)
ENUMS: tuple[type[IntEnum], ...] = (
    program.Opcode,
    program.Encoding,
    program.Rule,
    program.Stage,
    program.Function,
    image_format.SectionKind,
    protocol.FrameType,
    protocol.RunAction,
    error_codes.DeviceError,
)
RECORDS: tuple[type, ...] = (
    program.Descriptor,
    program.Tile,
    program.Column,
    program.Port,
    image_format.ImageHeader,
    image_format.SectionEntry,
    protocol.FrameHeader,
    protocol.HelloAnswer,
    protocol.SlotRange,
    protocol.WriteAnswer,
    protocol.DataRequest,
    protocol.DataAnswer,
    protocol.ActivateAnswer,
    protocol.RunRequest,
    protocol.RunLength,
    protocol.StartAnswer,
    protocol.CountersRequest,
    protocol.CounterRecord,
    protocol.BaudRequest,
    slot_table.SlotRecord,
)

_PREAMBLE = """\
/* {banner} */

/* Records are arrays of 32-bit words, little-endian in memory and on the wire. For a field F of a
 * record R: NC_R_F_WORD, NC_R_F_SHIFT and NC_R_F_MASK (of the shifted value) say where it is,
 * NC_GET_R_F(words) reads it and NC_PUT_R_F(value) gives the word's bits to be or-ed in. */

#ifndef NORCIM_SPEC_H
#define NORCIM_SPEC_H

#include <stdint.h>

static inline int32_t nc_sign_extend(uint32_t value, unsigned width)
{{
    const uint32_t sign = (uint32_t)1 << (width - 1u);
    return (int32_t)((value ^ sign) - sign);
}}
"""


def snake(name: str) -> str:
    """`ImageHeader` -> `image_header`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def render_c_header(banner: str) -> str:
    """The whole header; `banner` goes into its first line."""
    parts = [_PREAMBLE.format(banner=banner)]
    parts += [_render_constants()]
    parts += [_render_enum(enum) for enum in ENUMS]
    parts += [_render_record(record) for record in RECORDS]
    parts += [_render_byte_fields(), _render_registers(), "#endif\n"]
    return "\n".join(parts)


def _comment(text: str) -> str:
    return f" /* {text} */" if text else ""


def _define(name: str, value: object, doc: str = "") -> str:
    return f"#define NC_{name.upper()} {value}{_comment(doc)}"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _render_constants() -> str:
    found = [member for module in MODULES for member in constants(module)]
    return _lines(_define(m.name, f"{m.value}u", m.doc) for m in found)


def _render_enum(enum: type[IntEnum]) -> str:
    name = snake(enum.__name__)
    rows = [f"    NC_{name.upper()}_{m.name} = {m.value},{_comment(m.doc)}" for m in members(enum)]
    return _lines([f"/* {summary(enum)} */", f"enum nc_{name} {{", *rows, "};"])


def _render_record(record: type) -> str:
    name = snake(record.__name__)
    lines = [f"/* {record.__name__}: {summary(record)} */"]
    for item in bit_fields(record):
        lines += _field_macros(name, item)
    masks = ", ".join(f"0x{mask:08x}u" for mask in owned_bits(record))
    lines.append(_define(f"{name}_OWNED", f"{{{masks}}}", "bits that fields own; the others are 0"))
    return _lines(lines)


def _field_macros(record: str, item: BitField) -> list[str]:
    name = f"{record}_{item.name}".upper()
    mask = f"0x{(1 << item.width) - 1:x}u"
    raw = f"(((w)[{item.word}] >> {item.lsb}) & {mask})"
    get = f"nc_sign_extend({raw}, {item.width}u)" if item.signed else raw
    return [
        _define(f"{name}_WORD", item.word, item.doc),
        _define(f"{name}_SHIFT", item.lsb),
        _define(f"{name}_MASK", mask),
        f"#define NC_GET_{name}(w) {get}",
        f"#define NC_PUT_{name}(v) (((uint32_t)(v) & {mask}) << {item.lsb})",
    ]


def _render_byte_fields() -> str:
    lines = ["/* Byte fields of an image's header */"]
    for item in image_format.BYTE_FIELDS:
        lines.append(_define(f"IMAGE_HEADER_{item.name}_OFFSET", item.offset, item.doc))
        lines.append(_define(f"IMAGE_HEADER_{item.name}_BYTES", item.n_bytes))
    domain = image_format.SIGNATURE_DOMAIN
    text = "".join(f"\\{byte:03o}" if byte < 32 else chr(byte) for byte in domain)
    lines.append(_define("SIGNATURE_DOMAIN", f'"{text}"', "without the C string's own zero"))
    lines.append(_define("SIGNATURE_DOMAIN_BYTES", f"{len(domain)}u"))
    return _lines(lines)


def _render_registers() -> str:
    lines = [
        "/* Memory map of the SoC; registers at byte offsets from their peripheral's base */",
        _define("IO_BASE", _address(IO_BASE), "addresses from here on are not cached"),
        *(_define(f"{w.name}_BASE", _address(w.base), w.doc) for w in WINDOWS),
    ]
    for peripheral in PERIPHERALS:
        name = peripheral.name
        lines.append(_define(f"{name}_BASE", _address(peripheral.base), peripheral.doc))
        for register in peripheral.registers:
            lines += _register_macros(f"{name}_{register.name}", register)
    return _lines(lines)


def _address(value: int) -> str:
    return f"0x{value:08x}u"


def _register_macros(name: str, register: Register) -> list[str]:
    lines = [_define(f"{name}_OFFSET", f"0x{register.offset:02x}u", register.doc)]
    for item in register.fields:
        lines.append(_define(f"{name}_{item.name}_SHIFT", item.lsb, item.doc))
        lines.append(_define(f"{name}_{item.name}_MASK", f"0x{(1 << item.width) - 1:x}u"))
    return lines
