"""The decoder of a video track."""

from __future__ import annotations

import av
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream


def decoder_of(stream: VideoStream) -> VideoCodecContext:
    """FFmpeg's own decoder of the track; libvpx where VP9 has opacity, which only that decodes."""
    if stream.codec_context.name != "vp9" or not has_alpha_track(stream):
        return stream.codec_context
    try:
        context = av.CodecContext.create("libvpx-vp9", "r")
    except UnknownCodecError:
        return stream.codec_context
    assert isinstance(context, VideoCodecContext)
    context.extradata = stream.codec_context.extradata
    return context


def has_alpha_track(stream: VideoStream) -> bool:
    """Whether a WebM or Matroska track says that its blocks have opacity beside them."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
