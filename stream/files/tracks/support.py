"""What kind of track this is, and whether a container supports it."""

from __future__ import annotations

import io

import av
from av.stream import Disposition, Stream


def is_adts(stream: Stream) -> bool:
    """Whether this is AAC with ADTS headers, as in transport streams; ISO files need one header for the track."""
    context = stream.codec_context
    return context is not None and context.name == "aac" and not context.extradata


def is_chapter_track(stream: Stream, *, chapters: bool) -> bool:
    """Whether this is the text track in which ISO files duplicate their chapters; the muxer writes a new one."""
    return chapters and stream.type == "data" and stream.metadata.get("handler_name") == "SubtitleHandler"


def supports(container: str, stream: Stream) -> bool:
    """Whether a container supports this track; tried with the muxer, in memory."""
    if stream.type == "unknown":
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container.split(",", maxsplit=1)[0]) as trial:
            copy = trial.add_stream_from_template(stream, opaque=True)
            copy.disposition = stream.disposition & ~Disposition.attached_pic
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError, RuntimeError):
        return False
    return True
