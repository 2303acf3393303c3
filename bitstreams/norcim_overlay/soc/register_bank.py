"""Registers of a peripheral, made from their table in the spec."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.registers import Register

ADDRESS_BITS = 6  # 256 bytes


def _members(registers: tuple[Register, ...]) -> dict[str, In | Out]:
    members: dict[str, In | Out] = {
        "address": In(ADDRESS_BITS), "read": In(1), "write": In(1), "write_data": In(32),
        "read_data": Out(32), "known": Out(1),
    }  # fmt: skip
    for register in registers:
        name = register.name.lower()
        if register.access in ("ro", "port"):
            members[name] = In(32)
        if register.access == "port":
            members |= {f"{name}_read": Out(1), f"{name}_write": Out(1), f"{name}_data": Out(32)}
        if register.access == "rw":
            members[name] = Out(32, init=register.reset or 0)
        if register.access == "w1":
            members[name] = Out(32)
    return members


class RegisterBank(Component):
    """Reads and writes registers by word address; a cycle an access.

    address, read, write, write_data   an access, for one cycle
    read_data, known                   answer in the same cycle; known: there is such a register
    For each register, by its access:
    ro     NAME in: its value
    rw     NAME out: its value
    w1     NAME out: the bits written, in the cycle of the access only
    port   NAME in: what is read; NAME_read out: it is; NAME_write, NAME_data out: a write
    """

    def __init__(self, registers: tuple[Register, ...]) -> None:
        self.registers = registers
        super().__init__(_members(registers))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.Switch(self.address):
            for register in self.registers:
                with m.Case(register.offset // 4):
                    m.d.comb += self.known.eq(1)
                    self._access(m, register)
        for register in self.registers:
            if register.access == "port":
                m.d.comb += getattr(self, f"{register.name.lower()}_data").eq(self.write_data)
        return m

    def _access(self, m: Module, register: Register) -> None:
        name = register.name.lower()
        value = getattr(self, name)
        if register.access != "w1":
            m.d.comb += self.read_data.eq(value)
        if register.access == "port":
            m.d.comb += [
                getattr(self, f"{name}_read").eq(self.read),
                getattr(self, f"{name}_write").eq(self.write),
            ]
        with m.If(self.write):
            if register.access == "rw":
                m.d.sync += value.eq(self.write_data)
            if register.access == "w1":
                m.d.comb += value.eq(self.write_data)
