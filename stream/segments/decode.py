"""Decodes the packets of a segment again, when its first frames went by as clean before one that is to be repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream.packets import AnyPacket

from .errors import CopyError
from .segment import Entry, Segment


def decode_frames(
    stream: VideoStream, segment: Segment, *, before: Segment | None, wanted: Sequence[int]
) -> Iterator[VideoFrame]:
    """Yield the frames of `segment` with the presentation times `wanted`, which increase.

    `stream`: the track, for its parameters. `before`: the segment before it, on which an open one leans. CopyError if
    the decoder does not give these frames.
    """
    decoder = _decoder_of(stream)
    leans_on = [before] if before is not None and segment.entry is Entry.OPEN else []
    expected = iter(wanted)
    upcoming = next(expected, None)
    try:
        for packet in [*(copy for part in [*leans_on, segment] for copy in _copies(part)), None]:
            for picture in decoder.decode(packet):
                if picture.pts == upcoming and upcoming is not None:
                    yield picture
                    upcoming = next(expected, None)
            if upcoming is None:
                return
    except av.error.FFmpegError as error:
        raise CopyError(f"packets could not be decoded a second time: {error}") from error
    raise CopyError("decoding packets a second time gave other frames")


def _decoder_of(stream: VideoStream) -> VideoCodecContext:
    decoder = av.CodecContext.create(stream.codec_context.name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = stream.codec_context.extradata
    # Frame threads would still be at work when the last wanted frame is there, and freeing such a decoder can block.
    decoder.thread_type = "SLICE"
    return decoder


def _copies(segment: Segment) -> Iterator[AnyPacket]:
    """Packets with the source's own times: those of a segment that has been written carry the output's."""
    for packet, pts in zip(segment.packets, segment.packet_pts, strict=True):
        copy: AnyPacket = Packet(bytes(packet))
        copy.pts = pts
        yield copy
