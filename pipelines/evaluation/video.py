"""Evaluates enhancers on pixelated video: real clips in blocks, coded as H.264, repaired frame by frame.

The repair receives the true lattice: the detector's accuracy is measured elsewhere. Measures compare with the frames
before pixelation; PSNR and flicker use the clip's own luma.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepclarity.errors import SourceError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.metrics import Lpips, flicker
from deepclarity.models.verdict import Blocks, Bytes
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.restore import restore
from deepclarity.stream.files.recode import recode
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Plane, Planes
from deepclarity.stream.info import Colour
from deepclarity.stream.planes import rgb_of

from .scores import Notify, Row, Scores, mean, mean_psnr, perceived

BLOCKS_PX = (2, 3, 4, 6, 8)
CRFS = (None, 23, 28, 35)
"""None: not encoded."""

_LARGEST = (640, 360)
_SMALLEST_PX = 64
_BLANK_LEVELS = 2.0
"""Standard deviation of luma below which a picture is blank."""
_SPEED = "medium"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clip:
    """Consecutive frames of a clip."""

    name: str
    frames: list[Planes]
    """8-bit 4:2:0."""
    pixel_format: str
    colour: Colour


def video(
    clips: Sequence[Path], tiers: Sequence[Enhancer], *, frames: int, lpips: Lpips | None, notify: Notify
) -> Iterator[Row]:
    """PSNR-Y, LPIPS and flicker of up to `frames` frames of each clip: pristine, unrepaired, and by each tier.

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
        notify(f"video: {clip.name}, {len(clip.frames)} frames")
        for block_px in BLOCKS_PX:
            yield from _one_block_size(clip, tiers, block_px=block_px, lpips=lpips)
    if not usable:
        raise SourceError(f"none of {len(clips)} clips can be used: 8-bit 4:2:0 video of 64x64 pixels is needed.")


def _one_block_size(clip: Clip, tiers: Sequence[Enhancer], *, block_px: int, lpips: Lpips | None) -> Iterator[Row]:
    truth = [_cropped(planes, multiple=2 * block_px) for planes in clip.frames]
    blocky = [pixelated(planes, block_px) for planes in truth]
    for crf in CRFS:
        arrived = blocky if crf is None else recode(blocky, codec="h264", crf=crf, speed=_SPEED)
        outcomes = {"pristine": truth, "as is": arrived}
        outcomes |= {tier.name: [_repaired(planes, tier, block_px) for planes in arrived] for tier in tiers}
        for method, scores in _scored(clip, outcomes, lpips).items():
            damage = f"×{block_px} {'uncoded' if crf is None else f'crf {crf}'}"
            yield Row("video", damage, clip.name, method, scores)


def _scored(clip: Clip, outcomes: Mapping[str, list[Planes]], lpips: Lpips | None) -> dict[str, Scores]:
    """Scores by method, all against `pristine`, for which only flicker is meaningful."""
    truth = outcomes["pristine"]
    lumas = [planes[0] for planes in truth]
    shown = {number: rgb_of(truth[number], clip.pixel_format, clip.colour) for number in _few(len(truth))}
    scored = {}
    for method, frames in outcomes.items():
        found = [planes[0] for planes in frames]
        moved = flicker(_bytes(found), _bytes(lumas))
        if method == "pristine":
            scored[method] = Scores(flicker=moved)
            continue
        near = [
            perceived(rgb_of(frames[number], clip.pixel_format, clip.colour), rgb, lpips)
            for number, rgb in shown.items()
        ]
        scored[method] = Scores(mean_psnr(_bytes(found), _bytes(lumas)), None, mean(near), moved)
    return scored


def _few(count: int) -> list[int]:
    """The first, the middle and the last of `count` frames: LPIPS is slow."""
    return sorted({0, count // 2, count - 1})


def _repaired(planes: Planes, tier: Enhancer, block_px: int) -> Planes:
    size = planes[0].shape[1], planes[0].shape[0]
    return restore(planes, enhancer=tier, blocks=Blocks(block_px, block_px), size=size, max_value=255)


def pixelated(planes: Planes, block_px: float) -> Planes:
    """Pixelate 4:2:0 `planes` in blocks of `block_px` luma pixels, like a small picture enlarged before coding."""
    luma, blue, red = _bytes(planes)
    return pixelate(luma, block_px=block_px), _pixelated_chroma(blue, block_px), _pixelated_chroma(red, block_px)


def _pixelated_chroma(plane: Bytes, block_px: float) -> Bytes:
    """Pixelate chroma at luma's size, at which blocks of every size are complete, and reduce it again."""
    large = pixelate(plane.repeat(2, axis=0).repeat(2, axis=1), block_px=block_px)
    cells = large.reshape(plane.shape[0], 2, plane.shape[1], 2)
    return np.asarray(cells.mean(axis=(1, 3)) + 0.5, np.uint8)


def _cropped(planes: Planes, *, multiple: int) -> Planes:
    """The centre of a 4:2:0 picture, at most 640×360, with sides that are multiples of the even `multiple`."""
    height, width = planes[0].shape
    w, h = (min(side, most) // multiple * multiple for side, most in zip((width, height), _LARGEST, strict=True))
    left, top = (width - w) // 4 * 2, (height - h) // 4 * 2

    def part(plane: Plane, ratio: int) -> Plane:
        return plane[top // ratio : (top + h) // ratio, left // ratio : (left + w) // ratio]

    return part(planes[0], 1), part(planes[1], 2), part(planes[2], 2)


def read_clip(path: Path, count: int) -> Clip:
    """Up to `count` frames, starting at a quarter of the clip, after any titles."""
    with FileSource(path) as source:
        info = source.info
        if source.pixel_format not in ("yuv420p", "yuvj420p"):
            raise SourceError(f"{path}: {info.pixel_format} pictures; only 8-bit 4:2:0 is evaluated.")
        if min(info.width_px, info.height_px) < _SMALLEST_PX:
            raise SourceError(f"{path}: {info.width_px}x{info.height_px} pixels are too few to evaluate.")
        last = (info.expected_frames or 0) // 4 + count - 1
        kept: deque[Planes] = deque(maxlen=count)
        for frame in source:
            luma, blue, red = (plane.copy() for plane in _cropped(frame.planes, multiple=2))
            kept.append((luma, blue, red))
            if frame.index == last:
                break
        if not kept:
            raise SourceError(f"{path}: no frame can be decoded.")
        if max(float(planes[0].std()) for planes in kept) < _BLANK_LEVELS:
            raise SourceError(f"{path}: the frames that would be evaluated are blank: every method is perfect on them.")
        if len({planes[0].shape for planes in kept}) > 1:
            raise SourceError(f"{path}: its pictures change their size; that is not evaluated.")
        return Clip(path.name, list(kept), source.pixel_format, info.colour)


def _bytes(planes: Sequence[Plane]) -> list[Bytes]:
    """The same planes, typed as 8-bit."""
    return [plane.astype(np.uint8, copy=False) for plane in planes]
