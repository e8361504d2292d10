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
    """How a live output is coded."""

    codec: str = "h264"
    """`h264` or `hevc`."""
    crf: int | None = None
    """Constant rate factor; 21 or 25 by codec without."""
    speed: str = "ultrafast"
    """Encoder effort, in x264's words."""
    max_kbps: int = 12_000
    """Bits a second are kept below this, in thousands."""
    colour: Colour = _BT709
    """Tags of the output."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f"--codec {self.codec}: cannot be sent live; {did_you_mean(self.codec, CODECS)}")
        EncodeSettings(self.codec, self.crf, self.speed)  # refuses what no encoder takes

    def with_colour(self, colour: Colour) -> LiveEncodeSettings:
        """The same for pictures of another colour."""
        return replace(self, colour=colour)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One coded picture."""

    data: bytes
    pts: int
    """In `RTP_TIME_BASE`."""
    key: bool


class LiveEncoder:
    """Codes frames of one size, each at once; a key frame every two seconds, and whenever one is asked for."""

    def __init__(self, encoding: LiveEncodeSettings, *, size: tuple[int, int], rate: Fraction) -> None:
        """`size`: (width, height), even. `rate`: pictures a second, for rate control only."""
        self._held = io.BytesIO()
        self._nut = av.open(self._held, "w", format="nut")
        stream = self._nut.add_stream(CODECS[encoding.codec], rate=30)
        assert isinstance(stream, VideoStream)
        self._stream, self._colour = stream, encoding.colour
        self._configure(stream.codec_context, encoding, size, rate)
        self._key_due_s = 0.0

    def _configure(
        self, context: VideoCodecContext, encoding: LiveEncodeSettings, size: tuple[int, int], rate: Fraction
    ) -> None:
        context.width, context.height, context.pix_fmt = *size, LIVE_PIXEL_FORMAT
        context.time_base, context.framerate = RTP_TIME_BASE, max(Fraction(1), min(rate, Fraction(120)))
        context.gop_size = 600  # time decides, not their number
        context.max_b_frames = 0
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        context.colorspace, context.color_range = self._colour.matrix, 1
        context.flags |= Flags.global_header
        context.options = _options(encoding)

    def nut_header(self, first: EncodedFrame, *, audio: bytes | None = None) -> bytes:
        """A NUT file that holds the stream's parameters in FFmpeg's own words, and `first`. To be asked for once.

        `audio`: a NUT file whose sound track's parameters go in as well.
        """
        if audio is not None:
            with av.open(io.BytesIO(audio), "r", format="nut") as heard:
                self._nut.add_stream_from_template(heard.streams.audio[0], opaque=True)
        packet: AnyPacket = Packet(first.data)
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe, packet.stream = RTP_TIME_BASE, True, self._stream
        self._nut.mux_one(packet)
        self._nut.close()
        return self._held.getvalue()

    def encode(self, frame: Frame, *, key: bool = False) -> list[EncodedFrame]:
        """Code one frame, as a key frame if `key`."""
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
        """Let go of the encoder; what it still holds is of no use to anybody."""
        self._nut.close()


def _options(encoding: LiveEncodeSettings) -> dict[str, str]:
    crf = encoding.crf if encoding.crf is not None else {"h264": 21, "hevc": 25}[encoding.codec]
    common = {"preset": encoding.speed, "tune": "zerolatency", "crf": str(crf), "forced-idr": "1"}
    most = encoding.max_kbps
    if encoding.codec == "hevc":
        limits = f"vbv-maxrate={most}:vbv-bufsize={most // 2}:repeat-headers=1:log-level=none"
        return {**common, "x265-params": limits}
    return {**common, "maxrate": f"{most}k", "bufsize": f"{most // 2}k", "x264-params": "repeat-headers=1"}
