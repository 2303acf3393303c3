"""Digits drawn by the script: strokes of a pen, bent at random. Nobody's handwriting."""

from __future__ import annotations

import numpy as np

SIZE = 28
BOX = 20.0
"""Longest side of a drawing, pixels; its centre of mass is in the middle of the frame."""

Stroke = np.ndarray


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, stop: float) -> Stroke:
    """Points on an ellipse; degrees, 0 to the right, 90 down."""
    angle = np.deg2rad(np.linspace(start, stop, 2 + int(abs(stop - start) / 20)))
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], axis=1)


def _line(*corners: tuple[float, float]) -> Stroke:
    """Points along straight pieces, so that they can be bent."""
    at = np.arange(4 * (len(corners) - 1) + 1) / 4
    points = np.array(corners, float)
    return np.stack([np.interp(at, np.arange(len(corners)), axis) for axis in points.T], axis=1)


def _joined(*parts: Stroke) -> Stroke:
    return np.concatenate(parts)


WAYS: tuple[tuple[tuple[Stroke, ...], ...], ...] = (
    (
        (_arc(0, 0, 0.65, 1, -90, 270),),
        (_arc(0, 0, 0.65, 1, -60, 290),),
        (_arc(0, 0, 0.65, 1, -120, 270),),
    ),
    (
        (_line((0, -1), (0, 1)),),
        (_line((-0.25, -0.65), (0.05, -1), (0.05, 1)),),
        (_line((-0.3, -0.6), (0, -1), (0, 1)), _line((-0.4, 1), (0.4, 1))),
    ),
    (
        (_joined(_arc(0, -0.45, 0.55, 0.55, -170, 40), _line((0.42, -0.1), (-0.6, 1), (0.65, 1))),),
        (
            _joined(
                _arc(0, -0.5, 0.5, 0.5, -160, 45),
                _line((0.35, -0.15), (-0.25, 0.85)),
                _arc(-0.4, 0.75, 0.22, 0.2, 40, 330),
                _line((-0.15, 0.7), (0.3, 0.95), (0.75, 0.8)),
            ),
        ),
        (
            _joined(
                _arc(0, -0.45, 0.45, 0.5, -150, 50),
                _line((0.3, -0.1), (-0.1, 0.6)),
                _arc(-0.35, 0.65, 0.35, 0.35, 0, 300),
                _line((-0.1, 0.5), (0.35, 0.9), (0.8, 0.85)),
            ),
        ),
        (_joined(_line((-0.5, -0.95), (0.4, -0.9)), _line((0.4, -0.9), (-0.55, 1), (0.6, 0.95))),),
    ),
    (
        (_joined(_arc(0, -0.5, 0.5, 0.5, -150, 80), _arc(0, 0.5, 0.6, 0.5, -80, 150)),),
        (
            _joined(
                _arc(0, -0.5, 0.5, 0.5, -160, 60),
                _line((0.25, -0.1), (-0.15, -0.05), (0.25, 0)),
                _arc(0, 0.5, 0.6, 0.5, -60, 140),
            ),
        ),
        (_joined(_line((-0.5, -1), (0.5, -1), (-0.05, -0.2)), _arc(0, 0.4, 0.6, 0.6, -80, 150)),),
    ),
    (
        (_line((-0.2, -1), (-0.6, 0.25), (0.65, 0.2)), _line((0.3, -0.7), (0.25, 1))),
        (_line((-0.55, -0.9), (-0.5, 0.05), (0.5, 0)), _line((0.5, -1), (0.45, 1))),
        (_line((0.3, 1), (0.3, -1), (-0.65, 0.3), (0.7, 0.3)),),
        (
            _joined(_arc(-0.05, -0.6, 0.5, 0.6, 190, 80), _line((0.05, 0), (0.5, -0.1))),
            _line((0.5, -0.95), (0.35, 1)),
        ),
    ),
    (
        (_joined(_line((0.55, -1), (-0.4, -1), (-0.5, -0.1)), _arc(0, 0.4, 0.6, 0.6, -145, 150)),),
        (
            _joined(_line((-0.35, -0.95), (-0.45, -0.15)), _arc(0, 0.4, 0.55, 0.6, -130, 140)),
            _line((-0.35, -0.95), (0.6, -1)),
        ),
        (_joined(_arc(0.3, -0.5, 0.6, 0.45, -60, -220), _arc(-0.05, 0.45, 0.5, 0.55, -90, 150)),),
    ),
    (
        (_joined(_arc(0.3, 0.1, 0.85, 1.15, -95, -185), _arc(0, 0.45, 0.5, 0.5, -180, 200)),),
        (_joined(_line((0.2, -1), (-0.5, 0.3)), _arc(-0.02, 0.5, 0.5, 0.5, 200, -190)),),
        (_joined(_line((-0.35, -1), (-0.5, 0.4)), _arc(0, 0.5, 0.5, 0.45, 170, -160)),),
    ),
    (
        (_line((-0.6, -0.95), (0.6, -1), (-0.1, 1)),),
        (_line((-0.6, -0.95), (0.6, -1), (-0.1, 1)), _line((-0.25, 0.05), (0.45, 0))),
        (_line((-0.55, -0.6), (-0.5, -0.95), (0.55, -0.95), (0.15, 0), (0.05, 1)),),
        (_joined(_line((-0.6, -0.9), (0.2, -0.95)), _arc(0.1, 0.4, 0.45, 1.35, -80, 20)),),
    ),
    (
        (_arc(0, -0.5, 0.45, 0.5, 90, 450), _arc(0, 0.5, 0.55, 0.5, -90, 270)),
        (
            _joined(
                _arc(0, -0.5, 0.5, 0.5, -30, -240),
                _line((-0.2, -0.05), (0.25, 0.1)),
                _arc(0, 0.52, 0.5, 0.48, -50, 230),
                _line((-0.3, 0.15), (0.43, -0.75)),
            ),
        ),
    ),
    (
        (_arc(0, -0.45, 0.5, 0.5, 0, 360), _line((0.5, -0.45), (0.4, 0.3), (0.2, 1))),
        (_joined(_arc(0, -0.5, 0.5, 0.45, -20, -370), _line((0.5, -0.6), (0.45, 1))),),
        (
            _joined(
                _arc(0, -0.45, 0.5, 0.5, -10, -370),
                _line((0.5, -0.5), (0.5, 0.4)),
                _arc(0, 0.4, 0.5, 0.6, 0, 140),
            ),
        ),
    ),
)
"""Ways to write each of the ten digits, in strokes; x to the right, y down, about -1..1."""


