"""Choice of the video track to repair."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from deepclarity.errors import SourceError, UsageError

from .late_tracks import picture_size

_STILL = Disposition.timed_thumbnails | Disposition.still_image
_DURATION = re.compile(r"(\d+):(\d+):([\d.]+)")
_SHORTER = 0.8
"""Tracks with at least this share of the longest one's time and frames are as long: the larger picture is taken."""


def video_track(container: InputContainer, name: str, *, track: int | None = None) -> VideoStream:
    """The track with this index in the file, or the one that is the video.

    That is the default track; of several, the longest, and of those the largest. Cover pictures do not count, and
    thumbnails and stills only if there is nothing else. Raises SourceError without any, UsageError if `track` is no
    video.
    """
    if track is not None:
        chosen = next((s for s in container.streams.video if s.index == track), None)
        if chosen is None:
            known = ", ".join(str(s.index) for s in container.streams.video) or "none"
            raise UsageError(f"{name}: track {track} is no video track. Video tracks: {known}.")
        return _checked(chosen, name)
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    videos = [s for s in pictures if not s.disposition & _STILL] or pictures
    if not videos:
        count = len(container.streams.audio) or "no"
        raise SourceError(f"{name}: no video in it, {count} audio tracks. Name a video file.")
    candidates = [s for s in videos if s.disposition & Disposition.default] or videos
    # A track of stills may be the default, too: motion photos mark both.
    if any(_frames(s) > 1 for s in videos):
        candidates = [s for s in candidates if _frames(s) > 1] or [s for s in videos if _frames(s) > 1]
    for measure in (_seconds, _frames):
        most = max(measure(s) for s in candidates)
        candidates = [s for s in candidates if measure(s) >= _SHORTER * most]
    return _checked(max(candidates, key=lambda s: math.prod(picture_size(s))), name)


def _checked(stream: VideoStream, name: str) -> VideoStream:
    if stream.codec_context is None:
        raise SourceError(f"{name}: FFmpeg has no decoder for its video codec. Convert it first.")
    return stream


def other_videos(container: InputContainer, chosen: VideoStream) -> list[str]:
    """A description of each video track that was not taken, stills included, cover pictures not."""
    return [
        f"track {s.index}, {s.codec_context.name if s.codec_context else 'unknown'} "
        + f"{'x'.join(map(str, picture_size(s)))}, {_frames(s)} frame{'s' * (_frames(s) != 1)}"
        for s in container.streams.video
        if s.index != chosen.index and not s.disposition & Disposition.attached_pic
    ]


def _frames(stream: VideoStream) -> int:
    """The number of frames as the container counts them, or by duration and rate; 2 if neither is known."""
    if stream.frames:
        return stream.frames
    tag = next((value for key, value in stream.metadata.items() if key.startswith("NUMBER_OF_FRAMES")), "")
    if tag.isdecimal():
        return int(tag)
    if (seconds := _seconds(stream)) and stream.average_rate:
        return max(1, round(seconds * stream.average_rate))
    return max(2, len(stream.index_entries))  # in Matroska, the index holds key frames only


def _seconds(stream: VideoStream) -> float:
    # Matroska has a tag, hours:minutes:seconds, and FFmpeg makes up a duration for some of its tracks.
    tag = next((value for key, value in stream.metadata.items() if key.split("-")[0] == "DURATION"), "")
    if found := _DURATION.fullmatch(tag):
        return float(sum(Decimal(part) * 60**power for power, part in enumerate(reversed(found.groups()))))
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return 0.0
