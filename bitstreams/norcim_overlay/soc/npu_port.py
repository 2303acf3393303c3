"""The NPU on the bus: its registers, and its memories as windows."""

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.program import ABI_LEVEL
from norcim.spec.registers import NPU_REGISTERS
from norcim_overlay.npu.counters import NAMES
from norcim_overlay.npu.interface import Layout
from norcim_overlay.npu.macro import HOST_LATENCY, NpuMacro, Sizes
from norcim_overlay.soc.register_bank import RegisterBank

#: Cycles that the NPU's clock goes on after the last sign of work: above any latency inside it.
TAIL = 31
BYTES = {0b0001: (0, 1), 0b0010: (1, 1), 0b0100: (2, 1), 0b1000: (3, 1),
         0b0011: (0, 2), 0b1100: (2, 2), 0b1111: (0, 4)}  # fmt: skip


class NpuPort(Component):
    """The NPU in the clock domain `npu`, which has the edges of `sync` while `active` is 1.

    registers            of NPU_REGISTERS
    access, store        an access to a memory, held until `ready`; store: norcim_overlay's Store
    offset, sel, write   byte address of its word, which of its bytes, write or read
    write_data
    ready, read_data     strobe: the access is done
    active               the NPU needs its clock; combinational, from flip-flops and accesses

    Everything that goes to the NPU passes a flip-flop of its domain, so that a simulator has
    nothing to compute in there while its clock stands still.
    """

    access: In(1)
    store: In(2)
    offset: In(24)
    sel: In(4)
    write: In(1)
    write_data: In(32)
    ready: Out(1)
    read_data: Out(32)
    active: Out(1)

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.registers = RegisterBank(NPU_REGISTERS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = DomainRenamer({"sync": "npu"})(self.registers)
        npu = NpuMacro(self.sizes)
        m.submodules.npu = DomainRenamer({"sync": "npu"})(npu)
        self._status(m, npu)
        self._control(m, npu)
        self._memories(m, npu)
        self._clock(m, npu)
        return m

    def _status(self, m: Module, npu: NpuMacro) -> None:
        registers, sizes, status = self.registers, self.sizes, npu.status
        flags = Cat(status.busy, status.done, status.firmware, npu.clearing)
        m.d.comb += [
            registers.id.eq(ABI_LEVEL | sizes.n_lanes << 16),
            registers.status.eq(flags | status.error << 8),
            registers.descriptor.eq(status.descriptor),
            registers.activation_bytes.eq(sizes.n_activation_bytes),
            registers.weight_bytes.eq(sizes.n_weight_bytes),
            registers.record_words.eq(sizes.n_record_words),
            registers.n_descriptors.eq(sizes.n_descriptors),
        ]
        m.d.comb += [getattr(registers, name).eq(getattr(npu.counts, name)) for name in NAMES]
        n_cycles = Signal(32)
        m.d.comb += registers.run_cycles.eq(n_cycles)
        with m.If(npu.start):
            m.d.npu += n_cycles.eq(0)
        with m.Elif(status.busy):
            m.d.npu += n_cycles.eq(n_cycles + 1)

    def _control(self, m: Module, npu: NpuMacro) -> None:
        registers = self.registers
        m.d.npu += Cat(npu.start, npu.stop, npu.clear).eq(registers.control)
        m.d.comb += [
            npu.first.eq(registers.first),
            npu.watchdog.eq(registers.watchdog),
            npu.select.eq(registers.counter_select),
        ]
        for name in Layout.as_shape().members:
            m.d.comb += getattr(npu.layout, name).eq(getattr(registers, f"layout_{name}"))

    def _memories(self, m: Module, npu: NpuMacro) -> None:
        """Reads whole words; writes what is selected. Nothing is done to a busy NPU."""
        waited = Signal(range(HOST_LATENCY + 3))
        first, count = Signal(2), Signal(3)
        with m.Switch(self.sel):
            for sel, (at, n) in BYTES.items():
                with m.Case(sel):
                    m.d.comb += [first.eq(at), count.eq(n)]
        m.d.npu += [
            npu.host_store.eq(self.store),
            npu.host_addr.eq(self.offset + Mux(self.write, first, 0)),
            npu.host_count.eq(count),
            npu.host_data.eq(self.write_data >> (first << 3)),
            npu.host_write.eq(self.access & self.write & ~npu.status.busy),
        ]
        m.d.comb += [
            self.read_data.eq(npu.host_read),
            self.ready.eq(self.access & (self.write | (waited == 1 + HOST_LATENCY))),
        ]
        m.d.sync += waited.eq(Mux(self.access & ~self.ready, waited + 1, 0))

    def _clock(self, m: Module, npu: NpuMacro) -> None:
        works = npu.status.busy | npu.clearing | self.access
        works |= self.registers.read | self.registers.write
        tail = Signal(range(TAIL + 1), init=TAIL)
        with m.If(works):
            m.d.sync += tail.eq(TAIL)
        with m.Elif(tail != 0):
            m.d.sync += tail.eq(tail - 1)
        m.d.comb += self.active.eq(works | (tail != 0))
