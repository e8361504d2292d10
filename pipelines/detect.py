"""Detection stage: gives every frame a verdict, and finds scene cuts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from deepclarity.models.verdict import Detector, Verdict
from deepclarity.stream.frame import Frame

from .records import Summary

_CUT_THRESHOLD = 0.1
"""Mean absolute luma change between thumbnails, as a share of the range, above which there is a scene cut."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A frame and the detector's verdict on it."""

    frame: Frame
    verdict: Verdict
    cut: bool
    """Whether this frame starts a new scene."""


def detect(frames: Iterable[Frame], detector: Detector | None, summary: Summary) -> Iterator[Scored]:
    """Give every frame a verdict, in order.

    Damaged frames and placeholders count as clean, and without a detector all frames do.
    """
    previous = None
    for frame in frames:
        started = time.perf_counter()
        thumbnail = _thumbnail(frame)
        cut = previous is None or _difference(previous, thumbnail) > _CUT_THRESHOLD
        previous = thumbnail
        decoded = frame.intact and frame.placeholder is None
        verdict = _verdict(frame, detector) if detector and decoded else Verdict(score=0.0)
        summary.add_stage_time("detect", time.perf_counter() - started)
        yield Scored(frame, verdict, cut)


def _verdict(frame: Frame, detector: Detector) -> Verdict:
    return detector(frame.luma, max_value=frame.max_value, chroma=frame.planes[1:])


def _thumbnail(frame: Frame) -> np.ndarray:
    """About 64×36 luma samples, (h, w) float32 in 0..1; blocks hardly change it, scene cuts do."""
    height, width = frame.luma.shape
    samples = frame.luma[:: max(1, height // 36), :: max(1, width // 64)]
    return samples.astype(np.float32) / frame.max_value


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return 1.0 if one.shape != other.shape else float(np.abs(one - other).mean())
