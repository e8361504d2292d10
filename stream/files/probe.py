"""Probes a video file's header: size, duration, frame count, rate, codec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from deepclarity.errors import SourceError

from .demux import open_input


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The claims of a container's head; any of them may be wrong."""

    width_px: int
    height_px: int
    duration_s: float | None
    frames: int | None
    rate: float | None
    codec: str


def probe(path: Path, *, demuxer: str | None = None) -> ProbeResult:
    """Open a file by FFmpeg's `demuxer`, or by probing; SourceError where there is no moving picture in it."""
    with open_input(path, demuxer=demuxer) as container:
        moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not moving:
            raise SourceError(f"{path}: no video in it. Name a file with pictures.")
        largest = max(moving, key=lambda s: s.width * s.height)
        rate = largest.average_rate or largest.guessed_rate
        return ProbeResult(
            width_px=largest.width,
            height_px=largest.height,
            duration_s=container.duration / av.time_base if container.duration else None,
            frames=len(largest.index_entries) or largest.frames or None,
            rate=float(rate) if rate else None,
            codec=largest.codec_context.name if largest.codec_context else "",
        )
