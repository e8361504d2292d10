"""Detection stage: gives every frame a verdict, and finds scene cuts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from deepclarity.models.block_map import BlockMap
from deepclarity.models.quality.network import Quality, load_quality_network
from deepclarity.models.quality.tracker import QualityTracker
from deepclarity.models.verdict import Blocks, Chroma, Detector, Kind, Plane, Verdict
from deepclarity.stream.coding import Coding
from deepclarity.stream.frame import Frame

from .blend import MIN_SUPPORT, map_of
from .records import Summary

_CUT_THRESHOLD = 0.1
"""Mean absolute luma change between thumbnails, as a share of the range, above which there is a scene cut."""
_FINE_QP, _COARSE_QP = 20.0, 45.0
"""Mean quantisers of severity 0 and 1: H.264 is hard to distinguish from its source below the first (CRF 20)."""
_BLOCKY = 0.5
"""Severity from which a picture is blocky: a quantiser of 32.5."""
_MAYBE_BLOCKY, _COARSEST = 0.3, 0.75
"""Severities between which ever more support is asked of a lattice in the positions of a codec's own blocks."""
_CODEC_SUPPORT, _SUPPORT_AT_4_PX = 0.8, 0.2
"""The support asked at the coarsest: blocks of which only the mean is coded look like enlarged pixels. Few codecs leave
such blocks of 4 px, and in true ones of that size coding hides much of the evidence."""
_UNSUPPORTED_SCORE = 0.2
"""Score of a picture that does not bear its lattice out, at most."""
_CODEC_BLOCKS = (2, 4, 8, 16, 32)
_COARSE_ALONE_QP, _CERTAIN_QP = 34.0, 38.0
"""Estimated quantisers from which a picture is blocky: by itself, and although its last coding was fine, as it was
coded before."""
_JUST_BELOW = 0.49


@dataclass(frozen=True, slots=True)
class Scored:
    """A frame and the detector's verdict on it."""

    frame: Frame
    verdict: Verdict
    cut: bool
    """Whether this frame starts a new scene."""
    block_map: BlockMap | None = None
    """Where the frame bears the verdict's blocks out; None if the detector found no pixelation."""


def detect(frames: Iterable[Frame], detector: Detector | None, summary: Summary) -> Iterator[Scored]:
    """Give every frame a verdict, in order.

    Frames in which loss was concealed are `damaged`; placeholders count as clean, and without a detector all frames
    do. A codec's quantiser, where the decoder reports it, is evidence beside the picture's own.
    """
    previous = None
    lattice: Blocks | None = None
    tracker = QualityTracker(load_quality_network()) if detector else None
    for frame in frames:
        started = time.perf_counter()
        thumbnail = _thumbnail(frame)
        cut = previous is None or _difference(previous, thumbnail) > _CUT_THRESHOLD
        previous = thumbnail
        if cut and tracker:
            lattice = None
            tracker.start_scene()
        verdict, found = _verdict(frame, detector, tracker, lattice) if detector and tracker else (Verdict(0.0), None)
        lattice = verdict.blocks if verdict.pixelated else lattice
        summary.add_stage_time("detect", time.perf_counter() - started)
        yield Scored(frame, verdict, cut, found)


def _verdict(
    frame: Frame, detector: Detector, tracker: QualityTracker, lattice: Blocks | None
) -> tuple[Verdict, BlockMap | None]:
    """The verdict on one frame, and the map of its blocks; `lattice`: that of the scene so far."""
    if frame.placeholder is not None:
        return Verdict(0.0), None
    if not frame.intact:
        return Verdict(0.0, Kind.DAMAGED), None
    verdict = detector(frame.luma, max_value=frame.max_value, chroma=frame.planes[1:])
    verdict, found = refine(verdict, frame.luma, max_value=frame.max_value, coding=frame.coding, lattice=lattice)
    if not verdict.pixelated:
        verdict = classify(verdict, tracker.next(frame.luma, max_value=frame.max_value), coding=frame.coding)
    return verdict, found


def detect_picture(
    luma: Plane, detector: Detector, *, max_value: int, chroma: Chroma | None = None
) -> tuple[Verdict, BlockMap | None]:
    """The verdict on a single picture, and the map of its blocks; arguments as for `Detector`."""
    verdict, found = refine(detector(luma, max_value=max_value, chroma=chroma), luma, max_value=max_value)
    if not verdict.pixelated:
        verdict = classify(verdict, load_quality_network()(luma, max_value=max_value))
    return verdict, found


