"""What an opcode asks of the data path, from the descriptor's fields."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from norcim.spec.error_codes import DeviceError
from norcim.spec.program import Descriptor, Encoding, Opcode, Rule, Stage
from norcim_overlay.npu.drain import Parameters
from norcim_overlay.npu.interface import Mode
from norcim_overlay.npu.mac_lanes import Factor
from norcim_overlay.npu.records import record_layout

WINDOWED = (Opcode.MVM, Opcode.DWCONV, Opcode.MAXPOOL, Opcode.AVGPOOL)
RESCALED = (Opcode.MVM, Opcode.DWCONV, Opcode.ADD, Opcode.MUL, Opcode.AVGPOOL)
LOWEST, HIGHEST = -32768, 32767


class Operation(Component):
    """Decodes an opcode; what comes out is right `LATENCY` cycles after the fields are.

    fields        of the descriptor
    average       multiplier and shift of the average pool's present column record
    mode          for lanes and drain
    error         DeviceError.BAD_OPCODE or BAD_FIELD if it cannot be executed, else OK
    is_mvm, is_binary, is_average, is_depthwise   the opcode, where the sequencer has to know
    by_element    one channel after the other: a copy between strided channels
    kernel_h .. pad_left   the window; one tap without padding where the opcode has none
    in_zero_point what is taken off the first input's codes
    """

    LATENCY = 2

    def __init__(self) -> None:
        sizes = ("kernel_h", "kernel_w", "stride_h", "stride_w")
        flags = ("is_mvm", "is_binary", "is_average", "is_depthwise", "by_element")
        super().__init__(
            {
                "fields": In(record_layout(Descriptor)),
                "average": In(Parameters),
                "mode": Out(Mode),
                "error": Out(8),
                "in_zero_point": Out(signed(9)),
                "pad_top": Out(signed(16)),
                "pad_left": Out(signed(16)),
                **{name: Out(16) for name in sizes},
                **{name: Out(1) for name in flags},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        op = self.fields.opcode
        m.d.sync += [
            self.is_mvm.eq(op == Opcode.MVM),
            self.is_binary.eq((op == Opcode.ADD) | (op == Opcode.MUL)),
            self.is_average.eq(op == Opcode.AVGPOOL),
            self.is_depthwise.eq(op == Opcode.DWCONV),
        ]
        self._window(m)
        self._lanes(m)
        self._drain(m)
        self._shared(m)
        self._check(m)
        return m

    def _window(self, m: Module) -> None:
        d = self.fields
        windowed = _one_of(d.opcode, WINDOWED)
        moved = windowed | (d.opcode == Opcode.COPY)
        m.d.sync += [
            self.by_element.eq(
                (d.opcode == Opcode.COPY)
                & ((d.in_channel_stride != 1) | (d.out_channel_stride != 1))
            ),
            self.kernel_h.eq(Mux(windowed, d.kernel_h, 1)),
            self.kernel_w.eq(Mux(windowed, d.kernel_w, 1)),
            self.stride_h.eq(Mux(moved, d.stride_h, 1)),
            self.stride_w.eq(Mux(moved, d.stride_w, 1)),
            self.pad_top.eq(Mux(moved, d.pad_top, 0)),
            self.pad_left.eq(Mux(moved, d.pad_left, 0)),
        ]

    def _lanes(self, m: Module) -> None:
        d = self.fields
        split = self.is_mvm & (d.encoding == Encoding.PN)
        m.d.sync += [
            self.in_zero_point.eq(Mux(split | self.is_binary | self.is_average, d.in_zp, 0)),
            self.mode.encoding.eq(d.encoding),
            self.mode.pad_code.eq(d.pad_value),
            self.mode.zero_outside.eq(self.is_average),
            self.mode.broadcast.eq(self.is_mvm),
            self.mode.maximum.eq(d.opcode == Opcode.MAXPOOL),
        ]
        with m.If(self.is_mvm | self.is_depthwise):
            m.d.sync += self.mode.factor.eq(Factor.WEIGHT)
        with m.Elif(d.opcode == Opcode.MUL):
            m.d.sync += self.mode.factor.eq(Factor.HELD)
        with m.Else():
            m.d.sync += self.mode.factor.eq(Factor.CONSTANT)

    def _drain(self, m: Module) -> None:
        d, mode = self.fields, self.mode
        moved = (d.opcode == Opcode.TABLE) | (d.opcode == Opcode.COPY)
        m.d.sync += [
            mode.rule.eq(Mux(self.is_mvm, d.rule, Rule.LOSSLESS)),
            mode.bits.eq(d.converter_bits),
            mode.zero_point.eq(Mux(_one_of(d.opcode, RESCALED), d.out_zp, 0)),
            mode.lo.eq(Mux(moved, LOWEST, d.clamp_lo)),
            mode.hi.eq(Mux(moved, HIGHEST, d.clamp_hi)),
            mode.use_table.eq(d.use_table),
            mode.use_columns.eq(self.is_depthwise | (self.is_mvm & (d.stage == Stage.REQUANTISE))),
        ]

    def _shared(self, m: Module) -> None:
        """Parameters that all channels share."""
        d, shared = self.fields, self.mode.shared
        m.d.sync += [shared.bias.eq(0), shared.multiplier.eq(1), shared.shift.eq(0)]
        with m.If(self.is_average):
            m.d.sync += [
                shared.multiplier.eq(self.average.multiplier),
                shared.shift.eq(self.average.shift),
            ]
        with m.Elif(self.is_mvm | self.is_binary):
            m.d.sync += shared.shift.eq(d.shift)
        with m.If(d.opcode == Opcode.MUL):
            m.d.sync += shared.multiplier.eq(d.multiplier_a)

    def _check(self, m: Module) -> None:
        d = self.fields
        sizes = (d.in_h, d.in_w, d.in_c, d.out_h, d.out_w, d.out_c, self.kernel_h, self.kernel_w)
        empty = Signal()
        unknown = Signal()
        m.d.comb += [
            empty.eq(_any(size == 0 for size in sizes)),
            unknown.eq(
                (d.encoding > max(Encoding)) | (d.rule > max(Rule)) | (d.stage > max(Stage))
                | (d.n_tiles == 0)
            ),
        ]  # fmt: skip
        m.d.sync += self.error.eq(DeviceError.OK)
        with m.If(d.opcode > max(Opcode)):
            m.d.sync += self.error.eq(DeviceError.BAD_OPCODE)
        with m.Elif(empty | (self.is_mvm & unknown)):
            m.d.sync += self.error.eq(DeviceError.BAD_FIELD)


def _any(conditions: object) -> Signal:
    found = 0
    for condition in conditions:  # type: ignore[attr-defined]
        found = condition | found
    return found


def _one_of(opcode: Signal, opcodes: tuple[Opcode, ...]) -> Signal:
    return _any(opcode == item for item in opcodes)
