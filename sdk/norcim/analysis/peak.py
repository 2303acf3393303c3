"""Peak throughput and efficiency of a chip, from its chip file alone, against what is published.

Every array computes a full MVM at a time: all wordlines of its largest region, all bitlines that
tiles may use, one int8 MAC (two operations) a cell; on a chip without converters all lanes are
busy. The energy is that of docs/chips.md, without descriptors, vector path and link.
"""

from __future__ import annotations

from dataclasses import dataclass

from norcim.analysis.estimate import EnergySplit
from norcim.chips.model import Chip

TOLERANCE = 0.2
"""How far an estimate may be from a published figure before the chip file must say why."""


@dataclass(frozen=True)
class Peak:
    """Peak figures; the energy split is that of one full MVM of all arrays."""

    chip: str
    tops: float
    power_w: float
    energy: EnergySplit

    @property
    def tops_per_w(self) -> float:
        """Operations a joule, in units of 10^12."""
        return self.tops / self.power_w if self.power_w else 0.0


def peak(chip: Chip) -> Peak:
    """The peak of a chip."""
    arrays, timing, energy = chip.arrays, chip.timing, chip.energy
    rows = max(region.n_rows for region in arrays.regions)
    columns = arrays.n_columns - arrays.reserved_columns
    macs = arrays.count * rows * columns
    n_bytes = arrays.count * (rows + 2 * columns)
    digital_j = arrays.count * columns * energy.vector_op_j + n_bytes * energy.sram_byte_j
    if timing.n_converters:
        groups = -(-columns // timing.n_converters)
        settle_s = timing.cycles_per_conversion / timing.clock_hz
        seconds = groups * settle_s
        split = EnergySplit(
            dac_j=arrays.count * rows * energy.row_power_w * seconds,
            cells_j=2 * macs * energy.cell_current_a * energy.bitline_v * settle_s,
            adc_j=arrays.count * columns * energy.conversion_j,
            digital_j=digital_j,
            static_j=energy.static_w * seconds,
        )
    else:
        seconds = macs / timing.lanes / timing.clock_hz
        split = EnergySplit(
            digital_j=digital_j + macs * energy.mac_j, static_j=energy.static_w * seconds
        )
    return Peak(chip.name, 2e-12 * macs / seconds, split.total_j / seconds, split)


def ratios(chip: Chip) -> dict[str, float]:
    """Estimate over published figure, for every figure that is published."""
    found = peak(chip)
    pairs = {
        "tops": (found.tops, chip.published.tops),
        "tops_per_w": (found.tops_per_w, chip.published.tops_per_w),
        "power_w": (found.power_w, chip.published.power_w),
    }
    return {name: mine / theirs for name, (mine, theirs) in pairs.items() if theirs}


def unexplained(chip: Chip) -> list[str]:
    """Published figures that the estimate misses by more than TOLERANCE without a note."""
    if chip.published.note:
        return []
    return [name for name, ratio in ratios(chip).items() if abs(ratio - 1) > TOLERANCE]
