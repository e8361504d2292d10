"""Curves as a PNG, without a plotting library: one panel a curve, shared steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.stream.files.still import Picture, write_picture

_PANEL = 900, 220
_MARGIN = 90, 34
_INK, _LINE, _GRID = (40, 40, 40), (180, 90, 20), (220, 220, 220)


@dataclass(frozen=True, slots=True)
class Series:
    """A curve with its name: (step, value) pairs, steps ascending."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(series: Sequence[Series], path: Path, *, title: str) -> None:
    """Draw every curve in a panel of its own, one below the other, and write the PNG."""
    head = np.full((40, _PANEL[0], 3), 255, np.uint8)
    _write(head, title, (12, 27))
    write_picture(path, Picture(np.vstack([head, *(_panel(curve) for curve in series)])))


def _panel(curve: Series) -> NDArray[np.uint8]:
    canvas = np.full((_PANEL[1], _PANEL[0], 3), 255, np.uint8)
    points = np.asarray(curve.points, np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    _write(canvas, curve.name, (12, 20))
    if not len(points):
        return canvas
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    left, top = _MARGIN
    width, height = _PANEL[0] - left - 20, _PANEL[1] - 2 * top
    for share in (0.0, 0.5, 1.0):
        y = round(top + height * (1 - share))
        cv2.line(canvas, (left, y), (left + width, y), _GRID)
        _write(canvas, f"{low[1] + share * span[1]:.5g}", (12, y + 5))
    for share, align in ((0.0, 0), (1.0, 60)):
        _write(canvas, f"{low[0] + share * span[0]:.0f}", (round(left + width * share) - align, _PANEL[1] - 12))
    places = (points - low) / span * (width, -height) + (left, top + height)
    cv2.polylines(canvas, [places.round().astype(np.int32)], False, _LINE, 2, cv2.LINE_AA)
    return canvas


def _write(canvas: NDArray[np.uint8], text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
