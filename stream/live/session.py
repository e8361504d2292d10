"""One session of a live source: decodes the packets from the reader process and tracks packet losses."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from deepclarity.stream.files.reading.side_data import user_data_of
from deepclarity.stream.interlaced.live import LiveDeinterlacer
from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.user_data.messages import Messages

from .state import AudioFormat, SourceCounts

_MAX_PENDING = 256
_MAX_DAMAGED_PTS = 64


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """One decoded picture."""

    picture: VideoFrame
    arrived_s: float
    """Arrival time of its packet, by the monotonic clock."""
    time_s: float | None
    """Presentation time by the source's clock, in seconds; None if it has none."""
    intact: bool
    """False from a packet loss to the next key frame: the decoder concealed the missing parts."""
    user_data: Messages = ()
    """Closed captions and active format."""


def _decoder(template: VideoCodecContext | None) -> VideoCodecContext:
    """A new decoder with the parameters of `template`, because the container's own is part of a reference cycle."""
    if template is None:
        raise ValueError("FFmpeg has no decoder for its video")
    decoder = av.CodecContext.create(template.name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata, decoder.codec_tag = template.extradata, template.codec_tag
    decoder.width, decoder.height = template.width, template.height
    if template.pix_fmt is not None:
        decoder.pix_fmt = template.pix_fmt
    decoder.thread_count, decoder.thread_type = 1, "SLICE"  # frame threading would delay pictures
    return decoder


def audio_format_of(container: InputContainer) -> AudioFormat | None:
    """Format of a container's first audio track; None if it has no audio."""
    if not container.streams.audio:
        return None
    context = container.streams.audio[0].codec_context
    return AudioFormat(context.codec.canonical_name, context.sample_rate, context.layout.nb_channels)


class Session:
    """Decodes the packets of one connection to a source with minimum delay."""

    def __init__(self, opened: ipc.Message, counts: SourceCounts) -> None:
        """`opened`: the reader process's message of that kind. `counts`: counters to update.

        Raises ValueError if FFmpeg has no decoder for the video.
        """
        self.nut_header = opened.data
        """A NUT file with the parameters of the source's streams."""
        self.rate = Fraction(opened.fields["rate"])
        """Nominal frames per second."""
        with av.open(io.BytesIO(opened.data), "r", format="nut") as container:
            self.audio = audio_format_of(container)
            self._video = _decoder(container.streams.video[0].codec_context)
        self._intra_only: bool = opened.fields["raw"] or self.codec in ("mjpeg", "rawvideo")
        self._counts = counts
        self._deinterlacer = LiveDeinterlacer()
        self._in_filter: deque[DecodedPicture] = deque()
        self._arrival_by_pts: dict[int, float] = {}
        self._last_arrival_s = 0.0
        self._intact = True
        self._damaged_packets_left = 0
        self._damaged_pts: deque[int | None] = deque(maxlen=_MAX_DAMAGED_PTS)

    @property
    def codec(self) -> str:
        """Name of the video decoder, by FFmpeg."""
        return self._video.name

    def decode(self, message: ipc.Message | None) -> Iterator[DecodedPicture]:
        """Decode one packet (None: flush) and yield its pictures. Undecodable packets are counted as damaged."""
        packet = None if message is None else self._packet(message)
        if message is not None:
            self._record_losses(message)
        try:
            decoded = self._video.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self._counts.damaged_packets += 1
            self._intact = False
            return
        for each in map(self._decoded_picture, decoded):
            self._in_filter.append(each)
            yield from self._progressive(self._deinterlacer.push(each.picture))
        if message is None:
            yield from self._progressive(self._deinterlacer.flush())

    def _progressive(self, pictures: list[VideoFrame]) -> Iterator[DecodedPicture]:
        """The decoded pictures that are through the deinterlacer, as it made them."""
        for picture in pictures:
            yield replace(self._in_filter.popleft(), picture=picture)

    def _record_losses(self, message: ipc.Message) -> None:
        """Mark the pictures that a loss damages: the one being assembled when it is detected, and the next."""
        lost, incomplete = message.fields["lost"], not message.fields["intact"]
        self._counts.lost_packets += lost
        self._damaged_packets_left = 2 if lost else max(self._damaged_packets_left - 1, 0)
        if self._damaged_packets_left or incomplete:
            self._intact = False
            self._damaged_pts.append(message.fields["pts"])

    def _packet(self, message: ipc.Message) -> AnyPacket:
        fields = message.fields
        packet: AnyPacket = Packet(message.data)
        packet.pts, packet.dts, packet.time_base = fields["pts"], fields["dts"], Fraction(*fields["base"])
        packet.is_keyframe = fields["key"]
        self._last_arrival_s = fields["at"]
        if fields["pts"] is not None:
            if len(self._arrival_by_pts) >= _MAX_PENDING:
                self._arrival_by_pts.clear()
            self._arrival_by_pts[fields["pts"]] = fields["at"]
        return packet

    def _decoded_picture(self, picture: VideoFrame) -> DecodedPicture:
        if (picture.key_frame or self._intra_only) and picture.pts not in self._damaged_pts:
            self._intact = True
        intact = self._intact and not picture.is_corrupt
        self._counts.damaged_frames += not intact
        arrived_s, time_s = self._last_arrival_s, None
        if picture.pts is not None:
            arrived_s = self._arrival_by_pts.pop(picture.pts, arrived_s)
            time_s = float(picture.pts * (picture.time_base or RTP_TIME_BASE))
        return DecodedPicture(picture, arrived_s, time_s, intact, user_data_of(picture))
