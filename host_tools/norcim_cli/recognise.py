"""Words and scores from a network's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from norcim.image import ImageContent


def labels_of(content: ImageContent) -> list[str]:
    """The labels that the image holds; empty if there are none."""
    labels = content.meta.get("labels", [])
    return [str(label) for label in labels] if isinstance(labels, list) else []


def scores(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis of (n, classes), float64; rows that are scores already stay."""
    values = np.asarray(logits, np.float64)
    if values.min() >= 0 and np.allclose(values.sum(axis=-1), 1, atol=0.05):
        return values
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def best(row: npt.NDArray[np.float64], labels: Sequence[str], n: int) -> list[tuple[str, float]]:
    """The n classes with the highest score: label (or number) and score."""
    order = np.argsort(-row, kind="stable")[:n]
    return [(labels[i] if i < len(labels) else str(i), float(row[i])) for i in order]
