"""Probes a video file without decoding it: size, duration, frame count, frame rate, codec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from deepclarity.errors import SourceError

from .demux import open_input


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Video properties according to the container's header; any of them may be wrong."""

    width_px: int
    height_px: int
    duration_s: float | None
    frames: int | None
    rate: float | None
    """Nominal frames per second."""
    codec: str


def probe(path: Path, *, demuxer: str | None = None) -> ProbeResult:
    """Read the header of a video file; raises SourceError if it holds no video. `demuxer`: see `open_input`."""
    with open_input(path, demuxer=demuxer) as container:
        videos = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not videos:
            raise SourceError(f"{path}: no video track in it. Name a video file.")
        largest = max(videos, key=lambda s: s.width * s.height)
        rate = largest.average_rate or largest.guessed_rate
        return ProbeResult(
            width_px=largest.width,
            height_px=largest.height,
            duration_s=container.duration / av.time_base if container.duration else None,
            frames=len(largest.index_entries) or largest.frames or None,
            rate=float(rate) if rate else None,
            codec=largest.codec_context.name if largest.codec_context else "",
        )
