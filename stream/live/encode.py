"""Low-latency live encoder: no frame waits for another, and viewers can join at any key frame."""

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

from .normalize import LIVE_PIXEL_FORMAT

CODECS = {name: ENCODERS[name] for name in ("h264", "hevc")}
"""Codec of a live output → FFmpeg's encoder."""

_KEY_EVERY_S = 2.0
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
            raise UsageError(f"--codec {self.codec}: cannot be sent live; {did_you_mean(self.codec, CODECS)}")
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
    """Encodes frames of one size without delay; a key frame every two seconds and on request."""

    def __init__(self, encoding: LiveEncodeSettings, *, size: tuple[int, int], rate: Fraction) -> None:
        """`size`: (width, height), even. `rate`: frames per second, used only by rate control."""
        self._buffered = io.BytesIO()
        self._build_nut = av.open(self._buffered, "w", format="nut")
        stream = self._build_nut.add_stream(CODECS[encoding.codec], rate=30)
        assert isinstance(stream, VideoStream)
        self._stream, self._colour = stream, encoding.colour
        self._configure(stream.codec_context, encoding, size, rate)
        self._key_due_s = 0.0

    def _configure(
        self, context: VideoCodecContext, encoding: LiveEncodeSettings, size: tuple[int, int], rate: Fraction
    ) -> None:
        context.width, context.height, context.pix_fmt = *size, LIVE_PIXEL_FORMAT
        context.time_base, context.framerate = RTP_TIME_BASE, max(Fraction(1), min(rate, Fraction(120)))
        context.gop_size = 600  # key frames are placed by time, not by frame count
        context.max_b_frames = 0
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        context.colorspace, context.color_range = self._colour.matrix, 1
        context.flags |= Flags.global_header
        context.options = _options(encoding)

    def nut_header(self, first: EncodedFrame, *, audio: bytes | None = None) -> bytes:
        """A NUT file with the stream's parameters and the packet `first`. Call once.

        `audio`: a NUT file whose audio track's parameters are included.
        """
        if audio is not None:
            with av.open(io.BytesIO(audio), "r", format="nut") as heard:
                self._build_nut.add_stream_from_template(heard.streams.audio[0], opaque=True)
        packet: AnyPacket = Packet(first.data)
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe, packet.stream = RTP_TIME_BASE, True, self._stream
        self._build_nut.mux_one(packet)
        self._build_nut.close()
        return self._buffered.getvalue()

    def encode(self, frame: Frame, *, key: bool = False) -> list[EncodedFrame]:
        """Encode one frame, as a key frame if `key`."""
        picture = frame.picture if isinstance(frame.picture, VideoFrame) else None
        if picture is None:
            picture = planes.picture_of(frame.planes, LIVE_PIXEL_FORMAT)
        picture = planes.prepare_for_encoder(
            picture, pts=frame.pts, time_base=RTP_TIME_BASE, duration=0, colour=self._colour
        )
        if key or frame.time_s >= self._key_due_s:
            self._key_due_s = frame.time_s + _KEY_EVERY_S
            picture.pict_type = PictureType.I
        return [EncodedFrame(bytes(p), p.pts or 0, p.is_keyframe) for p in self._stream.codec_context.encode(picture)]

    def close(self) -> None:
        """Close the encoder and discard what it still holds."""
        self._build_nut.close()


def _options(encoding: LiveEncodeSettings) -> dict[str, str]:
    crf = encoding.crf if encoding.crf is not None else {"h264": 21, "hevc": 25}[encoding.codec]
    common = {"preset": encoding.speed, "tune": "zerolatency", "crf": str(crf), "forced-idr": "1"}
    most = encoding.max_kbps
    if encoding.codec == "hevc":
        limits = f"vbv-maxrate={most}:vbv-bufsize={most // 2}:repeat-headers=1:log-level=none"
        return {**common, "x265-params": limits}
    return {**common, "maxrate": f"{most}k", "bufsize": f"{most // 2}k", "x264-params": "repeat-headers=1"}
