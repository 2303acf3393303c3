"""What this SoC is, the software reset and the CPU's watchdog."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.registers import SYSTEM_REGISTERS
from norcim_overlay.soc.config import SocConfig, gateware_id
from norcim_overlay.soc.register_bank import RegisterBank


class System(Component):
    """Constants of the configuration, and three reasons to restart.

    registers       of SYSTEM_REGISTERS
    millisecond     strobe
    bus_error       strobe: the CPU asked for data that are not there
    reset_request   strobe: whoever makes the clocks shall hold the reset for a few cycles
    """

    millisecond: In(1)
    bus_error: In(1)
    reset_request: Out(1)

    def __init__(self, config: SocConfig) -> None:
        super().__init__()
        self.config = config
        self.registers = RegisterBank(SYSTEM_REGISTERS)

    def elaborate(self, platform: object) -> Module:
        m, config = Module(), self.config
        m.submodules.registers = registers = self.registers
        constants = {
            "gateware": gateware_id(config),
            "clock_hz": config.clock_hz,
            "uart_hz": config.uart_hz or config.clock_hz,
            "unique_id_lo": config.unique_id & 0xFFFFFFFF,
            "unique_id_hi": config.unique_id >> 32,
            "flash_base": config.flash_base,
            "flash_bytes": config.flash_bytes,
            "receive_bytes": config.n_receive_bytes,
        }
        m.d.comb += [getattr(registers, name).eq(value) for name, value in constants.items()]
        self._restart(m)
        return m

    def _restart(self, m: Module) -> None:
        registers = self.registers
        cause = Signal(3, reset_less=True)  # what the reset is about to be, and then was
        left = Signal(32)
        runs_out = (left == 1) & self.millisecond
        m.d.comb += [
            registers.cause.eq(cause),
            registers.watchdog.eq(left),
            self.reset_request.eq(registers.reset[0] | runs_out | self.bus_error),
        ]
        with m.If(self.reset_request):
            m.d.sync += cause.eq(Cat(registers.reset[0], runs_out, self.bus_error))
        with m.If(registers.watchdog_write):
            m.d.sync += left.eq(registers.watchdog_data)
        with m.Elif(self.millisecond & (left != 0)):
            m.d.sync += left.eq(left - 1)
