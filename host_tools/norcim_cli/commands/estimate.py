"""`norcim estimate`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from norcim_cli import console, files, options
from norcim_cli.commands.chips import print_values, sourced
from norcim_cli.units import spell

if TYPE_CHECKING:
    from norcim.analysis.estimate import Estimate, LayerEstimate

CONSTANTS = ("timing", "energy")  # sections of a chip file that an estimate rests on


@click.command()
@click.argument("image", metavar="[IMAGE]", required=False)
@click.option(
    "-c", "--chip", metavar="NAME|FILE", help="Chip; default: the one the image was compiled for."
)
@click.option(
    "--peak",
    "at_peak",
    is_flag=True,
    help="Peak of a chip against what is published; of all chips without --chip.",
)
@options.network
@options.common
def estimate(image: str | None, chip: str | None, at_peak: bool, network: str | None) -> None:
    """Estimate latency and energy of one inference.

    From the image's counts and the chip file's constants, by layer and by where the energy goes,
    after the constants with the source of each. Most are ASSUMED.
    """
    from norcim.analysis.estimate import estimate as estimate_image
    from norcim.chips import load_chip

    if at_peak:
        _print_peaks(chip)
        return
    if image is None:
        raise click.UsageError("Missing argument 'IMAGE' (or give --peak).")
    _, content, _ = files.load_network(image, network)
    target = load_chip(chip or content.chip)
    found, constants = estimate_image(content, target), sourced(target, *CONSTANTS)
    if console.STATE.json_mode:
        console.emit("estimate.v1", {**asdict(found), "constants": constants})
        return
    print_values(constants)
    print_estimate(found)


def _print_peaks(name: str | None) -> None:
    """Published and estimated peak figures: one chip, or all that have something published."""
    from norcim.analysis.peak import peak, ratios
    from norcim.chips import list_chips, load_chip

    rows = []
    for chip in [load_chip(each) for each in ([name] if name else list_chips())]:
        found, due, off = peak(chip), chip.published, ratios(chip)
        if not name and not off:
            continue
        if console.STATE.json_mode:
            console.emit("peak.v1", {
                "chip": chip.name, "tops": found.tops, "power_w": found.power_w,
                "tops_per_w": found.tops_per_w, "energy": asdict(found.energy),
                "published": asdict(due), "ratios": off,
            })  # fmt: skip
        pairs = (
            (due.tops, found.tops, "tops"), (due.tops_per_w, found.tops_per_w, "tops_per_w"),
            (due.power_w, found.power_w, "power_w"),
        )  # fmt: skip
        rows.append((chip.name, *(_pair(*pair, off) for pair in pairs), due.note))
    headings = ("chip", "TOPS", "TOPS/W", "W", "note")
    console.table(headings, rows, right=" rrr")
    console.say("published -> estimated (ratio); most constants are fitted: norcim chips NAME")


def _pair(due: float, mine: float, key: str, off: dict[str, float]) -> str:
    return f"{due:g} -> {mine:.3g} ({off[key]:.2f})" if due else f"- -> {mine:.3g}"


def print_estimate(found: Estimate) -> None:
    """A table of layers and the totals."""
    console.table(
        ("layer", "does", "MACs", "latency", "energy", "DAC", "cells", "ADC", "digital", "static"),
        [_row(layer) for layer in found.layers],
        right="  rrrrrrrr",
    )
    split = found.energy
    total = split.total_j or 1.0
    shares = ", ".join(
        f"{name} {100 * part / total:.0f} %"
        for name, part in (
            ("DAC", split.dac_j),
            ("cells", split.cells_j),
            ("ADC", split.adc_j),
            ("digital", split.digital_j),
            ("static", split.static_j),
        )
    )
    console.say(summary(found))
    console.say(f"energy goes to {shares}")


def summary(found: Estimate) -> str:
    """Latency, energy and power in one line."""
    return (
        f"{found.chip}: {spell(found.latency_s, 's')} and {spell(found.energy.total_j, 'J')} an "
        f"inference, {found.counts.n_macs:,} MACs, {spell(found.energy_per_mac_j, 'J')} a MAC, "
        f"{spell(found.power_w, 'W')} without a pause (estimate)"
    )


def _row(layer: LayerEstimate) -> tuple[str, ...]:
    e = layer.energy
    parts = (e.total_j, e.dac_j, e.cells_j, e.adc_j, e.digital_j, e.static_j)
    return (
        layer.name,
        " ".join(dict.fromkeys(layer.opcodes)),
        f"{layer.counts.n_macs:,}",
        spell(layer.latency_s, "s"),
        *(spell(part, "J") for part in parts),
    )
