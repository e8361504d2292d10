"""Probes a video file without decoding it: size, duration, frame count, frame rate, codec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from .demux import open_input
from .reading.tracks import video_track


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
        video = video_track(container, str(path))
        rate = video.average_rate or video.guessed_rate
        return ProbeResult(
            width_px=video.width,
            height_px=video.height,
            duration_s=container.duration / av.time_base if container.duration else None,
            frames=len(video.index_entries) or video.frames or None,
            rate=float(rate) if rate else None,
            codec=video.codec_context.name,
        )
