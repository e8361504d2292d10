"""A picture of the evidence: the frame, where blocks are seen in it, and its gradients folded at their period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from deepclarity.errors import SourceError
from deepclarity.models.detectors.evidence import AxisEvidence, evidence
from deepclarity.models.train.enhancer.patches import Bytes
from deepclarity.models.verdict import Detector, Plane, Verdict
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.files.still import PICTURES, Picture, read_picture
from deepclarity.stream.planes import rgb_of

_WIDTH, _GAP, _HEAD, _PLOT = 720, 16, 40, 250
MIN_SIDE_PX = 13
"""Pixels a side that the evidence needs."""
_INK, _EDGE, _BETWEEN, _RULE = (40, 40, 40), (40, 70, 210), (190, 150, 110), (215, 215, 215)


@dataclass(frozen=True, slots=True)
class _Shown:
    """One picture or frame, and the verdict on it."""

    title: str
    luma: Plane
    max_value: int
    bgr: Bytes
    verdict: Verdict


def explain(path: Path, detector: Detector) -> Picture:
    """Lay open why `path`, a picture, or the first pixelated frame of a video, is judged as it is.

    Of a video without such a frame, the one that comes nearest is shown. SourceError where there is nothing to show.
    """
    if path.is_dir():
        raise SourceError(f"{path}: a folder. Name one picture or video to explain.")
    shown = _of_picture(path, detector) if path.suffix.lower() in PICTURES else _of_video(path, detector)
    if min(shown.luma.shape) < MIN_SIDE_PX:
        height, width = shown.luma.shape
        raise SourceError(f"{path}: {width}x{height} pixels are too few to explain; {MIN_SIDE_PX} a side are needed.")
    return Picture(_drawn(shown))


def explain_picture(picture: Picture, verdict: Verdict, *, title: str) -> Picture:
    """Lay open why `picture`, of at least `MIN_SIDE_PX` a side, was given `verdict`."""
    return Picture(_drawn(_shown(picture, verdict, title)))


def _of_picture(path: Path, detector: Detector) -> _Shown:
    picture = read_picture(path)
    planes = picture.planes
    return _shown(picture, detector(planes[0], max_value=picture.max_value, chroma=planes[1:]), path.name)


def _shown(picture: Picture, verdict: Verdict, title: str) -> _Shown:
    bgr = picture.pixels if picture.pixels.dtype == np.uint8 else picture.pixels >> 8
    return _Shown(title, picture.planes[0], picture.max_value, bgr.astype(np.uint8, copy=False), verdict)


def _of_video(path: Path, detector: Detector) -> _Shown:
    best: _Shown | None = None
    with FileSource(path) as source:
        for frame in source:
            verdict = detector(frame.luma, max_value=frame.max_value, chroma=frame.planes[1:])
            if best is None or verdict.pixelated or verdict.score > best.verdict.score:
                bgr = np.ascontiguousarray(rgb_of(frame.planes, source.planar, source.info.colour)[..., ::-1])
                title = f"{path.name}, frame {frame.index} at {frame.time_s:.3f} s"
                best = _Shown(title, frame.luma.copy(), frame.max_value, bgr, verdict)
            if verdict.pixelated:
                break
    assert best is not None  # a source without a picture does not open
    return best


def _drawn(shown: _Shown) -> Bytes:
    """Frame and heat map beside each other, the folded gradients of both axes below."""
    seen = evidence(shown.luma, shown.verdict.blocks, max_value=shown.max_value)
    frame = _fitted(shown.bgr)
    heat = _warmed(frame, seen.heat)
    left, right = (_titled(picture, words) for picture, words in ((frame, _caption(shown)), (heat, _HEAT)))
    plots = [
        _plot(axis, name)
        for axis, name in ((seen.x, "x: steps from column to column"), (seen.y, "y: steps from row to row"))
    ]
    gap = np.full((left.shape[0], _GAP, 3), 255, np.uint8)
    top, bottom = np.hstack([left, gap, right]), np.hstack([plots[0], gap[:1].repeat(_PLOT, axis=0), plots[1]])
    return np.pad(np.vstack([top, bottom]), ((_GAP, _GAP), (_GAP, _GAP), (0, 0)), constant_values=255)


_HEAT = "where blocks are seen: the brighter, the harder the steps at block edges against those between"


def _caption(shown: _Shown) -> str:
    verdict = shown.verdict
    blocks = verdict.blocks
    size = f", {blocks.width_px:.4g} x {blocks.height_px:.4g} px" if blocks else ""
    return f"{shown.title}: {verdict.kind}, score {verdict.score:.2f}{size}"


def _fitted(bgr: Bytes) -> Bytes:
    """At the panel's width; small pictures keep their pixels sharp."""
    scale = _WIDTH / bgr.shape[1]
    size = _WIDTH, max(1, min(_WIDTH * 2, round(bgr.shape[0] * scale)))
    return cast(Bytes, cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST))


def _warmed(frame: Bytes, heat: np.ndarray) -> Bytes:
    """The frame in grey, its cells coloured by `heat`, 0..1."""
    size = frame.shape[1], frame.shape[0]
    cells = cv2.resize((heat * 255).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    colour = cv2.applyColorMap(cells, cv2.COLORMAP_INFERNO)
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cast(Bytes, cv2.addWeighted(grey, 0.35, colour, 0.65, 0))


def _titled(picture: Bytes, words: str) -> Bytes:
    head = np.full((_HEAD, picture.shape[1], 3), 255, np.uint8)
    _write(head, words, (4, 26))
    return np.vstack([head, picture])


def _plot(axis: AxisEvidence | None, name: str) -> Bytes:
    """Two blocks side by side, a bar a pixel: block edges in one colour, what lies between in another."""
    canvas = np.full((_PLOT, _WIDTH, 3), 255, np.uint8)
    if axis is None:
        _write(canvas, f"{name}: nothing repeats", (4, 26))
        return canvas
    fit = f", fit {axis.fit:.1f}" if axis.fit else ""
    _write(canvas, f"{name}, folded at {axis.period_px:.4g} px, phase {axis.phase_px:.3g} px{fit}", (4, 26))
    base, room, left = _PLOT - 40, _PLOT - 100, 70
    low, high = min(0.0, float(axis.gradients.min())), max(1e-3, float(axis.gradients.max()))
    zero = base + round(room * low / (high - low))
    for value in (low, high) if low < 0 else (high,):
        y = base - round(room * (value - low) / (high - low))
        cv2.line(canvas, (left, y), (_WIDTH - 10, y), _RULE)
        _write(canvas, f"{value:.2g}", (8, y + 5))
    for place, x, width in _bars(len(axis.gradients), left):
        top = base - round(room * (float(axis.gradients[place]) - low) / (high - low))
        colour = _EDGE if place == 0 else _BETWEEN
        cv2.rectangle(canvas, (x, min(top, zero)), (x + width, max(top, zero)), colour, -1)
        if width >= 18:
            _write(canvas, str(place), (x + width // 2 - 5, _PLOT - 22))
    cv2.line(canvas, (left, zero), (_WIDTH - 10, zero), _INK)
    _write(canvas, "pixels behind a block edge; bars: mean step in levels", (left, _PLOT - 4))
    return canvas


def _bars(count: int, left: int) -> Iterator[tuple[int, int, int]]:
    """(place in the block, x, width) of the bars of two blocks."""
    step = (_WIDTH - left - 10) / (2 * count)
    for number in range(2 * count):
        yield number % count, left + round(number * step), max(1, round(step * 0.8))


def _write(canvas: Bytes, text: str, place: tuple[int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's letters go no further
    cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
