"""Evaluates whether a repair ever makes a frame worse: clips of known truth through detect, route and enhance.

Each clip is damaged in every way, some of which call for a repair of all, of a part, or of nothing. What leaves the
pipeline is compared with what came in, frame by frame and in tiles of 64x64 luma samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
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
                yield Row("harm", damage, clip.name, tier.name, _scores(truth, arrived, repaired))
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
    """Blocks of 4 in the middle two thirds of the width."""
    return frames, _coded([_joined(planes, pixelated(planes, 4)) for planes in frames], "h264", 23)


def _joined(outside: Planes, inside: Planes) -> Planes:
    def join(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
        joined = one.copy()
        left = one.shape[1] // 6 // 8 * 8
        joined[:, left : one.shape[1] - left] = other[:, left : one.shape[1] - left]
        return joined

    luma, blue, red = (join(a.astype(np.uint8), b.astype(np.uint8)) for a, b in zip(outside, inside, strict=True))
    return luma, blue, red


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


DAMAGES: dict[str, Damage] = {
    "none, h264 crf 20": _macroblocks("h264", 20),
    "×2 crf 23": _blocks(2, 23),
    "×3.7 crf 23": _blocks(3.7, 23),
    "×4 crf 28": _blocks(4, 28),
    "×8 crf 26": _blocks(8, 26),
    "×4 in a part": _part,
    "×4 with writing": _writing,
    "h264 crf 42": _macroblocks("h264", 42),
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
