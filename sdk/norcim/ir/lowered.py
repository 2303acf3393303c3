"""A quantised graph: what the quantiser hands to the mapper, all integers decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from norcim.ir.graph import Graph, Op
from norcim.spec.program import Encoding, Stage

Ints = npt.NDArray[np.int64]
Cells = npt.NDArray[np.int8]


@dataclass(frozen=True)
class TileShape:
    """The part of a layer that one tile computes; see `norcim.spec.program.Tile` for the fields."""

    in_c_first: int
    in_c_count: int
    k_first: int
    n_rows: int
    out_c_first: int
    n_cols: int


@dataclass(frozen=True)
class QuantTile:
    """A tile with its cells: weights (wordlines, n_cols), bias (n_bias_rows, n_cols).

    repeats  further copies of all wordlines, see `norcim.spec.program.Tile`
    """

    shape: TileShape
    repeats: int
    gain: int
    align: int
    weights: Cells
    bias: Cells


@dataclass(frozen=True)
class QuantConv:
    """A convolution in integers.

    encoding  how the wordlines are driven
    tiles     on the arrays; empty if the layer runs on the vector path
    stage     REQUANTISE uses bias, multiplier and shift, int64 (c_out,); SHIFT has none
    vector_weights  (kh, kw, c) on the vector path
    centre    with PN, the code that drives neither half of the rows
    """

    encoding: Encoding
    tiles: tuple[QuantTile, ...]
    stage: Stage
    bias: Ints
    multiplier: Ints
    shift: Ints
    vector_weights: Cells | None = None
    centre: int = 0


@dataclass(frozen=True)
class QuantOp:
    """An operation with its integer parameters.

    clamp    smallest and largest output code
    conv     for kind conv
    numbers  scalar parameters by name: add (multiplier_a, multiplier_b, shift), mul (multiplier_a,
             shift), avgpool (see arrays)
    arrays   avgpool: multiplier and shift by number of missing positions; table: 256 bytes;
             softmax: 256 uint16 entries
    """

    op: Op
    clamp: tuple[int, int]
    conv: QuantConv | None = None
    numbers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    arrays: Mapping[str, Ints] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class LayerError:
    """A layer against the real one on the calibration set.

    rms_lsb  in steps of the output; sqnr_db None where signal or error is zero
    """

    rms_lsb: float
    sqnr_db: float | None


@dataclass(frozen=True)
class QuantGraph:
    """A graph whose tensors all have quantisation parameters, and its operations in integers.

    notes     what the quantiser did that a user should know, one line each
    quarters  for tensors whose channels were scaled by 2^(quarters / 4): the quarters, by channel
    errors    by tensor
    spent_cells  of the spare ones that the layout had
    lost_points  on the calibration set, against the real graph: see `norcim.quantise`
    """

    graph: Graph
    ops: tuple[QuantOp, ...]
    notes: tuple[str, ...]
    quarters: Mapping[str, tuple[int, ...]]
    errors: Mapping[str, LayerError]
    spent_cells: int = 0
    lost_points: float = 0.0
