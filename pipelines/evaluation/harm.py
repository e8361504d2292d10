"""Evaluates whether a repair ever makes a frame worse: clips of known truth through detect, route and enhance.

Each clip is damaged in every way, some of which call for a repair of all, of a part, or of nothing. What leaves the
pipeline is compared with what came in, frame by frame and in tiles of 64x64 luma samples. Where only a part is in
blocks, the rest is measured by itself, and the gain inside is compared with that of a frame in blocks everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import SourceError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Detector
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.load_executor import load_reducer_for
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import Routing, route
from deepclarity.stream.files.recode import recode
from deepclarity.stream.frame import Frame, Planes

from .scores import Notify, Row, Scores
from .video import pixelated, read_clip

_log = logging.getLogger(__name__)

Frames = list[Planes]
Damage = Callable[[Frames], tuple[Frames, Frames]]
"""Clean frames → (the truth, the frames as they arrive)."""

_TILE_PX = 64
_LOST_DB = 0.3
_MIN_ERROR = 0.05
"""Mean squared error, in squared levels, below which two tiles count as equal: nobody sees a difference there."""
_SPEED = "veryfast"
_PART_BLOCK_PX, _PART_CRF = 4, 23
_PART_MARGIN_PX = 16
"""What lies closer to the blocks than this counts neither as inside nor as outside: coding mixes the two."""


def harm(
    clips: Sequence[Path], tiers: Sequence[Enhancer], *, detector: Detector, frames: int, notify: Notify
) -> Iterator[Row]:
    """Luma gain and lost tiles of up to `frames` frames of each clip, by damage and tier.

    Unusable clips are logged and skipped; SourceError if none is usable.
    """
    usable = 0
    for path in clips:
        try:
            clip = read_clip(path, frames)
        except SourceError as error:
            _log.warning("skipped: %s", error)
            continue
        usable += 1
        notify(f"harm: {clip.name}, {len(clip.frames)} frames")
        for damage, make in DAMAGES.items():
            truth, arrived = make(clip.frames)
            for tier in tiers:
                repaired = _through_pipeline(arrived, detector, tier)
                scores = _scores(truth, arrived, repaired)
                if make is _part:
                    entire = _blocks(_PART_BLOCK_PX, _PART_CRF)(clip.frames)[1]
                    scores = _with_part(
                        scores, truth, (arrived, repaired), (entire, _through_pipeline(entire, detector, tier))
                    )
                yield Row("harm", damage, clip.name, tier.name, scores)
    if not usable:
        raise SourceError(f"none of {len(clips)} clips can be used: 8-bit 4:2:0 video of 64x64 pixels is needed.")


def _coded(frames: Frames, codec: str, crf: int) -> Frames:
    return list(recode(frames, codec=codec, crf=crf, speed=_SPEED))


def _blocks(block_px: float, crf: int) -> Damage:
    def damage(frames: Frames) -> tuple[Frames, Frames]:
        return frames, _coded([pixelated(planes, block_px) for planes in frames], "h264", crf)

    return damage


def _macroblocks(codec: str, crf: int) -> Damage:
    return lambda frames: (frames, _coded(frames, codec, crf))


def _part(frames: Frames) -> tuple[Frames, Frames]:
    """Blocks in the middle two thirds of the width."""
    joined = [_joined(planes, pixelated(planes, _PART_BLOCK_PX)) for planes in frames]
    return frames, _coded(joined, "h264", _PART_CRF)


def _joined(outside: Planes, inside: Planes) -> Planes:
    def join(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
        joined = one.copy()
        left = _margin(one.shape[1])
        joined[:, left : one.shape[1] - left] = other[:, left : one.shape[1] - left]
        return joined

    luma, blue, red = (join(a.astype(np.uint8), b.astype(np.uint8)) for a, b in zip(outside, inside, strict=True))
    return luma, blue, red


def _margin(width: int) -> int:
    """Samples of a plane left and right of the part in blocks."""
    return width // 6 // 8 * 8


def _writing(frames: Frames) -> tuple[Frames, Frames]:
    """Blocks of 4 with sharp writing over them, which belongs to the truth."""
    truth = [_written(planes) for planes in frames]
    return truth, _coded([_written(pixelated(planes, 4)) for planes in frames], "h264", 23)


def _written(planes: Planes) -> Planes:
    luma = planes[0].astype(np.uint8)
    place, size = (luma.shape[1] // 10, luma.shape[0] * 9 // 10), luma.shape[0] / 400
    for level, thickness in ((16, 5), (235, 2)):
        cv2.putText(luma, "Written over it: 0123", place, cv2.FONT_HERSHEY_SIMPLEX, size, level, thickness, cv2.LINE_AA)
    return luma, planes[1], planes[2]


def _twice(frames: Frames) -> tuple[Frames, Frames]:
    """Blocks of 4, coded by MPEG-2, and again by H.264."""
    return frames, _coded(_coded([pixelated(planes, 4) for planes in frames], "mpeg2video", 6), "h264", 26)


def _smooth(frames: Frames) -> tuple[Frames, Frames]:
    """A picture of a third of the size, enlarged by bicubic interpolation: not repaired by default."""
    return frames, _coded([_enlarged(planes) for planes in frames], "h264", 23)


def _enlarged(planes: Planes) -> Planes:
    def enlarge(plane: NDArray[np.generic]) -> NDArray[np.uint8]:
        height, width = plane.shape
        small = cv2.resize(plane.astype(np.uint8), (width // 3, height // 3), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)

    return enlarge(planes[0]), enlarge(planes[1]), enlarge(planes[2])


DAMAGES: dict[str, Damage] = {
    "none, h264 crf 20": _macroblocks("h264", 20),
    "×2 crf 23": _blocks(2, 23),
    "×3.7 crf 23": _blocks(3.7, 23),
    "×4 crf 28": _blocks(4, 28),
    "×8.05 crf 26": _blocks(8.05, 26),
    "×8 crf 26": _blocks(8, 26),
    "×4 in a part": _part,
    "×4 with writing": _writing,
    "×4, coded twice": _twice,
    "smooth ×3 crf 23": _smooth,
    "h264 crf 42": _macroblocks("h264", 42),
    "hevc crf 42": _macroblocks("hevc", 42),
    "mpeg2 q 16": _macroblocks("mpeg2video", 16),
    "mpeg4 q 16": _macroblocks("mpeg4", 16),
}


def _through_pipeline(arrived: Frames, detector: Detector, tier: Enhancer) -> Frames:
    """What `upscale` would encode at the clip's own size."""
    summary, base = Summary(), Fraction(1, 25)
    frames = (Frame(planes, index, pts=index, time_base=base) for index, planes in enumerate(arrived))
    scored = detect(frames, detector, summary)
    routed = route(scored, Routing(), resize=False, enlarge=False, summary=summary)
    size = arrived[0][0].shape[1], arrived[0][0].shape[0]
    executor = CpuExecutor(tier)
    reducer = load_reducer_for(executor, Routing().repair)
    return [done.frame.planes for done in enhance(routed, executor, Fit(size, size, size), summary, reducer=reducer)]


