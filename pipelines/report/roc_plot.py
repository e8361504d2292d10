"""ROC curves in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import cv2
import numpy as np

from deepclarity.models.train.enhancer.patches import Bytes
from deepclarity.pipelines.evaluation.detector_scores import area_under
from deepclarity.stream.files.still import Picture

_SIDE, _LEFT, _TOP, _RIGHT, _FOOT = 520, 70, 50, 30, 110
_INK, _GRID = (40, 40, 40), (225, 225, 225)
_COLOURS = ((180, 90, 20), (40, 40, 200), (40, 140, 40), (160, 40, 160), (20, 150, 200))
_TICKS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


def draw_roc(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> Picture:
    """A panel a protocol, and in it a curve a method: (false positives, recall) points, 0..1.

    Both axes show the square root of the distance from the ideal corner, so that the last percents can be told apart.
    """
    return Picture(np.hstack([_panel(title, curves) for title, curves in panels.items()]))


def _panel(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> Bytes:
    foot = _FOOT + 22 * max(0, len(curves) - 2)
    canvas = np.full((_TOP + _SIDE + foot, _LEFT + _SIDE + _RIGHT, 3), 255, np.uint8)
    _write(canvas, title, (_LEFT, 30), 0.6)
    for tick in _TICKS:
        x, y = _place(tick, 1 - tick)
        cv2.line(canvas, (x, _TOP), (x, _TOP + _SIDE), _GRID)
        cv2.line(canvas, (_LEFT, y), (_LEFT + _SIDE, y), _GRID)
        _write(canvas, f"{tick:.0%}", (x - 12, _TOP + _SIDE + 18))
        _write(canvas, f"{1 - tick:.0%}", (_LEFT - 44, y + 5))
    _write(canvas, "false positives, against recall", (_LEFT + _SIDE // 2 - 110, _TOP + _SIDE + 40))
    for number, (name, points) in enumerate(curves.items()):
        colour, line = _COLOURS[number % len(_COLOURS)], _TOP + _SIDE + 66 + 22 * number
        if points:
            places = np.array([_place(*point) for point in points], np.int32)
            cv2.polylines(canvas, [places], False, colour, 2, cv2.LINE_AA)
        cv2.line(canvas, (_LEFT, line - 4), (_LEFT + 30, line - 4), colour, 2)
        _write(canvas, f"{name}: area {area_under(points):.4f}", (_LEFT + 40, line))
    return canvas


def _place(wrong: float, recall: float) -> tuple[int, int]:
    return _LEFT + round(_SIDE * sqrt(wrong)), _TOP + round(_SIDE * sqrt(1 - recall))


def _write(canvas: Bytes, text: str, place: tuple[int, int], size: float = 0.45) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
