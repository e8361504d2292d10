"""Evidence picture: the frame with the map of its blocks, a magnified piece, heat and quantiser maps, and gradients
folded at the blocks' period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from deepclarity.errors import SourceError
from deepclarity.models.block_map import BlockMap
from deepclarity.models.detectors.evidence import AxisEvidence, evidence
from deepclarity.models.verdict import Bytes, Detector, Plane, Verdict
from deepclarity.pipelines.blend import map_of
from deepclarity.pipelines.detect import detect, detect_picture
from deepclarity.pipelines.records import Summary
from deepclarity.stream.coding import Coding
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.files.still import IMAGE_SUFFIXES, Picture, read_picture
from deepclarity.stream.interlaced.modes import Deinterlacing
from deepclarity.stream.planes import rgb_of

from .evidence_views import magnified, outlined, quantiser_map

_WIDTH, _GAP, _HEAD, _PLOT = 720, 16, 40, 250
MIN_SIDE_PX = 13
"""Minimum width and height in pixels that can be explained."""
_INK, _EDGE, _BETWEEN, _RULE = (40, 40, 40), (40, 70, 210), (190, 150, 110), (215, 215, 215)


@dataclass(frozen=True, slots=True)
class _Scored:
    """One picture or frame and the verdict on it."""

    title: str
    luma: Plane
    max_value: int
    bgr: Bytes
    verdict: Verdict
    block_map: BlockMap | None = None
    coding: Coding | None = None


def explain(path: Path, detector: Detector, *, track: int | None = None) -> Picture:
    """Explain the verdict on a picture, or on the first pixelated frame of a video.

    `track`: index of the video track; None: the one that is the video. If a video has no pixelated frame, the one with
    the highest score is shown. Raises SourceError for a folder, a file that cannot be read, or a picture that is too
    small.
    """
    if path.is_dir():
        raise SourceError(f"{path}: is a folder. Name one picture or video to explain.")
    still = path.suffix.lower() in IMAGE_SUFFIXES
    scored = _of_picture(path, detector) if still else _of_video(path, detector, track)
    if min(scored.luma.shape) < MIN_SIDE_PX:
        height, width = scored.luma.shape
        raise SourceError(
            f"{path}: {width}x{height} pixels are too few to explain; each side needs at least {MIN_SIDE_PX}."
        )
    return Picture(_render(scored))


def explain_picture(picture: Picture, verdict: Verdict, *, title: str) -> Picture:
    """Explain `verdict` on `picture`, whose sides must be at least `MIN_SIDE_PX`."""
    return Picture(_render(_scored(picture, verdict, title)))


def _of_picture(path: Path, detector: Detector) -> _Scored:
    picture = read_picture(path)
    planes = picture.planes
    verdict, _ = detect_picture(planes[0], detector, max_value=picture.max_value, chroma=planes[1:])
    return _scored(picture, verdict, path.name)


def _scored(picture: Picture, verdict: Verdict, title: str) -> _Scored:
    bgr = picture.pixels if picture.pixels.dtype == np.uint8 else picture.pixels >> 8
    luma, found = picture.planes[0], None
    if verdict.pixelated and verdict.blocks is not None:
        found = map_of(luma, verdict.blocks, max_value=picture.max_value)
    return _Scored(title, luma, picture.max_value, bgr.astype(np.uint8, copy=False), verdict, found)


def _of_video(path: Path, detector: Detector, track: int | None) -> _Scored:
    best: _Scored | None = None
    with FileSource(path, track=track) as source:
        source.deinterlace(Deinterlacing(keep_pictures=True))
        for scored in detect(source, detector, Summary()):
            frame, verdict = scored.frame, scored.verdict
            if best is None or verdict.pixelated or verdict.score > best.verdict.score:
                bgr = np.ascontiguousarray(rgb_of(frame.planes, source.pixel_format, source.info.colour)[..., ::-1])
                title = f"{path.name}, frame {frame.index} at {frame.time_s:.3f} s"
                best = _Scored(title, frame.luma.copy(), frame.max_value, bgr, verdict, scored.block_map, frame.coding)
            if verdict.pixelated:
                break
    assert best is not None  # a source without frames does not open
    return best


def _render(scored: _Scored) -> Bytes:
    """Draw the frame beside a magnified piece, the heat and quantiser maps, and the folded gradients of both axes."""
    found = evidence(scored.luma, scored.verdict.blocks, max_value=scored.max_value)
    frame, blocks = _resized(scored.bgr), scored.verdict.blocks
    size = frame.shape[1], frame.shape[0]
    piece = magnified(scored.bgr, blocks, scored.block_map, size)
    rows = [_row((outlined(frame, scored.block_map), _caption(scored)), (piece, _piece_caption(scored)))]
    quantisers = quantiser_map(frame, scored.coding)
    heat = _heat_map(frame, found.heat), _HEAT
    if quantisers is not None and scored.coding is not None:
        rows.append(
            _row(heat, (quantisers, f"quantisers, 0 to 51: mean {scored.coding.qp:.1f} ({scored.coding.codec})"))
        )
    else:
        rows.append(_row(heat, (np.full_like(frame, 255), "")))
    plots = [
        _bar_chart(axis, name)
        for axis, name in ((found.x, "x: steps from column to column"), (found.y, "y: steps from row to row"))
    ]
    rows.append(np.hstack([plots[0], np.full((_PLOT, _GAP, 3), 255, np.uint8), plots[1]]))
    return np.pad(np.vstack(rows), ((_GAP, _GAP), (_GAP, _GAP), (0, 0)), constant_values=255)


def _row(left: tuple[Bytes, str], right: tuple[Bytes, str]) -> Bytes:
    """Two pictures with their titles, side by side."""
    one, other = (_with_title(picture, title) for picture, title in (left, right))
    return np.hstack([one, np.full((one.shape[0], _GAP, 3), 255, np.uint8), other])


_HEAT = "block edges: the brighter, the stronger the steps at block edges compared with those between"


def _piece_caption(scored: _Scored) -> str:
    if scored.verdict.blocks is None:
        return "the middle, magnified"
    if scored.block_map is None:
        return "the middle, magnified, with the lattice that fits best"
    return "magnified, with the lattice"


def _caption(scored: _Scored) -> str:
    verdict = scored.verdict
    blocks = verdict.blocks
    text = f"{scored.title}: {verdict.kind}, score {verdict.score:.2f}"
    if verdict.pixelated and blocks:
        text += f", {blocks.width_px:.4g} x {blocks.height_px:.4g} px"
    if scored.block_map is not None:
        text += f", outlined where borne out ({100 * scored.block_map.support:.0f} %)"
    height, width = scored.luma.shape
    if native := verdict.native_size((width, height)):
        text += f", enlarged from {native[0]} x {native[1]}"
    return text if verdict.severity is None else f"{text}, coding {verdict.severity:.2f}"


def _resized(bgr: Bytes) -> Bytes:
    """Resize to the width of a subplot; small pictures are enlarged by nearest neighbour."""
    scale = _WIDTH / bgr.shape[1]
    size = _WIDTH, max(1, min(_WIDTH * 2, round(bgr.shape[0] * scale)))
    return cast(Bytes, cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST))


def _heat_map(frame: Bytes, heat: np.ndarray) -> Bytes:
    """The frame in grey, blended with a colour map of `heat`, 0..1."""
    size = frame.shape[1], frame.shape[0]
    cells = cv2.resize((heat * 255).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    colour = cv2.applyColorMap(cells, cv2.COLORMAP_INFERNO)
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cast(Bytes, cv2.addWeighted(grey, 0.35, colour, 0.65, 0))


def _with_title(picture: Bytes, title: str) -> Bytes:
    head = np.full((_HEAD, picture.shape[1], 3), 255, np.uint8)
    _write(head, title, (4, 26))
    return np.vstack([head, picture])


def _bar_chart(axis: AxisEvidence | None, name: str) -> Bytes:
    """Bar chart of two consecutive blocks, one bar per pixel; block edges have a colour of their own."""
    canvas = np.full((_PLOT, _WIDTH, 3), 255, np.uint8)
    if axis is None:
        _write(canvas, f"{name}: no period found", (4, 26))
        return canvas
    fit = f", fit {axis.fit:.1f}" if axis.fit else ""
    _write(canvas, f"{name}, folded at {axis.period_px:.4g} px, phase {axis.phase_px:.3g} px{fit}", (4, 26))
    base, space, left = _PLOT - 40, _PLOT - 100, 70
    low, high = min(0.0, float(axis.gradients.min())), max(1e-3, float(axis.gradients.max()))
    zero = base + round(space * low / (high - low))
    for value in (low, high) if low < 0 else (high,):
        y = base - round(space * (value - low) / (high - low))
        cv2.line(canvas, (left, y), (_WIDTH - 10, y), _RULE)
        _write(canvas, f"{value:.2g}", (8, y + 5))
    for position, x, width in _bars(len(axis.gradients), left):
        top = base - round(space * (float(axis.gradients[position]) - low) / (high - low))
        colour = _EDGE if position == 0 else _BETWEEN
        cv2.rectangle(canvas, (x, min(top, zero)), (x + width, max(top, zero)), colour, -1)
        if width >= 18:
            _write(canvas, str(position), (x + width // 2 - 5, _PLOT - 22))
    cv2.line(canvas, (left, zero), (_WIDTH - 10, zero), _INK)
    _write(canvas, "pixels after a block edge; bars: mean step in levels", (left, _PLOT - 4))
    return canvas


def _bars(count: int, left: int) -> Iterator[tuple[int, int, int]]:
    """Yield (position in the block, x, width) of each bar of two blocks."""
    step = (_WIDTH - left - 10) / (2 * count)
    for number in range(2 * count):
        yield number % count, left + round(number * step), max(1, round(step * 0.8))


def _write(canvas: Bytes, text: str, position: tuple[int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts have only ASCII
    cv2.putText(canvas, plain, position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
