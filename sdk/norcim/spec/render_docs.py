"""The reference pages: byte tables of program, image, protocol and registers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from enum import IntEnum
from types import ModuleType

from norcim.spec import error_codes, image_format, program, protocol, registers, slot_table
from norcim.spec.documented import Member, constants, members, summary
from norcim.spec.record import BitField, bit_fields


def render_reference(banner: str) -> dict[str, str]:
    """The reference pages by path from the repository's root; `banner` heads each of them."""
    pages = {
        "docs/reference/program.md": _program_page(),
        "docs/reference/image.md": _image_page(),
        "docs/reference/protocol.md": _protocol_page(),
        "docs/reference/registers.md": _registers_page(),
    }
    return {path: f"<!-- {banner} -->\n\n{text}" for path, text in pages.items()}


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *([_cell(item) for item in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(item: object) -> str:
    return str(item).replace("|", "\\|")


def _body(item: type) -> str:
    """A class's docstring below its first line."""
    return "\n".join(inspect.cleandoc(item.__doc__ or "").splitlines()[1:]).strip()


def _introduce(title: str, module: ModuleType) -> str:
    """A page's head from its module's docstring; indented blocks come out as they are."""
    doc = inspect.cleandoc(module.__doc__ or "")
    return f"# {title}\n\n{doc}\n"


def _place(item: BitField) -> tuple[str, str]:
    """Byte and bits of a field, counted from the start of the record."""
    byte, bit = 4 * item.word + item.lsb // 8, item.lsb % 8
    if bit == 0 and item.width % 8 == 0:
        last = byte + item.width // 8 - 1
        return (str(byte) if last == byte else f"{byte}-{last}"), ""
    return str(byte), str(bit) if item.width == 1 else f"{bit}-{bit + item.width - 1}"


def _record(record: type) -> str:
    rows = []
    for item in bit_fields(record):
        byte, bit_range = _place(item)
        kind = f"{'i' if item.signed else 'u'}{item.width}"
        rows.append((byte, bit_range, f"`{item.name}`", kind, item.doc))
    text = "\n\n".join(filter(None, (summary(record), _body(record))))
    table = _table(("byte", "bits", "field", "type", "meaning"), rows)
    return f"\n## {record.__name__}\n\n{text}\n\n{table}"


def _enum(enum: type[IntEnum]) -> str:
    rows = [(m.value, f"`{m.name}`", m.doc) for m in members(enum)]
    return (
        f"\n## {enum.__name__}\n\n{summary(enum)}\n\n{_table(('value', 'name', 'meaning'), rows)}"
    )


def _constants(found: Iterable[Member]) -> str:
    rows = [(f"`{m.name}`", f"{m.value:,}", m.doc) for m in found]
    return f"\n## Constants\n\n{_table(('name', 'value', 'meaning'), rows)}"


def _program_page() -> str:
    enums = (program.Opcode, program.Encoding, program.Rule, program.Stage, program.Function)
    records = (program.Descriptor, program.Tile, program.Column, program.Port)
    parts = [_introduce("Program", program), *map(_enum, enums), *map(_record, records)]
    return "".join([*parts, _constants(constants(program))])


def _image_page() -> str:
    rows = [(f"{f.offset}-{f.end - 1}", f"`{f.name}`", f.doc) for f in image_format.BYTE_FIELDS]
    table = _table(("byte", "field", "meaning"), rows)
    return "".join([
        _introduce("Weight image", image_format),
        _enum(image_format.SectionKind),
        _record(image_format.ImageHeader),
        f"\nThe byte fields follow, then the section table:\n\n{table}",
        _record(image_format.SectionEntry),
        _constants(constants(image_format)),
    ])  # fmt: skip


def _protocol_page() -> str:
    records = (
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
    )
    enums = (protocol.FrameType, protocol.RunAction, error_codes.DeviceError)
    parts = [_introduce("Wire protocol", protocol), *map(_enum, enums), *map(_record, records)]
    return "".join([*parts, _constants(constants(protocol)), _slot_table()])


def _slot_table() -> str:
    """Below the protocol, because ACTIVATE is what writes it."""
    doc = inspect.cleandoc(slot_table.__doc__ or "")
    parts = (f"\n# Slot table\n\n{doc}\n", _record(slot_table.SlotRecord))
    return "".join([*parts, _constants(constants(slot_table))])


def _registers_page() -> str:
    windows = [(f"0x{w.base:08x}", f"`{w.name}`", w.doc) for w in registers.WINDOWS]
    blocks = [(f"0x{p.base:08x}", f"[`{p.name}`](#{p.name.lower()})", p.doc)
              for p in registers.PERIPHERALS]  # fmt: skip
    parts = [_introduce("Registers", registers), "\n"]
    parts.append(_table(("address", "what", "meaning"), sorted([*windows, *blocks])))
    parts += [_peripheral(p) for p in registers.PERIPHERALS]
    parts.append(_enum(error_codes.DeviceError))
    return "".join(parts)


def _peripheral(peripheral: registers.Peripheral) -> str:
    rows: list[tuple[object, ...]] = []
    for r in peripheral.registers:
        reset = "-" if r.reset is None else r.reset
        rows.append((f"0x{r.offset:02x}", f"`{r.name}`", r.access, reset, r.doc))
        for f in r.fields:
            place = f"{f.lsb}" if f.width == 1 else f"{f.lsb}-{f.lsb + f.width - 1}"
            rows.append(("", f"`{r.name}.{f.name}`", place, "", f.doc))
    table = _table(("offset", "register", "access or bits", "reset", "meaning"), rows)
    return f"\n## {peripheral.name}\n\n{peripheral.doc}, at 0x{peripheral.base:08x}\n\n{table}"
