"""Line plots and ROC plots, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import cv2
import numpy as np

from deepclarity.models.verdict import Bytes
from deepclarity.stream.files.still import Picture, write_picture

_SUBPLOT = 900, 220
_MARGIN = 90, 34
_INK, _LINE, _GRID = (40, 40, 40), (180, 90, 20), (220, 220, 220)

_ROC_SIDE, _ROC_LEFT, _ROC_TOP, _ROC_RIGHT, _ROC_FOOT = 520, 70, 50, 30, 110
_ROC_GRID = (225, 225, 225)
_ROC_COLOURS = ((180, 90, 20), (40, 40, 200), (40, 140, 40), (160, 40, 160), (20, 150, 200))
_ROC_TICKS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Series:
    """A named curve of a line plot: (step, value) pairs, steps ascending."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class RocCurve:
    """A named ROC curve: (false positive rate, recall) points, 0..1, and the area under it."""

    name: str
    points: Sequence[tuple[float, float]]
    area: float


def plot_curves(series: Sequence[Series], path: Path, *, title: str) -> None:
    """Draw each curve in its own subplot, one below the other, and write them as a PNG."""
    head = np.full((40, _SUBPLOT[0], 3), 255, np.uint8)
    _write(head, title, (12, 27))
    write_picture(path, Picture(np.vstack([head, *(_subplot(curve) for curve in series)])))


def plot_roc(subplots: Mapping[str, Sequence[RocCurve]]) -> Picture:
    """Draw one subplot per title, side by side, with one ROC curve per method.

    Both axes show the square root of the distance from the ideal corner, which spreads out the last percents.
    """
    return Picture(np.hstack([_roc_subplot(title, curves) for title, curves in subplots.items()]))


def _subplot(curve: Series) -> Bytes:
    canvas = np.full((_SUBPLOT[1], _SUBPLOT[0], 3), 255, np.uint8)
    points = np.asarray(curve.points, np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    _write(canvas, curve.name, (12, 20))
    if not len(points):
        return canvas
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    left, top = _MARGIN
    width, height = _SUBPLOT[0] - left - 20, _SUBPLOT[1] - 2 * top
    for share in (0.0, 0.5, 1.0):
        y = round(top + height * (1 - share))
        cv2.line(canvas, (left, y), (left + width, y), _GRID)
        _write(canvas, f"{low[1] + share * span[1]:.5g}", (12, y + 5))
    for share, align in ((0.0, 0), (1.0, 60)):
        _write(canvas, f"{low[0] + share * span[0]:.0f}", (round(left + width * share) - align, _SUBPLOT[1] - 12))
    positions = (points - low) / span * (width, -height) + (left, top + height)
    cv2.polylines(canvas, [positions.round().astype(np.int32)], False, _LINE, 2, cv2.LINE_AA)
    return canvas


def _roc_subplot(title: str, curves: Sequence[RocCurve]) -> Bytes:
    foot = _ROC_FOOT + 22 * max(0, len(curves) - 2)
    canvas = np.full((_ROC_TOP + _ROC_SIDE + foot, _ROC_LEFT + _ROC_SIDE + _ROC_RIGHT, 3), 255, np.uint8)
    _write(canvas, title, (_ROC_LEFT, 30), 0.6)
    for tick in _ROC_TICKS:
        x, y = _roc_position(tick, 1 - tick)
        cv2.line(canvas, (x, _ROC_TOP), (x, _ROC_TOP + _ROC_SIDE), _ROC_GRID)
        cv2.line(canvas, (_ROC_LEFT, y), (_ROC_LEFT + _ROC_SIDE, y), _ROC_GRID)
        _write(canvas, f"{tick:.0%}", (x - 12, _ROC_TOP + _ROC_SIDE + 18))
        _write(canvas, f"{1 - tick:.0%}", (_ROC_LEFT - 44, y + 5))
    axis_label = (_ROC_LEFT + _ROC_SIDE // 2 - 110, _ROC_TOP + _ROC_SIDE + 40)
    _write(canvas, "false positives, against recall", axis_label)
    for number, curve in enumerate(curves):
        colour, line = _ROC_COLOURS[number % len(_ROC_COLOURS)], _ROC_TOP + _ROC_SIDE + 66 + 22 * number
        if curve.points:
            positions = np.array([_roc_position(*point) for point in curve.points], np.int32)
            cv2.polylines(canvas, [positions], False, colour, 2, cv2.LINE_AA)
        cv2.line(canvas, (_ROC_LEFT, line - 4), (_ROC_LEFT + 30, line - 4), colour, 2)
        _write(canvas, f"{curve.name}: area {curve.area:.4f}", (_ROC_LEFT + 40, line))
    return canvas


def _roc_position(false_positive_rate: float, recall: float) -> tuple[int, int]:
    return _ROC_LEFT + round(_ROC_SIDE * sqrt(false_positive_rate)), _ROC_TOP + round(_ROC_SIDE * sqrt(1 - recall))


def _write(canvas: Bytes, text: str, position: tuple[int, int], size: float = 0.45) -> None:
    cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
