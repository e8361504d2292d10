"""Low-latency video encoder for live outputs: no frame delay, periodic key frames."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.stream import planes
from deepclarity.stream.files.encode import CODECS as ENCODERS
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import Colour
from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket
from deepclarity.stream.user_data.writer import UserDataWriter

from .normalize import LIVE_PIXEL_FORMAT

CODECS = {name: ENCODERS[name] for name in ("h264", "hevc")}
"""FFmpeg's encoder for each codec of a live output."""

_KEY_INTERVAL_S = 2.0
_BT709 = Colour(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class LiveEncodeSettings:
    """Encoder settings of a live output."""

    codec: str = "h264"
    """`h264` or `hevc`."""
    crf: int | None = None
    """Constant rate factor; None: 21 (h264) or 25 (hevc)."""
    speed: str = "ultrafast"
    """Encoder speed preset, by x264's names."""
    max_kbps: int = 12_000
    """Maximum bit rate, in kbit/s."""
    colour: Colour = _BT709
    """Colour tags of the output."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f"--codec {self.codec}: not available for live output; {did_you_mean(self.codec, CODECS)}")
        EncodeSettings(self.codec, self.crf, self.speed)  # raises UsageError for invalid values

    def with_colour(self, colour: Colour) -> LiveEncodeSettings:
        """The same settings with other colour tags."""
        return replace(self, colour=colour)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One encoded picture."""

    data: bytes
    pts: int
    """In `RTP_TIME_BASE`."""
    key: bool


class LiveEncoder:
    """Encodes frames of one size with no frame delay, and a key frame every two seconds and on request.

    Viewers can join at any key frame.
    """

    def __init__(self, settings: LiveEncodeSettings, *, size: tuple[int, int], rate: Fraction) -> None:
        """`size`: (width, height), both even. `rate`: frames per second, for rate control only."""
        self._nut_buffer = io.BytesIO()
        self._nut = av.open(self._nut_buffer, "w", format="nut")
        stream = self._nut.add_stream(CODECS[settings.codec], rate=30)
        assert isinstance(stream, VideoStream)
        self._stream, self._colour = stream, settings.colour
        self._configure(stream.codec_context, settings, size, rate)
        self._user_data = UserDataWriter(settings.codec)
        self._next_key_s = 0.0

    def _configure(
        self, context: VideoCodecContext, settings: LiveEncodeSettings, size: tuple[int, int], rate: Fraction
    ) -> None:
        context.width, context.height, context.pix_fmt = *size, LIVE_PIXEL_FORMAT
        context.time_base, context.framerate = RTP_TIME_BASE, max(Fraction(1), min(rate, Fraction(120)))
        context.gop_size = 600  # key frames are placed by time, not by frame count
        context.max_b_frames = 0
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        context.colorspace, context.color_range = self._colour.matrix, 1
        context.flags |= Flags.global_header
        context.options = _options(settings)

    def nut_header(self, first: EncodedFrame, *, audio: bytes | None = None) -> bytes:
        """A NUT file with the parameters of the video stream and its first packet `first`. Call only once.

        `audio`: a NUT file; the parameters of its audio track are included as well.
        """
        if audio is not None:
            with av.open(io.BytesIO(audio), "r", format="nut") as source:
                self._nut.add_stream_from_template(source.streams.audio[0], opaque=True)
        packet: AnyPacket = Packet(first.data)
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe, packet.stream = RTP_TIME_BASE, True, self._stream
        self._nut.mux_one(packet)
        self._nut.close()
        return self._nut_buffer.getvalue()

    def encode(self, frame: Frame, *, key: bool = False) -> list[EncodedFrame]:
        """Encode one frame; `key` forces a key frame."""
        picture = frame.picture if isinstance(frame.picture, VideoFrame) else None
        if picture is None:
            picture = planes.picture_of(frame.planes, LIVE_PIXEL_FORMAT)
        picture = planes.prepare_for_encoder(
            picture, pts=frame.pts, time_base=RTP_TIME_BASE, duration=0, colour=self._colour
        )
        if key or frame.time_s >= self._next_key_s:
            self._next_key_s = frame.time_s + _KEY_INTERVAL_S
            picture.pict_type = PictureType.I
        self._user_data.add(frame.pts, frame.user_data)
        packets = map(self._user_data.written, self._stream.codec_context.encode(picture))
        return [EncodedFrame(bytes(packet), packet.pts or 0, packet.is_keyframe) for packet in packets]

    def close(self) -> None:
        """Close the encoder; discards frames that it still buffers."""
        self._nut.close()


def _options(settings: LiveEncodeSettings) -> dict[str, str]:
    crf = settings.crf if settings.crf is not None else {"h264": 21, "hevc": 25}[settings.codec]
    common = {"preset": settings.speed, "tune": "zerolatency", "crf": str(crf), "forced-idr": "1"}
    max_kbps = settings.max_kbps
    if settings.codec == "hevc":
        x265_params = f"vbv-maxrate={max_kbps}:vbv-bufsize={max_kbps // 2}:repeat-headers=1:log-level=none"
        return {**common, "x265-params": x265_params}
    limits = {"maxrate": f"{max_kbps}k", "bufsize": f"{max_kbps // 2}k"}
    return {**common, **limits, "x264-params": "repeat-headers=1", "a53cc": "0"}  # captions are added to the packets
