"""Quantise a graph for a chip and map it: with all that the chip offers, or less until it fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from norcim.chips.model import Chip
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.image.model import ImageContent
from norcim.ir.graph import Floats, Graph, Op
from norcim.ir.lowered import QuantGraph
from norcim.ir.stream_plan import Stream, plan_stream
from norcim.ir.streamed import streamed
from norcim.mapper import (
    Block,
    can_place,
    choose_group_limit,
    emit,
    free_bias_rows,
    graph_blocks,
    most_bias_rows,
    most_copies,
    on_vector_path,
    plan_memory,
    tile_blocks,
    tile_conv,
    vector_weight_bytes,
)
from norcim.quantise import (
    LAYER_DB,
    MOST_ROW_TILES,
    Choices,
    Layout,
    Prepared,
    check_choices,
    prepare,
    quantise_graph,
    wanted_copies,
    with_fine_inputs,
)
from norcim.spec.program import Rule, Stage

Progress = Callable[[str, int, int], None]

_PACKED = 0.9  # of the cells: what packing may be hoped to use
_GROUPS = (32, 8, 4, 2, 1)  # most in a block-diagonal tile
_COPIES = (255, 8, 4, 2)  # most of a wordline
_DO_NOT_FIT = ("NC-E0302", "NC-E0303", "NC-E0304", "NC-E0410")
_WORTH_DB = 0.5  # of the outputs: what inputs of 12 bits have to gain
_BUDGET_DB = (20.0, 26.0, LAYER_DB, 38.0, 44.0)
"""What a layer may lose to the converter, from cheap to dear: tried until a budget is kept."""


@dataclass(frozen=True)
class Wishes:
    """What a user asks of a compilation.

    accuracy_budget  most points that the calibration set may lose; None: none is set
    cell_budget      most cells for weights, above what the plain layers need; None: all
    choices          for single layers
    stream           compute the new frames of each call only; None: whole windows
    """

    accuracy_budget: float | None = None
    cell_budget: int | None = None
    choices: Choices = field(default_factory=dict)
    stream: Stream | None = None

    def most_cells(self, chip: Chip) -> int:
        """Cells that may be used."""
        return chip.n_cells if self.cell_budget is None else self.cell_budget


NO_WISHES = Wishes()


@dataclass(frozen=True)
class _Offer:
    """What of a chip the quantiser may use.

    groups       most groups in a block-diagonal tile; 0: as many as fit
    copies       by convolution's output, most copies of a wordline
    bias_rows    of a tile
    row_tiles    most of them that a layer is cut into only to read its sums better
    spare_cells  for more than the plain way of reading the layers
    """

    groups: int
    copies: Mapping[str, int]
    bias_rows: int
    spare_cells: int
    row_tiles: int = MOST_ROW_TILES


def quantise_and_map(
    graph: Graph, chip: Chip, data: Mapping[str, Floats], integer: frozenset[str],
    meta: dict[str, Any], wishes: Wishes, progress: Progress,
) -> ImageContent:  # fmt: skip
    """An image's content, its known-answer test left empty.

    Raises NC-E0302 or NC-E0303 if nothing fits, NC-E0409 for choices that do not suit the model,
    NC-E0410 if the accuracy budget cannot be kept, NC-E0412 for a stream that cannot be.
    """
    check_choices(wishes.choices, graph, chip)
    if wishes.stream is not None:
        plan_stream(graph, wishes.stream)
    prepared = prepare(graph, chip, data)
    finer = prepared if wishes.stream else with_fine_inputs(prepared, integer)
    found: list[tuple[ImageContent, QuantGraph]] = []
    refusal: NorcimError | None = None
    for candidate in (prepared,) if finer is prepared else (prepared, finer):
        try:
            found.append(_within_budget(candidate, chip, integer, meta, wishes, progress))
        except NorcimError as error:
            if error.id not in _DO_NOT_FIT:
                raise
            refusal = refusal or error
    if not found:
        assert refusal is not None, "a candidate fits or is refused"
        raise refusal
    (content, quant), (other, other_quant) = found[0], found[-1]
    affordable = len(other.weights) <= wishes.most_cells(chip)
    wanted = wishes.accuracy_budget is None and affordable
    if wanted and _output_db(other_quant) >= _output_db(quant) + _WORTH_DB:
        return other
    return content


def _output_db(quant: QuantGraph) -> float:
    """Signal over error of the worst output on the calibration set, those that are inputs aside."""
    names = [port.tensor for port in quant.graph.outputs if port.tensor in quant.errors]
    ratios = [quant.errors[name].sqnr_db for name in names]
    return min((ratio for ratio in ratios if ratio is not None), default=math.inf)


def _within_budget(
    prepared: Prepared, chip: Chip, integer: frozenset[str], meta: dict[str, Any],
    wishes: Wishes, progress: Progress,
) -> tuple[ImageContent, QuantGraph]:  # fmt: skip
    """The cheapest content that keeps the accuracy budget. Raises as `quantise_and_map`."""
    budget = wishes.accuracy_budget
    if budget is None:
        return _fit(prepared, chip, integer, meta, wishes, LAYER_DB, progress)
    tunable = chip.converter.rule != Rule.LOSSLESS and chip.stage == Stage.REQUANTISE
    least = float("inf")
    for layer_db in _BUDGET_DB if tunable else (LAYER_DB,):
        content, quant = _fit(prepared, chip, integer, meta, wishes, layer_db, progress)
        least = min(least, quant.lost_points)
        if quant.lost_points <= budget:
            return content, quant
    raise NorcimError(
        "NC-E0410", "the accuracy budget cannot be kept", where=prepared.graph.name,
        expected=f"at most {budget:g} points lost on the calibration set",
        got=f"{least:.2f} at best", why="the chip's integers or cells do not allow it",
        fix="allow more points or cells, give more calibration samples, or take another chip",
        exit_code=EXIT_UNSUPPORTED,
    )  # fmt: skip


def _fit(
    prepared: Prepared, chip: Chip, integer: frozenset[str], meta: dict[str, Any],
    wishes: Wishes, layer_db: float, progress: Progress,
) -> tuple[ImageContent, QuantGraph]:  # fmt: skip
    """The first offer that fits, and what it was made of."""
    refusal: NorcimError | None = None
    for first in _offers(prepared, chip, wishes):
        offer: _Offer | None = first
        while offer is not None:
            layout = _layout(chip, offer, wishes.choices, layer_db)
            quant = quantise_graph(
                prepared, chip, layout, integer_inputs=integer, progress=progress
            )
            progress("map", 0, 1)
            found = {"calibration_points_lost": round(quant.lost_points, 2)}
            if wishes.stream is not None:
                quant, stream_meta = streamed(quant, wishes.stream)
                found |= stream_meta
            try:
                content = emit(quant, chip, plan_memory(quant.graph, chip), {**meta, **found})
            except NorcimError as error:
                if error.id not in ("NC-E0302", "NC-E0303"):
                    raise
                refusal = error
                offer = _smaller(offer, error.id, quant, prepared.graph, chip)
            else:
                return content, quant
    assert refusal is not None, "there is always a first offer"
    raise refusal


def _offers(prepared: Prepared, chip: Chip, wishes: Wishes) -> Iterator[_Offer]:
    """What to try, the best first.

    Layers with few inputs live on copies of their wordlines, so many copies in small
    block-diagonal tiles come before few in large ones; large tiles take fewer steps.
    """
    graph, rows = prepared.graph, chip.arrays.n_bias_rows
    first = choose_group_limit(graph, chip)
    wanted = wanted_copies(prepared, chip)
    limits = [first, *(limit for limit in _GROUPS if not first or limit < first)]
    for most in _COPIES if wanted else ():
        copies = {name: min(most, n) for name, n in wanted.items()}
        for groups in limits:
            blocks = graph_blocks(graph, chip, groups, copies)
            if _n_cells(blocks) <= wishes.most_cells(chip) and can_place(blocks, chip):
                spare = _spare_cells(graph, chip, blocks, wishes)
                yield _Offer(groups, copies, rows, spare)
                break
    for groups in dict.fromkeys((first, limits[-1])):
        spare = _spare_cells(graph, chip, graph_blocks(graph, chip, groups), wishes)
        yield _Offer(groups, {}, rows, spare)


def _n_cells(blocks: Sequence[Block]) -> int:
    return sum(block.n_lines * block.n_cols for block in blocks)


def _spare_cells(graph: Graph, chip: Chip, blocks: Sequence[Block], wishes: Wishes) -> int:
    used = _n_cells(blocks) + vector_weight_bytes(graph, chip)
    packed = int(min(chip.n_cells, chip.memories.weight_bytes) * _PACKED)
    return max(0, min(packed, wishes.most_cells(chip)) - used)


def _smaller(
    offer: _Offer, error: str, quant: QuantGraph, graph: Graph, chip: Chip
) -> _Offer | None:
    """The next offer after one that did not fit, None if its tiles are at fault."""
    if error == "NC-E0302":
        less = quant.spent_cells // 2
        return replace(offer, spare_cells=less) if quant.spent_cells else None
    most = most_bias_rows(tile_blocks(quant), chip)
    if 0 < most < offer.bias_rows:
        return replace(offer, bias_rows=most)
    rows = chip.arrays.n_bias_rows
    if offer.row_tiles > 1:
        return replace(offer, bias_rows=rows, row_tiles=offer.row_tiles // 2)
    if quant.spent_cells:
        return replace(offer, bias_rows=rows, spare_cells=quant.spent_cells // 2)
    blocks = graph_blocks(graph, chip, offer.groups)
    fair = free_bias_rows(blocks, vector_weight_bytes(graph, chip), chip)
    return replace(offer, bias_rows=fair, spare_cells=0) if fair < offer.bias_rows else None


def _layout(chip: Chip, offer: _Offer, choices: Choices, layer_db: float) -> Layout:
    return Layout(
        on_vector_path=lambda op: on_vector_path(op, chip),
        tile=lambda op, lines, rows: tile_conv(
            op, chip, lines_per_input=lines, group_limit=offer.groups, row_tiles=rows
        ),
        copies_of=lambda op: min(_asked_copies(op, offer, choices), most_copies(op, chip)),
        bias_rows=offer.bias_rows,
        row_tiles=offer.row_tiles,
        spare_cells=offer.spare_cells,
        layer_db=layer_db,
        choices=choices,
    )


def _asked_copies(op: Op, offer: _Offer, choices: Choices) -> int:
    choice = choices.get(op.node)
    return (choice and choice.copies) or offer.copies.get(op.output, 1)
