"""Latency and energy of an image on a chip, from counts and the chip file's constants.

Action counts times constants, one MVM position at a time. With R wordlines and C bitlines in a
tile, on a chip with converters:

    time    ceil(C / n_converters) * cycles_per_conversion / clock
    DAC     R * row_power * time
    cells   2 * R * C * cell_current * bitline_v * cycles_per_conversion / clock
    ADC     C * conversion
    digital C * (vector_op + 2 * sram_byte) + inputs * sram_byte

A cell pair holds a weight, hence the 2. A chip without converters (n_converters 0) computes the
same MVM on its lanes: ceil(R * C / lanes) cycles and R * C digital MACs. Static power is drawn all
the time. Source of the form: docs/chips.md. Data-dependent energy, the host and the memory that
holds the program are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from norcim.chips.model import Chip
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Function, Opcode, Tile, wordlines_per_input

FIRMWARE_STEPS = 3
"""Passes of a softmax over its elements: largest, sum of exponentials, division. ASSUMED."""


@dataclass(frozen=True)
class EnergySplit:
    """Joules by where they go."""

    dac_j: float = 0.0
    cells_j: float = 0.0
    adc_j: float = 0.0
    digital_j: float = 0.0
    static_j: float = 0.0

    @property
    def total_j(self) -> float:
        """The sum of all parts."""
        return self.dac_j + self.cells_j + self.adc_j + self.digital_j + self.static_j


@dataclass(frozen=True)
class Counts:
    """What is done: one inference, one layer or all of them.

    n_positions     MVM positions: times that a wordline vector is applied, over row and column
                    tiles once
    n_array_macs    cells that take part, all positions; zeros of block-diagonal tiles included
    n_conversions   columns digitised
    n_vector_macs   MACs of the vector path
    n_vector_steps  other element steps of the digital stage and the vector path
    n_bytes         bytes of activation memory and vector weights read or written
    n_cycles        NPU clock cycles
    """

    n_positions: int = 0
    n_array_macs: int = 0
    n_conversions: int = 0
    n_vector_macs: int = 0
    n_vector_steps: int = 0
    n_bytes: int = 0
    n_cycles: int = 0

    @property
    def n_macs(self) -> int:
        """MACs on arrays and vector path."""
        return self.n_array_macs + self.n_vector_macs


@dataclass(frozen=True)
class LayerEstimate:
    """One layer of the image: its name, what it does, how long it takes and what it costs."""

    index: int
    name: str
    opcodes: tuple[str, ...]
    counts: Counts
    latency_s: float
    energy: EnergySplit


@dataclass(frozen=True)
class Estimate:
    """One inference of an image on a chip."""

    chip: str
    layers: tuple[LayerEstimate, ...]
    counts: Counts
    latency_s: float
    energy: EnergySplit

    @property
    def energy_per_mac_j(self) -> float:
        """All energy over all MACs; 0 for a program without MACs."""
        return self.energy.total_j / self.counts.n_macs if self.counts.n_macs else 0.0

    @property
    def power_w(self) -> float:
        """Mean power while inferences follow each other without a pause."""
        return self.energy.total_j / self.latency_s if self.latency_s else 0.0


def estimate(content: ImageContent, chip: Chip) -> Estimate:
    """Estimate one inference of `content` on `chip`, by layer and in total."""
    steps = [step for step in content.program if step.opcode != Opcode.END]
    layers = tuple(
        _estimate_layer(content, chip, index, [s for s in steps if s.layer == index])
        for index in sorted({step.layer for step in steps})
    )
    return Estimate(
        chip=chip.name,
        layers=layers,
        counts=_sum_counts(layer.counts for layer in layers),
        latency_s=sum(layer.latency_s for layer in layers),
        energy=_sum_energy(layer.energy for layer in layers),
    )


def cells_used(content: ImageContent) -> int:
    """Cell pairs that the program's tiles take, copies and bias rows included."""
    found = {  # by number: several steps may run the same tiles
        index: tile.n_cols * n_wordlines(step, tile)
        for step in content.program
        if step.opcode == Opcode.MVM
        for index, tile in enumerate(tiles_of(content, step), step.tile_base)
    }
    return sum(found.values())


def layer_name(content: ImageContent, index: int) -> str:
    """Name of layer `index` in the image's metadata, or `layer N` if it has none."""
    layers = content.meta.get("layers", [])
    entry = layers[index] if isinstance(layers, list) and index < len(layers) else None
    if isinstance(entry, dict):
        entry = entry.get("name")
    return entry if isinstance(entry, str) and entry else f"layer {index}"


def tiles_of(content: ImageContent, step: Descriptor) -> Sequence[Tile]:
    """The tile records that an MVM descriptor runs."""
    return content.tiles[step.tile_base : step.tile_base + step.n_tiles]


def n_wordlines(step: Descriptor, tile: Tile) -> int:
    """Wordlines that a tile drives: encoded inputs, their repeats, bias rows."""
    return tile.n_rows * wordlines_per_input(step.encoding, tile) + tile.n_bias_rows


