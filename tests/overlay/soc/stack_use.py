"""How deep the stack of a linked RV32 program can get, from its instructions alone.

Every path is followed, through the pieces that the compiler's outliner cuts out of prologues too. A
call through a pointer may go to any function whose address something takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

RA, SP, T0 = 1, 2, 5
JAL, JALR, BRANCH, STORE, AUIPC, ADD_IMMEDIATE = 0x6F, 0x67, 0x63, 0x23, 0x17, 0x13
RELOCATED_JUMPS = (16, 17, 18, 19)  # R_RISCV_BRANCH, JAL, CALL, CALL_PLT


@dataclass(frozen=True)
class Use:
    """Bytes of stack.

    peak   the most that lies below the stack pointer at the entry, functions called included
    left   what still does on return: an outlined prologue leaves its frame; None: no return
    path   the functions of the peak, outermost first
    """

    peak: int
    left: int | None
    path: tuple[str, ...]


class Program:
    """The code of an ELF file with `objects`, the files that it was linked from.

    Raises ValueError for what these rules cannot follow: recursion, a stack pointer that is
    computed, two depths at one instruction.
    """

    def __init__(self, elf: Path, objects: list[Path]) -> None:
        with elf.open("rb") as file:
            parsed: Any = ELFFile(file)
            text = parsed.get_section_by_name(".text")
            self._base, self._code = text["sh_addr"], text.data()
            self._rodata = parsed.get_section_by_name(".rodata").data()
            self.functions = {
                symbol.name: (symbol["st_value"], symbol["st_size"])
                for symbol in parsed.get_section_by_name(".symtab").iter_symbols()
                if symbol["st_info"]["type"] == "STT_FUNC"
            }
        taken = set().union(*map(_addresses_taken, objects))
        self._pointed_at = sorted(self.functions[name][0] for name in taken & set(self.functions))
        self._known: dict[int, Use] = {}
        self._open: list[int] = []

    def use(self, entry: int) -> Use:
        """Of the function that begins at this address."""
        if entry in self._open:
            names = " -> ".join(self._name(at) for at in [*self._open, entry])
            raise ValueError(f"a function may call itself: {names}")
        if entry not in self._known:
            self._open.append(entry)
            self._known[entry] = self._walk(entry)
            self._open.pop()
        return self._known[entry]

    def _walk(self, entry: int) -> Use:
        """Follow every instruction that can be reached, each with the bytes below the entry."""
        depth_at: dict[int, int] = {}
        todo = [(entry, 0)]
        peak, path, left = 0, (), None
        while todo:
            at, depth = todo.pop()
            if depth_at.setdefault(at, depth) != depth:
                raise ValueError(f"{self._name(at)}, 0x{at:x}: two depths of the stack")
            targets, goes_on, here = self._step(at, depth)
            if here.peak > peak:
                peak, path = here.peak, here.path
            if here.left is not None:
                if left not in (None, depth):
                    raise ValueError(f"{self._name(at)}, 0x{at:x}: two depths on return")
                left = depth
            after = [(target, depth) for target in targets] + goes_on
            todo += [step for step in after if depth_at.get(step[0]) != step[1]]
        return Use(peak, left, path or (f"{self._name(entry)}+{peak}",))

    def _step(self, at: int, depth: int) -> tuple[list[int], list[tuple[int, int]], Use]:
        """Where an instruction jumps, where it goes on at which depth, and what it needs."""
        word = self._word(at)
        opcode, rd, rs1 = word & 0x7F, word >> 7 & 31, word >> 15 & 31
        none = Use(0, None, ())
        if opcode in (JAL, JALR) and rd != 0:
            called = [self.use(target) for target in self._targets(at)]
            deepest = max(called, key=lambda use: use.peak)
            changes = {use.left for use in called if use.left is not None}
            goes_on = [(at + 4, depth + change) for change in changes]
            return (
                [],
                goes_on,
                Use(depth + deepest.peak, None, (f"{self._name(at)}+{depth}", *deepest.path)),
            )
        if opcode == JALR and rs1 in (RA, T0):
            return [], [], Use(0, depth, ())
        if opcode in (JAL, JALR):
            return self._targets(at), [], none
        targets = [at + _branch_offset(word)] if opcode == BRANCH else []
        if rd == SP and opcode not in (BRANCH, STORE):
            depth -= self._added(at)
        return targets, [(at + 4, depth)], Use(depth, None, ())

    def _added(self, at: int) -> int:
        """Bytes that an instruction adds to the stack pointer."""
        word = self._word(at)
        if word & 0xFFFFF == ADD_IMMEDIATE | SP << 7 | SP << 15:
            return _signed(word >> 20, 12)
        raise ValueError(f"{self._name(at)}, 0x{at:x}: the stack pointer is computed: {word:08x}")

    def _targets(self, at: int) -> list[int]:
        word = self._word(at)
        if word & 0x7F == JAL:
            return [at + _jump_offset(word)]
        rs1, before = word >> 15 & 31, self._word(at - 4)
        if before & 0xFFF == AUIPC | rs1 << 7:
            return [at - 4 + _signed((before & 0xFFFFF000) + (_signed(word >> 20, 12)), 32)]
        cases = [] if word >> 7 & 31 else self._cases(at)
        return cases or self._pointed_at

    def _cases(self, at: int) -> list[int]:
        """Addresses within a jump's own function that lie in constant data: a switch."""
        for first, size in self.functions.values():
            if first <= at < first + size:
                words = range(0, len(self._rodata) - 3, 4)
                values = {int.from_bytes(self._rodata[i : i + 4], "little") for i in words}
                return sorted(v for v in values if first < v < first + size and v % 4 == 0)
        return []

    def _word(self, at: int) -> int:
        return int.from_bytes(self._code[at - self._base :][:4], "little")

    def _name(self, at: int) -> str:
        for name, (first, size) in self.functions.items():
            if first <= at < first + max(size, 1):
                return name
        return f"0x{at:x}"


def _addresses_taken(path: Path) -> set[str]:
    """Names of functions that an object file uses otherwise than to call them."""
    names = set()
    with path.open("rb") as file:
        parsed: Any = ELFFile(file)
        symbols = parsed.get_section_by_name(".symtab")
        for section in parsed.iter_sections(type="SHT_RELA"):
            if section.name.startswith(".rela.text") or section.name.startswith(".rela.rodata"):
                for relocation in section.iter_relocations():
                    symbol = symbols.get_symbol(relocation["r_info_sym"])
                    if relocation["r_info_type"] not in RELOCATED_JUMPS:
                        names.add(symbol.name)
    return names


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> (bits - 1) << bits)


def _branch_offset(word: int) -> int:
    value = (word >> 31) << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 63) << 5
    return _signed(value | (word >> 8 & 15) << 1, 13)


def _jump_offset(word: int) -> int:
    value = (word >> 31) << 20 | (word >> 12 & 255) << 12 | (word >> 20 & 1) << 11
    return _signed(value | (word >> 21 & 1023) << 1, 21)
