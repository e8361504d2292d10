"""Detection on files: one verdict per picture or video, with the pixelated time ranges of a video."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deepclarity.errors import SourceError
from deepclarity.models.block_map import BlockMap
from deepclarity.models.verdict import Detector, Kind, Region, Verdict
from deepclarity.stream.files.still import IMAGE_SUFFIXES, read_picture
from deepclarity.stream.handover import Handover
from deepclarity.stream.interlaced.modes import Deinterlacing
from deepclarity.stream.media import open_source
from deepclarity.stream.pictures.sniff import is_animation

from .detect import Scored, detect, detect_picture
from .records import Summary
from .report.recorder import frame_record
from .report.report import Report
from .route import Routing, route

# fmt: off
VIDEOS = frozenset({
    ".264", ".265", ".3gp", ".apng", ".avi", ".flv", ".gif", ".h264", ".hevc", ".m2ts", ".m4v", ".mkv",
    ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
"""File name suffixes that count as videos when a folder is searched."""


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A detector's verdict on one file."""

    path: str
    pixelated: bool
    kind: Kind
    score: float
    """0..1; of a video, the highest score of any frame."""
    block_px: float | None
    """Block width in pixels; None if it is not pixelated."""
    block_height_px: float | None
    method: str
    ms: float
    """Milliseconds the detector took; of a video, the mean per frame."""
    frames: int | None = None
    """Number of frames; None for a picture."""
    ranges: list[dict[str, Any]] = field(default_factory=list)
    """Pixelated time ranges of a video; the keys are those of `Report.ranges`."""
    damaged: int = 0
    """Packets of a video that could not be decoded."""
    severity: float | None = None
    """How coarsely it was coded, 0..1; of a video, the highest of any frame. None if the decoder does not say."""
    regions: list[Region] = field(default_factory=list)
    """Where the blocks are, largest first; of a video, in the frame with the highest score."""
    native_size: tuple[int, int] | None = None
    """(width, height) before a smooth enlargement; None if it is not soft."""
    frames_by_kind: dict[str, int] = field(default_factory=dict)
    """Number of frames of each kind; empty for a picture."""


def files_in(path: Path) -> Iterator[Path]:
    """Yield `path`, or if it is a folder all pictures and videos below it, sorted; SourceError if there are none."""
    if not path.is_dir():
        yield path
        return
    files = sorted(
        item for item in path.rglob("*") if item.suffix.lower() in IMAGE_SUFFIXES | VIDEOS and item.is_file()
    )
    if not files:
        raise SourceError(f"{path}: no pictures or videos in it. Name another folder.")
    yield from files


def detect_file(path: Path, detector: Detector, *, track: int | None = None) -> FileVerdict:
    """Detect pixelation in one picture or video file.

    `track`: index of the video track; None: the one that is the video. Raises SourceError if the file cannot be read as
    either, UsageError if it has no such video track.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES and not is_animation(path):
        return _detect_picture(path, detector)
    return _detect_video(path, detector, track)


def _detect_picture(path: Path, detector: Detector) -> FileVerdict:
    picture = read_picture(path)
    planes = picture.planes
    started = time.perf_counter()
    verdict, found = detect_picture(planes[0], detector, max_value=picture.max_value, chroma=planes[1:])
    elapsed_ms = (time.perf_counter() - started) * 1000
    blocks = verdict.blocks if verdict.pixelated else None
    size = planes[0].shape[1], planes[0].shape[0]
    return _file_verdict(path, detector, replace(verdict, blocks=blocks), elapsed_ms, size=size, found=found)


def _detect_video(path: Path, detector: Detector, track: int | None) -> FileVerdict:
    summary, report = Summary(), Report()
    worst: Scored | None = None
    severity: float | None = None
    soft: Scored | None = None
    with open_source(path, track=track) as source:
        source.deinterlace(Deinterlacing(keep_pictures=True))  # combs are no evidence of anything
        with Handover(source, size=4) as frames:
            scored = detect(frames, detector, summary)
            for routed in route(scored, Routing(), resize=False, enlarge=False, summary=summary):
                report.add(frame_record(routed))
                if worst is None or routed.scored.verdict.score > worst.verdict.score:
                    worst = routed.scored
                severity = _higher(severity, routed.scored.verdict.severity)
                soft = soft or (routed.scored if routed.kind is Kind.SOFT and routed.scored.verdict.factors else None)
                summary.frames_in += 1
    assert worst is not None
    ranges = report.ranges()
    elapsed_ms = summary.stage_s["detect"] * 1000 / summary.frames_in
    kind = Kind.PIXELATED if ranges else _main_kind(summary.frames_by_kind, worst.verdict.kind)
    factors = soft.verdict.factors if kind is Kind.SOFT and soft else None
    verdict = Verdict(worst.verdict.score, kind, worst.verdict.blocks if ranges else None, severity, factors)
    found = worst.block_map if ranges else None
    result = _file_verdict(path, detector, verdict, elapsed_ms, size=worst.frame.size, found=found)
    return replace(
        result,
        frames=summary.frames_in,
        ranges=ranges,
        damaged=source.damaged,
        frames_by_kind=summary.frames_by_kind,
    )


def _higher(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _main_kind(frames: dict[str, int], worst: Kind) -> Kind:
    """The kind of a video without pixelated ranges: a kind of damage that at least a twentieth of its frames have, or
    soft if most are."""
    for kind, share in ((Kind.BLOCKY, 0.05), (Kind.DAMAGED, 0.05), (Kind.SOFT, 0.5)):
        if frames.get(kind, 0) >= max(1, share * sum(frames.values())):
            return kind
    return worst if worst in (Kind.MOSAIC, Kind.PIXEL_ART) else Kind.CLEAN


def _file_verdict(
    path: Path,
    detector: Detector,
    verdict: Verdict,
    elapsed_ms: float,
    *,
    size: tuple[int, int],
    found: BlockMap | None,
) -> FileVerdict:
    blocks = verdict.blocks
    return FileVerdict(
        path=str(path),
        pixelated=verdict.pixelated,
        kind=verdict.kind,
        score=round(verdict.score, 4),
        block_px=round(blocks.width_px, 4) if blocks else None,
        block_height_px=round(blocks.height_px, 4) if blocks else None,
        method=detector.name,
        ms=round(elapsed_ms, 3),
        severity=None if verdict.severity is None else round(verdict.severity, 4),
        regions=found.regions() if found else [],
        native_size=verdict.native_size(size),
    )