def _estimate_layer(
    content: ImageContent, chip: Chip, index: int, steps: Sequence[Descriptor]
) -> LayerEstimate:
    counts, energies = [], []
    for step in steps:
        if step.opcode == Opcode.MVM:
            count, energy = _mvm(step, tiles_of(content, step), chip)
        else:
            count, energy = _vector(step, chip)
        counts.append(count)
        energies.append(energy)
    total = _sum_counts(counts)
    return LayerEstimate(
        index=index,
        name=layer_name(content, index),
        opcodes=tuple(Opcode(step.opcode).name for step in steps),
        counts=total,
        latency_s=total.n_cycles / chip.timing.clock_hz,
        energy=_sum_energy(energies),
    )


def _mvm(step: Descriptor, tiles: Sequence[Tile], chip: Chip) -> tuple[Counts, EnergySplit]:
    positions = step.out_h * step.out_w
    each = [_tile_position(step, tile, chip) for tile in tiles]
    cycles = sum(count.n_cycles for count, _ in each) * positions + chip.timing.descriptor_cycles
    one = _sum_counts(count for count, _ in each)
    counts = Counts(
        n_positions=positions,
        n_array_macs=one.n_array_macs * positions,
        n_conversions=one.n_conversions * positions,
        n_vector_steps=one.n_vector_steps * positions,
        n_bytes=one.n_bytes * positions,
        n_cycles=cycles,
    )
    analog = _sum_energy(energy for _, energy in each)
    return counts, EnergySplit(
        dac_j=analog.dac_j * positions,
        cells_j=analog.cells_j * positions,
        adc_j=analog.adc_j * positions,
        digital_j=analog.digital_j * positions,
        static_j=_static_j(chip, cycles),
    )


def _tile_position(step: Descriptor, tile: Tile, chip: Chip) -> tuple[Counts, EnergySplit]:
    """One tile, one position."""
    timing, energy = chip.timing, chip.energy
    wordlines = n_wordlines(step, tile)
    cells = wordlines * tile.n_cols
    n_bytes = tile.n_rows + 2 * tile.n_cols  # inputs fetched; sums read and written
    digital_j = tile.n_cols * energy.vector_op_j + n_bytes * energy.sram_byte_j
    if timing.n_converters:
        groups = -(-tile.n_cols // timing.n_converters)
        cycles = groups * timing.cycles_per_conversion
        settle_s = timing.cycles_per_conversion / timing.clock_hz
        split = EnergySplit(
            dac_j=wordlines * energy.row_power_w * cycles / timing.clock_hz,
            cells_j=2 * cells * energy.cell_current_a * energy.bitline_v * settle_s,
            adc_j=tile.n_cols * energy.conversion_j,
            digital_j=digital_j,
        )
    else:
        cycles = -(-cells // timing.lanes)
        split = EnergySplit(digital_j=digital_j + cells * energy.mac_j)
    counts = Counts(
        n_array_macs=tile.n_rows * tile.n_cols,
        n_conversions=tile.n_cols,
        n_vector_steps=tile.n_cols,
        n_bytes=n_bytes,
        n_cycles=cycles,
    )
    return counts, split


def _vector(step: Descriptor, chip: Chip) -> tuple[Counts, EnergySplit]:
    """A descriptor of the vector path or a firmware step."""
    timing, energy = chip.timing, chip.energy
    macs, steps, n_bytes = _vector_work(step)
    cycles = -(-(macs or steps) // timing.vector_lanes) + timing.descriptor_cycles
    counts = Counts(n_vector_macs=macs, n_vector_steps=steps, n_bytes=n_bytes, n_cycles=cycles)
    digital_j = macs * energy.mac_j + steps * energy.vector_op_j + n_bytes * energy.sram_byte_j
    return counts, EnergySplit(digital_j=digital_j, static_j=_static_j(chip, cycles))


def _vector_work(step: Descriptor) -> tuple[int, int, int]:
    """MACs, other steps, bytes."""
    n_out = step.out_h * step.out_w * step.out_c
    n_window = step.kernel_h * step.kernel_w * n_out
    match step.opcode:
        case Opcode.DWCONV:
            return n_window, n_out, 2 * n_window + n_out
        case Opcode.ADD | Opcode.MUL:
            return 0, n_out, 3 * n_out
        case Opcode.MAXPOOL | Opcode.AVGPOOL:
            return 0, n_window, n_window + n_out
        case Opcode.FIRMWARE:
            return _firmware_work(step, n_out)
        case _:
            return 0, n_out, 2 * n_out


def _firmware_work(step: Descriptor, n_out: int) -> tuple[int, int, int]:
    """MACs, other steps, bytes of what the CPU computes."""
    match step.function:
        case Function.SOFTMAX:
            return 0, FIRMWARE_STEPS * n_out, (FIRMWARE_STEPS + 1) * n_out
        case Function.ARGMAX:
            return 0, n_out * step.in_c, n_out * (step.in_c + 1)
        case _:  # UPDATE: two products and a sum for each of in_c states
            return n_out, n_out, 5 * step.in_c + n_out


def _static_j(chip: Chip, cycles: int) -> float:
    return chip.energy.static_w * cycles / chip.timing.clock_hz


def _sum_counts(items: Iterable[Counts]) -> Counts:
    items = list(items)
    return Counts(**{f.name: sum(getattr(item, f.name) for item in items) for f in fields(Counts)})


def _sum_energy(items: Iterable[EnergySplit]) -> EnergySplit:
    items = list(items)
    names = [f.name for f in fields(EnergySplit)]
    return EnergySplit(**{name: sum(getattr(item, name) for item in items) for name in names})
