"""One session of a live source: decodes the packets of its reader process and tracks losses."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket
from deepclarity.stream.rtsp import ipc

from .state import AudioFormat, SourceCounts

_MOST_ON_WAY = 256
_MOST_HURT = 64


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """One decoded picture."""

    picture: VideoFrame
    arrived_s: float
    """Arrival time of its packet on the monotonic clock."""
    time_s: float | None
    """Presentation time by the source's clock."""
    intact: bool
    """False after a packet loss, until the next key frame: the decoder concealed parts of it."""


def _decoder(described: VideoCodecContext | None) -> VideoCodecContext:
    """A separate decoder with a stream's parameters: the container's own one is part of a reference cycle."""
    if described is None:
        raise ValueError("FFmpeg has no decoder for its video")
    decoder = av.CodecContext.create(described.name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata, decoder.codec_tag = described.extradata, described.codec_tag
    decoder.width, decoder.height = described.width, described.height
    if described.pix_fmt is not None:
        decoder.pix_fmt = described.pix_fmt
    decoder.thread_count, decoder.thread_type = 1, "SLICE"  # frame threads would delay pictures
    return decoder


def audio_format_of(container: InputContainer) -> AudioFormat | None:
    """Format of a container's first audio track; None without one."""
    for track in container.streams.audio:
        codec = track.codec_context
        return AudioFormat(codec.codec.canonical_name, codec.sample_rate, codec.layout.nb_channels)
    return None


class Session:
    """Decodes the packets of one connection to a source, each picture as soon as possible."""

    def __init__(self, opened: ipc.Message, counts: SourceCounts) -> None:
        """`opened`: the reader's message of that name. `counts`: counters for losses.

        Raises ValueError if FFmpeg has no decoder for the video.
        """
        self.nut_header = opened.data
        """A NUT file with the parameters of the source's streams."""
        self.rate = Fraction(opened.fields["rate"])
        """Nominal frames per second."""
        with av.open(io.BytesIO(opened.data), "r", format="nut") as container:
            self.audio = audio_format_of(container)
            self._video = _decoder(container.streams.video[0].codec_context)
        self._independent: bool = opened.fields["raw"] or self.codec in ("mjpeg", "rawvideo")
        self._counts = counts
        self._on_way: dict[int, float] = {}
        self._arrival_s = 0.0
        self._intact = True
        self._damaged_until = 0
        self._hurt: deque[int | None] = deque(maxlen=_MOST_HURT)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the video decoder."""
        return self._video.name

    def pictures(self, message: ipc.Message | None) -> Iterator[DecodedPicture]:
        """Decode one packet (None: flush) and yield its pictures. A packet that cannot be decoded is counted."""
        packet = None if message is None else self._packet(message)
        if message is not None:
            self._note_losses(message)
        try:
            decoded = self._video.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self._counts.damaged_packets += 1
            self._intact = False
            return
        yield from map(self._arrival, decoded)

    def _note_losses(self, message: ipc.Message) -> None:
        """Sequence range of damaged pictures: the one being assembled when the loss is noticed, and the next."""
        lost, hurt = message.fields["lost"], not message.fields["intact"]
        self._counts.lost_packets += lost
        self._damaged_until = 2 if lost else max(self._damaged_until - 1, 0)
        if self._damaged_until or hurt:
            self._intact = False
            self._hurt.append(message.fields["pts"])

    def _packet(self, message: ipc.Message) -> AnyPacket:
        fields = message.fields
        packet: AnyPacket = Packet(message.data)
        packet.pts, packet.dts, packet.time_base = fields["pts"], fields["dts"], Fraction(*fields["base"])
        packet.is_keyframe = fields["key"]
        self._arrival_s = fields["at"]
        if fields["pts"] is not None:
            if len(self._on_way) >= _MOST_ON_WAY:
                self._on_way.clear()
            self._on_way[fields["pts"]] = fields["at"]
        return packet

    def _arrival(self, picture: VideoFrame) -> DecodedPicture:
        if (picture.key_frame or self._independent) and picture.pts not in self._hurt:
            self._intact = True
        intact = self._intact and not picture.is_corrupt
        self._counts.damaged_frames += not intact
        if picture.pts is None:
            return DecodedPicture(picture, self._arrival_s, None, intact)
        arrived_s = self._on_way.pop(picture.pts, self._arrival_s)
        return DecodedPicture(picture, arrived_s, float(picture.pts * (picture.time_base or RTP_TIME_BASE)), intact)