def _scores(truth: Frames, arrived: Frames, repaired: Frames) -> Scores:
    gains, lost = [], []
    for clean, before, after in zip(truth, arrived, repaired, strict=True):
        errors = [_squared_error(planes[0], clean[0]) for planes in (before, after)]
        gains.append(_decibels(errors[0].mean(), errors[1].mean()))
        lost.append(_decibels(*(_tiles(error) for error in errors)) < -_LOST_DB)
    return Scores(
        gain_y=float(np.mean(gains)), worst_gain_y=float(np.min(gains)), tiles_lost=float(100 * np.mean(lost))
    )


def _with_part(scores: Scores, truth: Frames, part: tuple[Frames, Frames], entire: tuple[Frames, Frames]) -> Scores:
    """Add what happens outside the part in blocks, and inside against a frame that is in blocks everywhere.

    `part`, `entire`: frames as they arrived, and repaired.
    """
    width = truth[0][0].shape[1]
    left = _margin(width)
    outside = np.ones(width, np.bool_)
    outside[max(0, left - _PART_MARGIN_PX) : width - left + _PART_MARGIN_PX] = False
    inside = slice(left + _PART_MARGIN_PX, width - left - _PART_MARGIN_PX)
    changes, lost, gains, entire_gains = [], [], [], []
    for clean, *rest in zip(truth, *part, *entire, strict=True):
        before, after, all_before, all_after = (_squared_error(planes[0], clean[0]) for planes in rest)
        changes.append(_decibels(before[:, outside].mean(), after[:, outside].mean()))
        tiles = _decibels(_tiles(before[:, outside]), _tiles(after[:, outside])) < -_LOST_DB
        lost.append(tiles.mean() if tiles.size else 0.0)
        gains.append(_decibels(before[:, inside].mean(), after[:, inside].mean()))
        entire_gains.append(_decibels(all_before[:, inside].mean(), all_after[:, inside].mean()))
    gain, entire_gain = float(np.mean(gains)), float(np.mean(entire_gains))
    return replace(
        scores,
        outside_gain_y=float(np.min(changes)),
        outside_tiles_lost=float(100 * np.mean(lost)),
        inside_gain_y=gain,
        entire_gain_y=entire_gain,
    )


def _squared_error(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.float64]:
    difference = one.astype(np.float64) - other.astype(np.float64)
    return difference * difference


def _tiles(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each complete tile."""
    down, across = error.shape[0] // _TILE_PX, error.shape[1] // _TILE_PX
    part = error[: down * _TILE_PX, : across * _TILE_PX]
    means: NDArray[np.float64] = part.reshape(down, _TILE_PX, across, _TILE_PX).mean(axis=(1, 3))
    return means


def _decibels(before: NDArray[np.float64] | float, after: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The gain in dB from one mean squared error to another; below `_MIN_ERROR` errors count as equal."""
    gain: NDArray[np.float64] = 10 * np.log10(np.maximum(before, _MIN_ERROR) / np.maximum(after, _MIN_ERROR))
    return gain