def draw_digit(digit: int, rng: np.random.Generator) -> np.ndarray:
    """One drawing: uint8 (28, 28), 0 is paper and 255 ink."""
    way = WAYS[digit][int(rng.integers(len(WAYS[digit])))]
    slant, turn, wide = rng.normal(0.15, 0.25), rng.normal(0, 0.1), rng.uniform(0.6, 1.25)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = np.array([[wide, 0], [-slant, 1]]) @ turned
    waves, phases = rng.normal(0, 1.6, (4, 2)), rng.uniform(0, 2 * np.pi, 4)
    swing = rng.normal(0, 0.09, (4, 2))
    pieces = []
    for stroke in way:
        points = stroke + rng.normal(0, 0.05, 2)
        points = (points + np.sin(points @ waves.T + phases) @ swing) @ matrix
        pieces.append(np.stack([points[:-1], points[1:]], axis=1))
    return _ink(_framed(np.concatenate(pieces)), rng.uniform(0.5, 1.7), rng.uniform(0.5, 1.2))


def draw_digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawings uint8 (n, 28, 28) and what they show, int64 (n,); each digit about as often."""
    rng = np.random.default_rng(seed)
    digits = np.arange(n) % 10
    return np.stack([draw_digit(int(digit), rng) for digit in digits]), digits


def _framed(pieces: np.ndarray) -> np.ndarray:
    """Pieces of line (n, 2, 2), ends and x, y, scaled to BOX with their ink around the origin."""
    ends = pieces.reshape(-1, 2)
    scaled = pieces * (BOX - 2) / np.ptp(ends, axis=0).max()
    lengths = np.hypot(*(scaled[:, 1] - scaled[:, 0]).T)
    return scaled - np.average(scaled.mean(axis=1), axis=0, weights=lengths + 1e-9)


def _ink(pieces: np.ndarray, radius: float, softness: float) -> np.ndarray:
    """What a pen of this radius in pixels leaves; its edge is `softness` pixels to either side."""
    y, x = np.mgrid[:SIZE, :SIZE]
    grid = (np.stack([x, y], axis=-1) - (SIZE - 1) / 2).reshape(-1, 1, 2)
    start, along = pieces[:, 0], pieces[:, 1] - pieces[:, 0]
    squared = np.maximum(np.square(along).sum(axis=1), 1e-9)
    share = np.clip(((grid - start) * along).sum(axis=2) / squared, 0, 1)
    offset = grid - start - share[..., None] * along
    distance = np.sqrt(np.square(offset).sum(axis=2).min(axis=1)).reshape(SIZE, SIZE)
    ink = np.clip((radius + softness - distance) / (2 * softness), 0, 1)
    return np.round(255 * ink).astype(np.uint8)
