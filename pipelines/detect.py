"""How pixelated is each frame?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from deepclarity.models.verdict import Detector, Verdict
from deepclarity.stream.frame import Frame

from .records import Summary

_CUT = 0.1
"""Mean luma change between thumbnails, as a share of the range, from which on we call it a cut."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A frame and what the detector says of it."""

    frame: Frame
    verdict: Verdict
    cut: bool
    """Whether a new scene begins here."""


def detect(frames: Iterable[Frame], detector: Detector | None, summary: Summary) -> Iterator[Scored]:
    """Put a verdict to every frame; without a detector everything counts as clean, as do damaged frames."""
    before = None
    for frame in frames:
        began = time.perf_counter()
        thumbnail = _thumbnail(frame)
        cut = before is None or _changed(before, thumbnail) > _CUT
        before = thumbnail
        sound = frame.whole and frame.placeholder is None
        verdict = _scored(frame, detector) if detector and sound else Verdict(score=0.0)
        summary.spent("detect", time.perf_counter() - began)
        yield Scored(frame, verdict, cut)


def _scored(frame: Frame, detector: Detector) -> Verdict:
    return detector(frame.luma, max_value=frame.max_value, chroma=frame.planes[1:])


def _thumbnail(frame: Frame) -> np.ndarray:
    """About 64×36 samples of luma, (h, w) float32 in 0..1. Blocks do not change it much, cuts do."""
    height, width = frame.luma.shape
    picked = frame.luma[:: max(1, height // 36), :: max(1, width // 64)]
    return picked.astype(np.float32) / frame.max_value


def _changed(one: np.ndarray, other: np.ndarray) -> float:
    return 1.0 if one.shape != other.shape else float(np.abs(one - other).mean())
