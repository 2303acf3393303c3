"""The CPU: VexRiscv, RV32IM with instruction and data cache, from pythondata-cpu-vexriscv.

Source: https://github.com/litex-hub/pythondata-cpu-vexriscv, verilog/VexRiscv.v
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, ResetSignal
from amaranth.lib.wiring import Component, Out

from norcim_overlay.soc.parts import bus_signature

PACKAGE = "pythondata_cpu_vexriscv"
FILE = "VexRiscv.v"
BUS_OUTPUTS = {"adr": "ADR", "dat_w": "DAT_MOSI", "sel": "SEL", "cyc": "CYC", "stb": "STB",
               "we": "WE", "cti": "CTI", "bte": "BTE"}  # fmt: skip


def cpu_verilog() -> str:
    """The core's Verilog, a module `VexRiscv`, out of its package.

    Raises RuntimeError if the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("no CPU: pip install pythondata-cpu-vexriscv")
    return (Path(spec.submodule_search_locations[0]) / "verilog" / FILE).read_text("utf-8")


class Cpu(Component):
    """The core. Starts at address 0; addresses from 0x80000000 on are not cached.

    It does not know bus errors: a word that cannot be read is 0, which is no instruction.

    instructions, data   Wishbone initiators
    """

    instructions: Out(bus_signature())
    data: Out(bus_signature())

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if hasattr(platform, "add_file"):
            platform.add_file(FILE, cpu_verilog())
        ports: dict[str, Any] = {}
        for prefix, bus in (("iBusWishbone", self.instructions), ("dBusWishbone", self.data)):
            for name, theirs in BUS_OUTPUTS.items():
                ports[f"o_{prefix}_{theirs}"] = getattr(bus, name)
            ports[f"i_{prefix}_DAT_MISO"] = Mux(bus.err, 0, bus.dat_r)
            ports[f"i_{prefix}_ACK"] = bus.ack | bus.err
            ports[f"i_{prefix}_ERR"] = bus.err
        m.submodules.core = Instance(
            "VexRiscv",
            i_clk=ClockSignal(),
            i_reset=ResetSignal(),
            i_externalResetVector=Const(0, 32),
            i_externalInterruptArray=Const(0, 32),
            i_timerInterrupt=Const(0, 1),
            i_softwareInterrupt=Const(0, 1),
            **ports,
        )
        return m
