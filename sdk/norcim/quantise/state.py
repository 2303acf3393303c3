"""What the quantiser knows while it goes through a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from norcim.chips.model import Chip
from norcim.ir.graph import Floats, Graph, Op, QParams
from norcim.ir.lowered import LayerError, QuantOp, TileShape
from norcim.quantise.choices import Choices, LayerChoice
from norcim.quantise.conv_plan import ConvTask, Weights
from norcim.quantise.spans import Span

LAYER_DB = 32.0
MOST_ROW_TILES = 4

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """How convolutions go onto the chip; the mapper's side of the bargain.

    on_vector_path  whether a convolution runs beside the arrays
    tile            (convolution, wordlines an input, fewest row tiles) -> its tiles
    copies_of       convolution -> most copies of its wordlines that a tile can hold
    bias_rows       bias rows that every tile may use
    row_tiles       most row tiles that a layer is cut into only to read its sums better
    spare_cells     beside those of the plain layers, for more than the plain way of reading them
    layer_db        signal over error that is enough for what a converter makes of a layer
    choices         what the user fixed
    """

    on_vector_path: Callable[[Op], bool]
    tile: Callable[[Op, int, int], tuple[TileShape, ...]]
    copies_of: Callable[[Op], int]
    bias_rows: int
    row_tiles: int = MOST_ROW_TILES
    spare_cells: int = 0
    layer_db: float = LAYER_DB
    choices: Choices = field(default_factory=dict)


@dataclass
class State:
    """What is known so far: parameters, codes and errors by tensor, and the finished steps.

    spans        by tensor, the range beyond which values are clipped on purpose
    spent_cells  of the layout's spare ones
    repeats      `norcim.ir.graph.repeated_weights`
    leaders      by output, the first of convolutions of equal weights
    """

    chip: Chip
    graph: Graph
    layout: Layout
    expected: Mapping[str, Floats]
    spans: Mapping[str, Span]
    q: dict[str, QParams]
    codes: dict[str, Codes]
    tied: Mapping[str, str] = field(default_factory=dict)
    repeats: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rescaled: list[str] = field(default_factory=list)
    done: list[QuantOp] = field(default_factory=list)
    errors: dict[str, LayerError] = field(default_factory=dict)
    spent_cells: int = 0
    leaders: dict[str, tuple[ConvTask, Weights, QuantOp]] = field(default_factory=dict)

    def choice(self, op: Op) -> LayerChoice:
        """What the user fixed for a layer."""
        return self.layout.choices.get(op.node, LayerChoice())

    def limits(self, op: Op) -> Span:
        """What no range of an operation's output goes beyond: its clamp, and the output's span."""
        low, high = op.attrs.get("clamp") or (-math.inf, math.inf)
        span = self.spans.get(op.output, (-math.inf, math.inf))
        return max(low, span[0]), min(high, span[1])
