"""Window attributes of Conv and the pools: kernel, strides, dilations, pads in all their forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from norcim.frontend.builder import check_budget
from norcim.frontend.call import Call
from norcim.frontend.values import Unsupported
from norcim.ir.window import Pads, Pair, extent


@dataclass(frozen=True)
class Window:
    """Geometry as the IR has it."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    pads: Pads


def window(call: Call, kernel: Sequence[int], size: Pair) -> Window:
    """The geometry of a node with a kernel of 1 or 2 dimensions on an input (h, w)."""
    rank = len(kernel)
    stride = _pair(call.attr("strides", [1] * rank), rank)
    dilation = _pair(call.attr("dilations", [1] * rank), rank)
    shape = _pair(kernel, rank)
    if min(*stride, *dilation, *shape) < 1:
        raise ValueError(f"kernel {shape}, strides {stride}, dilations {dilation}")
    spans = (extent(shape[0], dilation[0]), extent(shape[1], dilation[1]))
    pads = _pads(call, rank, size, spans, stride)
    check_budget((size[0] + pads[0] + pads[2]) * (size[1] + pads[1] + pads[3]), call.node.name)
    return Window(shape, stride, dilation, pads)


def _pair(values: Sequence[int], rank: int) -> Pair:
    if len(values) != rank:
        raise ValueError(f"{rank} numbers needed, got {list(values)}")
    return (int(values[0]), int(values[1]) if rank == 2 else 1)


def _pads(call: Call, rank: int, size: Pair, spans: Pair, stride: Pair) -> Pads:
    mode = call.attr("auto_pad", "NOTSET") or "NOTSET"
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pairs = [_same(size[i], spans[i], stride[i], mode) for i in (0, 1)]
        return (pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1])
    if mode != "NOTSET":
        raise ValueError(f"auto_pad {mode!r}")
    pads = [int(p) for p in call.attr("pads", [0] * (2 * rank))]
    if len(pads) != 2 * rank:
        raise ValueError(f"{2 * rank} pads needed, got {pads}")
    if min(pads) < 0:
        raise Unsupported(f"negative pads {pads}", "slice the input before the model")
    return (pads[0], pads[1], pads[2], pads[3]) if rank == 2 else (pads[0], 0, pads[1], 0)


def _same(size: int, span: int, stride: int, mode: str) -> Pair:
    """(before, after) so that ceil(size / stride) windows fit; the odd one goes where mode says."""
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if mode == "SAME_UPPER" else (large, small)
