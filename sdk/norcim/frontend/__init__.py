"""Imports ONNX models into the IR: the only package that knows onnx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from norcim.frontend.fixed import Fixed, fix_inputs, shares
from norcim.frontend.folding import fold_after, fold_before
from norcim.frontend.importer import to_graph
from norcim.frontend.load import load
from norcim.frontend.passes import (
    Pass,
    drop_unread,
    fuse_clips,
    fuse_gates,
    fuse_pads,
    hoist_clips,
    merge_quantisation,
    spread_quantisation,
)
from norcim.frontend.tables import fuse_tables
from norcim.ir.graph import Graph
from norcim.ir.verify import verify

__all__ = ["NOTHING_FIXED", "PASSES", "Fixed", "import_onnx", "share_fixed"]

NOTHING_FIXED = Fixed()

PASSES: tuple[Pass, ...] = (
    drop_unread,
    fold_after,
    fold_before,
    fuse_gates,
    hoist_clips,
    fuse_clips,
    merge_quantisation,
    spread_quantisation,
    fuse_clips,
    fuse_tables,
    fuse_pads,
)
"""In this order; the graph is verified after each."""


def import_onnx(path: str | Path, fixed: Fixed = NOTHING_FIXED) -> Graph:
    """Read an ONNX model, float or QDQ, into a channels-last graph.

    fixed  shapes of inputs that the model leaves open, and inputs that become constants

    Activation functions, batch normalisation, scales, shifts and zero padding are folded into
    the convolutions; a QDQ model's parameters are on its tensors and weights.
    Raises NorcimError: NC-E0201 not ONNX, NC-E0202 damaged, NC-E0203 operations that are not
    supported (all of them, each with a workaround), NC-E0204 NaN weights, NC-E0205 open
    dimensions, NC-E0206 too large, NC-E0207 external data, NC-E0208 illegal scales, NC-E0217
    something fixed that the model does not have.
    """
    with np.errstate(all="ignore"):  # verify refuses what an overflow leaves behind
        graph = verify(to_graph(fix_inputs(load(Path(path)), fixed)))
        for rewrite in PASSES:
            graph = rewrite(graph)
    return graph


def share_fixed(paths: Sequence[str | Path], fixed: Fixed) -> list[Fixed]:
    """For each of several models, what of `fixed` names one of its inputs.

    Raises NorcimError: NC-E0201, NC-E0202 or NC-E0207 for a file, NC-E0217 for a name that no
    model has.
    """
    if not (fixed.shapes or fixed.values):
        return [fixed] * len(paths)
    return shares([[info.name for info in load(Path(path)).inputs] for path in paths], fixed)
