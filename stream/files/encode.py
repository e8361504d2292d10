"""Video encoders (H.264, HEVC, AV1; software or NVENC): frames in, packets out."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.packets import AnyPacket

SPEEDS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip
"""How much work the encoder puts into a bit, in x264's words for every codec."""

CODECS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
"""Codec by the name that people use → FFmpeg's software encoder."""

_NVENC = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
_DEFAULT_CRF = {"h264": 18, "hevc": 20, "av1": 26}
_SVT_PRESET = dict(zip(SPEEDS, (12, 11, 10, 9, 8, 7, 5, 4, 3), strict=True))
_NVENC_PRESET = dict(zip(SPEEDS, ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7"), strict=True))
_GOP = 250
_MOST_REORDERED = 4
_FASTEST = Fraction(240)  # SVT-AV1 takes no more; only rate control examines it, time is pts


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """How the output is encoded."""

    codec: str = "h264"
    """`h264`, `hevc` or `av1`."""
    crf: int | None = None
    """Constant rate factor: smaller is better and larger in bytes. None: 18, 20, 26 by codec."""
    speed: str = "superfast"
    """One of `SPEEDS`."""
    hardware: bool = False
    """NVENC, where `nvenc_works` has said so."""
    restart_every: int = 250
    """Close and reopen the encoder after so many frames: a cut that a resumed run can be joined at."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f"--codec {self.codec}: no such codec; {did_you_mean(self.codec, CODECS)}")
        if self.speed not in SPEEDS:
            raise UsageError(f"speed {self.speed}: no such encoder speed; {did_you_mean(self.speed, SPEEDS)}")
        top = 63 if self.codec == "av1" else 51
        if self.crf is not None and not 0 <= self.crf <= top:
            raise UsageError(f"--crf {self.crf}: {self.codec} takes 0 (best) to {top} (smallest).")

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return (_NVENC if self.hardware else CODECS)[self.codec]


def nvenc_works(codec: str) -> bool:
    """Whether NVENC encodes `codec` here: found out by encoding one frame, for creating it says nothing."""
    try:
        context = av.CodecContext.create(_NVENC[codec], "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.encode(VideoFrame(256, 256, "yuv420p"))
        context.encode(None)
    except (av.error.FFmpegError, ValueError):  # FFmpeg says in many ways that there is no such card
        return False
    return True


class Encoder:
    """One video track being encoded. `packets(picture)` for each picture, `finish()` at the end.

    Decoding times are our own: the n-th packet is decoded when the (n - reorder depth)-th picture is shown.
    So they rise strictly however uneven the frame times are, and across restarts.
    """

    def __init__(
        self,
        settings: EncodeSettings,
        info: VideoInfo,
        *,
        size: tuple[int, int],
        planar: str,
        global_header: bool,
        negative_dts: bool,
    ) -> None:
        """`negative_dts`: the container takes decoding times before the first picture (ISO files do)."""
        self.settings = settings
        self._info = info
        self._size = size
        self._planar = planar
        self._global_header = global_header
        self._negative_dts = negative_dts
        self._frames = 0
        self._shown: deque[int] = deque()
        self._packets = 0
        self._first_pts: int | None = None
        self._step = 1
        self._fed = 0
        self.context: VideoCodecContext | None = None

    def configure(self, context: VideoCodecContext) -> VideoCodecContext:
        """Set up an encoder context that has not been opened yet."""
        info, settings = self._info, self.settings
        context.width, context.height = self._size
        context.pix_fmt = self._planar
        context.time_base = info.time_base
        context.framerate = min(info.rate or Fraction(25), _FASTEST)
        context.gop_size = min(_GOP, settings.restart_every)
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        context.colorspace = info.colour.matrix
        context.color_range = info.colour.range
        context.sample_aspect_ratio = info.sample_aspect
        context.flags |= Flags.frame_duration
        if self._global_header:
            context.flags |= Flags.global_header
        if info.interlaced and self._size == (info.width_px, info.height_px) and self._size[1] % 4 == 0:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        context.options = _options(settings, info)
        os.environ.setdefault("SVT_LOG", "0")  # or SVT-AV1 prints its life story on stderr
        return context

    def packets(self, picture: VideoFrame) -> Iterator[AnyPacket]:
        """Take one dressed picture; yield whatever packets are ready."""
        if self.context is None:
            raise RuntimeError("an encoder needs its context before its first picture")
        assert picture.pts is not None
        if self._fed and self._frames % self.settings.restart_every == 0:
            yield from self.finish()
            fresh = av.CodecContext.create(self.settings.encoder, "w")
            assert isinstance(fresh, VideoCodecContext)
            self.context = self.configure(fresh)
        self._arrives(picture.pts)
        self._fed += 1
        yield from self._timed(self.context.encode(picture))

    def skip(self, pts: int) -> None:
        """Count a frame whose packet comes from elsewhere, as if it had been encoded here."""
        assert self.context is not None
        self._arrives(pts)
        self._packets += 1
        if len(self._shown) > self._reorder_depth():
            self._shown.popleft()

    def finish(self) -> Iterator[AnyPacket]:
        """Yield the packets still inside the encoder."""
        if self.context is not None and self._fed:
            yield from self._timed(self.context.encode(None))

    def _arrives(self, pts: int) -> None:
        if self._first_pts is None:
            self._first_pts = pts
        elif self._frames == 1:
            self._step = max(1, pts - self._first_pts)
        self._shown.append(pts)
        self._frames += 1

    def _timed(self, packets: list[AnyPacket]) -> Iterator[AnyPacket]:
        for packet in packets:
            packet.dts = self._next_dts(packet)
            yield packet

    def _next_dts(self, packet: AnyPacket) -> int:
        assert self._first_pts is not None
        delay = self._reorder_depth() - self._packets
        self._packets += 1
        if delay > 0:
            dts = self._first_pts - delay * self._step if self._negative_dts else self._first_pts
        else:
            dts = self._shown.popleft()
        return dts if packet.pts is None else min(dts, packet.pts)

    def _reorder_depth(self) -> int:
        """How many pictures a packet may be ahead of its turn; x264 says, others are given what they need at most."""
        assert self.context is not None
        reported = int(self.context.reorder_depth)
        return reported if self.settings.encoder in ("libx264", "libsvtav1") else max(reported, _MOST_REORDERED)


def _options(settings: EncodeSettings, info: VideoInfo) -> dict[str, str]:
    crf = str(_DEFAULT_CRF[settings.codec] if settings.crf is None else settings.crf)
    if settings.hardware:
        return {"preset": _NVENC_PRESET[settings.speed], "rc": "vbr", "cq": crf, "b:v": "0"}
    hdr10 = _hdr10(settings.codec, info)
    if settings.codec == "av1":
        return {"preset": str(_SVT_PRESET[settings.speed]), "crf": crf, **_params("svtav1-params", hdr10)}
    if settings.codec == "hevc":
        quiet = {"log-level": "none", "repeat-headers": "0"}
        return {"preset": settings.speed, "crf": crf, **_params("x265-params", quiet | hdr10)}
    return {"preset": settings.speed, "crf": crf, **_params("x264-params", hdr10)}


def _params(name: str, values: dict[str, str]) -> dict[str, str]:
    return {name: ":".join(f"{key}={value}" for key, value in values.items())} if values else {}


def _hdr10(codec: str, info: VideoInfo) -> dict[str, str]:
    """Mastering display (SMPTE ST 2086) and light level (CTA-861.3) in each encoder's own words."""
    words = {}
    if info.mastering and len(info.mastering) >= 88:
        numbers = struct.unpack("20i2i", info.mastering[:88])
        values = [Fraction(n, d or 1) for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
        words["mastering-display" if codec != "hevc" else "master-display"] = _mastering(codec, values)
    if info.light_level and len(info.light_level) >= 8:
        most, average = struct.unpack("2I", info.light_level[:8])
        words[{"av1": "content-light", "hevc": "max-cll", "h264": "cll"}[codec]] = f"{most},{average}"
    return words


def _mastering(codec: str, values: list[Fraction]) -> str:
    """FFmpeg's order (R, G, B, white, darkest, brightest) → G()B()R()WP()L(brightest, darkest)."""
    point, light = (1, 1) if codec == "av1" else (50_000, 10_000)
    red, green, blue, white = (",".join(_number(v * point) for v in values[k : k + 2]) for k in range(0, 8, 2))
    darkest, brightest = (_number(v * light) for v in values[8:10])
    return f"G({green})B({blue})R({red})WP({white})L({brightest},{darkest})"


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
