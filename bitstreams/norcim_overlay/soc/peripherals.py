"""Everything on the data bus but the CPU's memory."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from norcim.spec.registers import PERIPHERALS, WINDOWS
from norcim_overlay.npu.macro import Store
from norcim_overlay.soc.config import SocConfig
from norcim_overlay.soc.flash import Flash, flash_pins
from norcim_overlay.soc.npu_port import NpuPort
from norcim_overlay.soc.parts import bus_signature
from norcim_overlay.soc.register_bank import RegisterBank
from norcim_overlay.soc.sha256 import Sha256
from norcim_overlay.soc.system import System
from norcim_overlay.soc.timer import Timer
from norcim_overlay.soc.uart import Uart

BASES = {p.name: p.base for p in PERIPHERALS} | {w.name: w.base for w in WINDOWS}
PAGE_BITS = 8  # of registers
WINDOW_BITS = 24


class _Answer:
    """Of a peripheral's registers: whether an access means them; a cycle after it, its answer."""

    def __init__(self, name: str) -> None:
        self.chosen = Signal(name=f"chosen_{name}")
        self.known = Signal(name=f"known_{name}")
        self.data = Signal(32, name=f"answer_{name}")


class Peripherals(Component):
    """Decodes the bus by the memory map of the spec; what is not on it is a bus error.

    bus             Wishbone target; requests are registered first, for the sake of the clock rate
    uart_rx, uart_tx, flash   pins
    bus_error       strobe: the CPU's access failed, here or in the RAM
    reset_request   strobe, see System
    npu_active      see NpuPort
    """

    def __init__(self, config: SocConfig) -> None:
        self.config = config
        super().__init__(
            {
                "bus": In(bus_signature()), "uart_rx": In(1, init=1), "uart_tx": Out(1, init=1),
                "flash": Out(flash_pins()), "reset_request": Out(1), "npu_active": Out(1),
                "bus_error": In(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m, config = Module(), self.config
        m.submodules.uart = uart = Uart(config.n_receive_bytes, config.n_send_bytes)
        m.submodules.timer = timer = Timer(config.clock_hz)
        m.submodules.system = system = System(config)
        m.submodules.flash = flash = Flash()
        m.submodules.sha256 = sha256 = Sha256()
        m.submodules.npu = npu = NpuPort(config.sizes)
        connect(m, flash.pins, flipped(self.flash))
        m.d.comb += [
            uart.rx.eq(self.uart_rx),
            self.uart_tx.eq(uart.tx),
            system.millisecond.eq(timer.millisecond),
            system.bus_error.eq(self.bus_error),
            self.reset_request.eq(system.reset_request),
            self.npu_active.eq(npu.active),
        ]
        parts: dict[str, Any] = {
            "UART": uart, "TIMER": timer, "SYSTEM": system, "FLASH": flash, "SHA256": sha256,
            "NPU": npu,
        }  # fmt: skip
        banks = {name: part.registers for name, part in parts.items()}
        self._decode(m, banks, npu)
        return m

    def _decode(self, m: Module, banks: dict[str, RegisterBank], npu: NpuPort) -> None:
        bus = self.bus
        address, write_data, sel, write = Signal(32), Signal(32), Signal(4), Signal()
        answers = {name: _Answer(name) for name in banks}
        m.d.sync += [bus.ack.eq(0), bus.err.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += Cat(address, write_data, sel, write).eq(
                    Cat(Const(0, 2), bus.adr, bus.dat_w, bus.sel, bus.we)
                )
                with m.If(bus.cyc & bus.stb & ~bus.ack & ~bus.err):
                    self._choose(m, answers)
            with m.State("REGISTERS"):
                for name, bank in banks.items():
                    chosen = answers[name].chosen
                    m.d.comb += [bank.read.eq(chosen & ~write), bank.write.eq(chosen & write)]
                m.next = "ANSWER"
            with m.State("ANSWER"):
                self._answer(m, list(answers.values()))
            with m.State("WINDOW"):
                self._access_window(m, npu, address, write_data, sel, write)

        for name, bank in banks.items():
            m.d.comb += [bank.address.eq(address[2:PAGE_BITS]), bank.write_data.eq(write_data)]
            m.d.sync += [
                answers[name].data.eq(Mux(answers[name].chosen, bank.read_data, 0)),
                answers[name].known.eq(answers[name].chosen & bank.known),
            ]

    def _choose(self, m: Module, answers: dict[str, _Answer]) -> None:
        """Where the request goes, by the upper bits of its address."""
        page, window = self.bus.adr[PAGE_BITS - 2 :], self.bus.adr[WINDOW_BITS - 2 :]
        for name, answer in answers.items():
            m.d.sync += answer.chosen.eq(page == BASES[name] >> PAGE_BITS)
        with m.If(_is_one_of(page, [BASES[name] >> PAGE_BITS for name in answers])):
            m.next = "REGISTERS"
        with m.Elif(_is_one_of(window, [BASES[s.name] >> WINDOW_BITS for s in Store])):
            m.next = "WINDOW"
        with m.Else():
            m.d.sync += self.bus.err.eq(1)

    def _answer(self, m: Module, answers: list[_Answer]) -> None:
        known = Signal()
        m.d.comb += known.eq(Cat(*(a.known for a in answers)).any())
        found = reduce(or_, (a.data for a in answers))
        m.d.sync += [self.bus.dat_r.eq(found), self.bus.ack.eq(known), self.bus.err.eq(~known)]
        m.next = "IDLE"

    def _access_window(
        self, m: Module, npu: NpuPort, address: Signal, data: Signal, sel: Signal, write: Signal
    ) -> None:
        """Past the memory's end is an error, and so is writing a part of a record's word."""
        bus, sizes = self.bus, self.config.sizes
        n_bytes = {Store.ACTIVATIONS: sizes.n_activation_bytes, Store.WEIGHTS: sizes.n_weight_bytes,
                   Store.RECORDS: 4 * sizes.n_record_words}  # fmt: skip
        offset, fits = address[:WINDOW_BITS], Signal()
        with m.Switch(address[WINDOW_BITS:]):
            for store, size in n_bytes.items():
                with m.Case(BASES[store.name] >> WINDOW_BITS):
                    whole = (sel == 0b1111) | ~write | (store != Store.RECORDS)
                    m.d.comb += [npu.store.eq(store), fits.eq((offset < size) & whole)]
        m.d.comb += [
            npu.access.eq(fits), npu.offset.eq(offset), npu.sel.eq(sel), npu.write.eq(write),
            npu.write_data.eq(data),
        ]  # fmt: skip
        with m.If(npu.ready | ~fits):
            m.d.sync += [bus.dat_r.eq(npu.read_data), bus.ack.eq(fits), bus.err.eq(~fits)]
            m.next = "IDLE"


def _is_one_of(value: Value, choices: list[int]) -> Value:
    return Mux(Cat(*(value == choice for choice in choices)).any(), 1, 0)
