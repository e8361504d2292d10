"""Augmentations: brightness, grain, letterboxes, overlays, and lossy coding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import cv2
import numpy as np

from deepclarity.models.verdict import Blocks, Bytes, Kind
from deepclarity.stream.files.recode import ENCODERS, recode

from .degrade import Photo, jpeg
from .overlays import draw_overlays

Region = tuple[int, int, int, int]
"""(left, top, width, height) in luma samples."""

CODECS = ("none", "jpeg", "h264", "hevc", "vp9", "av1")
LEVELS = ("fine", "good", "coarse", "hard")
"""Four levels of coding damage, comparable between codecs as far as their scales allow."""

_QUALITY = {
    "jpeg": ((80, 95), (60, 79), (45, 59), (30, 44)),
    "h264": ((18, 22), (23, 28), (29, 33), (34, 38)),
    "hevc": ((18, 22), (23, 28), (29, 33), (34, 38)),
    "vp9": ((24, 31), (32, 39), (40, 46), (47, 54)),
    "av1": ((24, 31), (32, 39), (40, 46), (47, 54)),
}
_SPEEDS = ("ultrafast", "superfast", "veryfast")
_SLOW_PX = 1_500_000
"""Larger frames are coded with the fastest preset."""
_MOST_FRAMES = 3

_LEAST_CONTRAST = 70
_SHARES = {"brightness": 0.3, "grain": 0.25, "letterbox": 0.2, "overlay": 0.25}


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a sample's output, drawn before the picture is made."""

    size: tuple[int, int]
    """(width, height); if a side is odd, one row or column is cut off at the end."""
    codec: str = "none"
    level: int = 0
    """Index into `LEVELS`."""
    frames: int = 1
    """Number of frames to encode; the last one becomes the sample."""
    augmented: bool = True
    """Whether brightness, grain, letterbox bars and overlays may be added."""

    @property
    def even(self) -> tuple[int, int]:
        """The size at which frames are made and encoded: even."""
        return self.size[0] + self.size[0] % 2, self.size[1] + self.size[1] % 2


@dataclass(frozen=True, slots=True)
class Augmented:
    """Frames before coding, and their labels."""

    frames: list[Photo]
    kind: Kind
    blocks: Blocks | None = None
    region: Region | None = None
    cell: dict[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()


def plan(rng: np.random.Generator, size: tuple[int, int], codec: str) -> Plan:
    """A plan with a damage level and, for video codecs, one to three frames."""
    frames = int(rng.integers(1, _MOST_FRAMES + 1)) if codec in ENCODERS else 1
    return Plan(size, codec, int(rng.integers(len(LEVELS))), frames)


def augmented(take: Augmented, wanted: Plan, rng: np.random.Generator) -> Augmented:
    """Apply the augmentations that precede coding to `take`."""
    if not wanted.augmented:
        return take
    for name, share in _SHARES.items():
        if rng.random() < share:
            take = _AUGMENTATIONS[name](take, rng)
    return take


def coded(take: Augmented, wanted: Plan, rng: np.random.Generator) -> tuple[Photo, dict[str, str]]:
    """The last frame of `take` after the codec, cut to odd sides; and its description for the cell."""
    codec = wanted.codec
    if codec == "none":
        photo, words = take.frames[-1], {"quality": "none", "level": "none"}
    else:
        low, high = _QUALITY[codec][wanted.level]
        value = int(rng.integers(low, high + 1))
        scale = "q" if codec == "jpeg" else "crf"
        words = {
            "quality": f"{codec} {scale} {low}–{high}",
            "level": LEVELS[wanted.level],
            "setting": f"{scale} {value}",
        }
        photo = _through(take.frames, codec, value, rng)
    width, height = wanted.size[0] % 2, wanted.size[1] % 2
    luma = photo[0][: photo[0].shape[0] - height, : photo[0].shape[1] - width]
    return (luma, photo[1], photo[2]), {"codec": codec, **words}


def _through(frames: Sequence[Photo], codec: str, value: int, rng: np.random.Generator) -> Photo:
    if codec == "jpeg":
        return jpeg(frames[-1], value)
    fast = codec == "hevc" or frames[0][0].size > _SLOW_PX
    speed = "ultrafast" if fast else _SPEEDS[int(rng.integers(len(_SPEEDS)))]
    return cast(Photo, recode(frames, codec=codec, crf=value, speed=speed)[-1])


def _relit(take: Augmented, rng: np.random.Generator) -> Augmented:
    """Change brightness, contrast or gamma."""
    low, high = sorted(rng.uniform(16, 235, 2).tolist()) if rng.random() < 0.5 else (16.0, float(rng.uniform(50, 235)))
    high = max(high, low + _LEAST_CONTRAST)
    gamma = float(np.exp(rng.uniform(-0.6, 0.6)))
    ramp = ((np.arange(256) - 16) / 219).clip(0, 1) ** gamma * (high - low) + low
    table = (ramp + 0.5).clip(0, 255).astype(np.uint8)
    frames = [(cast(Bytes, cv2.LUT(luma, table)), blue, red) for luma, blue, red in take.frames]
    return _also(take, frames, "brightness")


def _grainy(take: Augmented, rng: np.random.Generator) -> Augmented:
    """Add Gaussian noise, fine or with a grain of two pixels, new in every frame."""
    spread, coarse = float(rng.uniform(1, 6)), rng.random() < 0.3
    frames = []
    for luma, blue, red in take.frames:
        noise = rng.standard_normal(luma.shape, dtype=np.float32)
        if coarse:
            noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * np.float32(2.5)
        frames.append(((luma + noise * spread + 0.5).clip(0, 255).astype(np.uint8), blue, red))
    return _also(take, frames, "grain")


def _letterboxed(take: Augmented, rng: np.random.Generator) -> Augmented:
    """Add letterbox bars; the pixelated region shrinks to the visible part. Partial regions stay unchanged."""
    if take.region is not None:
        return take
    height, width = take.frames[0][0].shape
    upright = rng.random() < 0.25
    side = width if upright else height
    bar = int(side * rng.uniform(0.06, 0.2)) // 2 * 2
    inner = (bar, 0, width - 2 * bar, height) if upright else (0, bar, width, height - 2 * bar)
    frames = [_framed(photo, inner) for photo in take.frames]
    return replace(_also(take, frames, "letterbox"), region=inner if take.blocks else None)


def _framed(photo: Photo, inner: Region) -> Photo:
    left, top, width, height = inner
    planes = []
    for plane, ratio, black in zip(photo, (1, 2, 2), (16, 128, 128), strict=True):
        at = slice(top // ratio, (top + height) // ratio), slice(left // ratio, (left + width) // ratio)
        framed = np.full_like(plane, black)
        framed[at] = plane[at]
        planes.append(framed)
    return planes[0], planes[1], planes[2]


def _overlaid(take: Augmented, rng: np.random.Generator) -> Augmented:
    return _also(take, draw_overlays(take.frames, rng), "overlay")


def _also(take: Augmented, frames: list[Photo], extra: str) -> Augmented:
    return replace(take, frames=frames, extras=(*take.extras, extra))


_AUGMENTATIONS: dict[str, Callable[[Augmented, np.random.Generator], Augmented]] = {
    "brightness": _relit,
    "grain": _grainy,
    "letterbox": _letterboxed,
    "overlay": _overlaid,
}
