"""Noise-aware training: PyTorch layers that compute as the cells and converters of a chip do.

Needs the extra `train`. docs/training.md shows how it is used.
"""

from norcim.train.layers import AwareLayer, make_aware, make_plain

__all__ = ["AwareLayer", "make_aware", "make_plain"]
