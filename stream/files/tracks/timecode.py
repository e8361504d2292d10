"""Timecode of ISO files: a tag of the video, of which the muxer makes a track of its own."""

from __future__ import annotations

from fractions import Fraction

from av.stream import Stream
from av.video.stream import VideoStream

TAG = "timecode"
_MAX_RATE = 255
"""Frames per second that a timecode track can count (QuickTime File Format, timecode media)."""


def is_timecode_track(stream: Stream) -> bool:
    """Whether this is the track of a timecode (`tmcd`)."""
    return stream.type == "data" and stream.metadata.get("timecode") is not None


def add_timecode(video: VideoStream, timecode: str | None, rate: Fraction | None) -> None:
    """Have the muxer of an ISO file write `timecode` for a track of `rate` frames per second; None: there is none."""
    if timecode is not None and rate is not None and 1 <= rate <= _MAX_RATE:
        video.codec_context.framerate = rate  # which the muxer counts by
        video.metadata[TAG] = timecode


def timecode_of(stream: Stream) -> str | None:
    """The timecode of a video's first frame, such as `01:00:00:00`; None if it has none."""
    return next((value for key, value in stream.metadata.items() if key.lower() == TAG), None)
