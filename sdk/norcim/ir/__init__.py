"""The intermediate representation: graph, table of operations, checks, float evaluation."""

from norcim.ir.evaluate import evaluate
from norcim.ir.graph import Graph, Op, Port, QParams, Tensor, WeightCodes
from norcim.ir.layout import from_tensor, to_tensor
from norcim.ir.ops import OPS
from norcim.ir.verify import verify

__all__ = [
    "OPS",
    "Graph",
    "Op",
    "Port",
    "QParams",
    "Tensor",
    "WeightCodes",
    "evaluate",
    "from_tensor",
    "to_tensor",
    "verify",
]