def refine(
    verdict: Verdict, luma: Plane, *, max_value: int, coding: Coding | None = None, lattice: Blocks | None = None
) -> tuple[Verdict, BlockMap | None]:
    """Test a detector's verdict on the picture itself and by the quantiser: (final verdict, map of its blocks).

    `luma`: (height, width) in 0..max_value. `lattice`: the scene's blocks, which replace those of the verdict if they
    are nearly equal: no jitter.
    """
    verdict = replace(verdict, severity=severity_of(coding))
    found = None
    if verdict.pixelated and verdict.blocks is not None:
        if lattice is not None and nearly_equal(verdict.blocks, lattice):
            verdict = replace(verdict, blocks=lattice)
        assert verdict.blocks is not None
        found = map_of(luma, verdict.blocks, max_value=max_value)
        if found.support < _min_support(verdict.blocks, verdict.severity):
            verdict = replace(verdict, kind=Kind.CLEAN, score=min(verdict.score, _UNSUPPORTED_SCORE))
            found = None
    if verdict.kind is Kind.CLEAN and (verdict.severity or 0) >= _BLOCKY:
        verdict = replace(verdict, kind=Kind.BLOCKY)
    return verdict, found


def classify(verdict: Verdict, quality: Quality | None, *, coding: Coding | None = None) -> Verdict:
    """Say of a picture without blocks whether it is blocky, soft or clean; other kinds are kept.

    `quality`: by the picture alone, None if it is too small; `coding`: by the bitstream.
    """
    if verdict.kind not in (Kind.CLEAN, Kind.SOFT, Kind.BLOCKY) or quality is None:
        return verdict
    severity = severity_of(coding)
    if quality.kind is Kind.BLOCKY and quality.qp >= (_COARSE_ALONE_QP if severity is None else _CERTAIN_QP):
        severity = max(_BLOCKY, _severity_at(quality.qp), severity or 0.0)
    elif severity is None:
        severity = min(_JUST_BELOW, _severity_at(quality.qp))
    if severity >= _BLOCKY:
        return replace(verdict, kind=Kind.BLOCKY, severity=severity)
    if quality.kind is Kind.SOFT:
        return replace(verdict, kind=Kind.SOFT, severity=severity, factors=quality.factors)
    return replace(verdict, kind=Kind.CLEAN, severity=severity)


def severity_of(coding: Coding | None) -> float | None:
    """The severity of a picture's coding, 0..1, by its mean quantiser; None if that is not known."""
    if coding is None:
        return None
    return _severity_at(coding.qp)


def _severity_at(qp: float) -> float:
    return min(1.0, max(0.0, (qp - _FINE_QP) / (_COARSE_QP - _FINE_QP)))


def nearly_equal(first: Blocks, second: Blocks) -> bool:
    """Whether two lattices differ only by measurement error: switching between them would make the picture jitter."""
    return (
        abs(first.width_px - second.width_px) <= 0.002 * second.width_px
        and abs(first.height_px - second.height_px) <= 0.002 * second.height_px
        and abs(first.phase_x_px - second.phase_x_px) <= 0.25
        and abs(first.phase_y_px - second.phase_y_px) <= 0.25
    )


def _min_support(blocks: Blocks, severity: float | None) -> float:
    """The support below which a lattice is taken to be a codec's, or a chance one in a coarsely coded picture."""
    axes = ((blocks.width_px, blocks.phase_x_px), (blocks.height_px, blocks.phase_y_px))
    on_grid = any(
        min(abs(size - each) for each in _CODEC_BLOCKS) < 0.1 and min(phase, size - phase) < 0.5 for size, phase in axes
    )
    if severity is None:
        return MIN_SUPPORT if on_grid else 0.0
    if severity < _MAYBE_BLOCKY:
        return 0.0
    if not on_grid:
        return MIN_SUPPORT if severity >= _BLOCKY else 0.0
    coarse = min(1.0, (severity - _MAYBE_BLOCKY) / (_COARSEST - _MAYBE_BLOCKY))
    small = all(abs(size - 4) < 0.1 for size, _ in axes)
    return MIN_SUPPORT + coarse * ((_SUPPORT_AT_4_PX if small else _CODEC_SUPPORT) - MIN_SUPPORT)


def _thumbnail(frame: Frame) -> np.ndarray:
    """About 64×36 luma samples, (h, w) float32 in 0..1; blocks hardly change it, scene cuts do."""
    height, width = frame.luma.shape
    samples = frame.luma[:: max(1, height // 36), :: max(1, width // 64)]
    return samples.astype(np.float32) / frame.max_value


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return 1.0 if one.shape != other.shape else float(np.abs(one - other).mean())
