"""Video encoders (H.264, HEVC, AV1, VP9, ProRes; software or NVENC): frames in, packets out."""

from __future__ import annotations

import os
import struct
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
from deepclarity.stream.transparency import keeps_alpha, with_alpha
from deepclarity.stream.user_data.messages import Messages
from deepclarity.stream.user_data.writer import UserDataWriter

from .timestamps import DecodeTimes

SPEEDS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip
"""Encoder speed presets, by x264's names for every codec."""

CODECS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9", "prores": "prores_ks"}
"""Codec name → FFmpeg's software encoder."""

_NVENC = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
_DEFAULT_CRF = {"h264": 18, "hevc": 20, "av1": 26, "vp9": 24}
_SVT_PRESET = dict(zip(SPEEDS, (12, 11, 10, 9, 8, 7, 5, 4, 3), strict=True))
_VPX_SPEED = dict(zip(SPEEDS, (8, 7, 6, 5, 4, 3, 2, 1, 0), strict=True))
_NVENC_PRESET = dict(zip(SPEEDS, ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7"), strict=True))
_NO_CAPTIONS = {"a53cc": "0"}
"""Captions go into the packets afterwards: only some encoders write them, and only of frames that are not changed."""
_GOP = 250
_MAX_REORDER_DEPTH = 4
_MAX_RATE = Fraction(240)  # the limit of SVT-AV1; only rate control uses it, timestamps are exact


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """Encoder settings of a file output. Raises UsageError for invalid values."""

    codec: str = "h264"
    """One of `CODECS`. VP9 and ProRes (always 4444) keep transparency."""
    crf: int | None = None
    """Constant rate factor; lower is better quality and a larger file. None: 18 (h264), 20 (hevc), 26 (av1), 24 (vp9);
    ProRes has none."""
    speed: str = "superfast"
    """One of `SPEEDS`."""
    hardware: bool = False
    """Use NVENC; check `nvenc_works` first."""
    restart_every: int = 250
    """Frames after which the encoder is closed and reopened; a resumed run can continue from any such point."""
    cores: int = 0
    """CPU cores by which the encoder divides its work, on which the bytes it writes depend; 0: those it may use."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f"--codec {self.codec}: unknown codec; {did_you_mean(self.codec, CODECS)}")
        if self.speed not in SPEEDS:
            raise UsageError(f"speed {self.speed}: unknown encoder speed; {did_you_mean(self.speed, SPEEDS)}")
        if self.codec == "prores" and self.crf is not None:
            raise UsageError("--crf: ProRes has no quality setting. Leave it out, or choose another --codec.")
        max_crf = 63 if self.codec in ("av1", "vp9") else 51
        if self.crf is not None and not 0 <= self.crf <= max_crf:
            raise UsageError(f"--crf {self.crf}: must be from 0 (best) to {max_crf} (smallest) for {self.codec}.")

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return (_NVENC if self.hardware else CODECS)[self.codec]


def nvenc_works(codec: str) -> bool:
    """Whether NVENC can encode `codec` on this machine; encodes one frame, as opening the encoder is no proof."""
    if codec not in _NVENC:
        return False
    try:
        context = av.CodecContext.create(_NVENC[codec], "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.encode(VideoFrame(256, 256, "yuv420p"))
        context.encode(None)
    except (av.error.FFmpegError, ValueError):  # FFmpeg reports a missing GPU in many ways
        return False
    return True


class Encoder:
    """Encodes one video track: call `packets(picture)` for each picture, and `finish()` at the end.

    DTS are computed here, not taken from the encoder: the n-th packet gets the PTS of the (n - reorder depth)-th
    picture in display order. They increase strictly for any variable frame rate, and across encoder restarts.
    """

    def __init__(
        self,
        settings: EncodeSettings,
        info: VideoInfo,
        *,
        size: tuple[int, int],
        pixel_format: str,
        global_header: bool,
        negative_dts: bool,
    ) -> None:
        """`size`: (width, height) in pixels. `negative_dts`: whether the container allows a DTS before the first PTS.

        ISO files (MP4, MOV) do; Matroska does not.
        """
        self.settings = settings
        self._info = info
        self._size = size
        self._pixel_format = pixel_format
        self._global_header = global_header
        self._times = DecodeTimes(negative=negative_dts)
        self._user_data = UserDataWriter(settings.codec)
        self._encoded = 0
        self.context: VideoCodecContext | None = None

    def configure(self, context: VideoCodecContext) -> VideoCodecContext:
        """Set the parameters of an encoder context that is not open yet; returns it."""
        info, settings = self._info, self.settings
        context.width, context.height = self._size
        transparent = keeps_alpha(info, settings.encoder)
        context.pix_fmt = with_alpha(self._pixel_format) if transparent else self._pixel_format
        context.time_base = info.time_base
        context.framerate = min(info.rate or Fraction(25), _MAX_RATE)
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
        if settings.cores and not settings.hardware:
            context.thread_count = _threads(settings)
        os.environ.setdefault("SVT_LOG", "0")  # otherwise SVT-AV1 logs to stderr
        return context

    def packets(self, picture: VideoFrame, user_data: Messages = ()) -> Iterator[AnyPacket]:
        """Encode one picture that has its timestamps and tags; yield the packets that are ready.

        `user_data`: captions and dynamic HDR metadata that go into the picture's packet.
        """
        if self.context is None:
            raise RuntimeError("set Encoder.context before encoding the first picture")
        assert picture.pts is not None
        if self._encoded and self._times.frames % self.settings.restart_every == 0:
            yield from self.finish()
            context = av.CodecContext.create(self.settings.encoder, "w")
            assert isinstance(context, VideoCodecContext)
            self.context = self.configure(context)
        self._times.register(picture.pts)
        self._user_data.add(picture.pts, user_data)
        self._encoded += 1
        yield from self._with_dts(self.context.encode(picture))

    def skip(self, pts: int) -> None:
        """Count a frame whose packet is copied from a partial output, as if it had been encoded here."""
        assert self.context is not None
        self._times.register(pts)
        self._times.skip(self._reorder_depth())

    def finish(self) -> Iterator[AnyPacket]:
        """Flush the encoder: yield its remaining packets."""
        if self.context is not None and self._encoded:
            yield from self._with_dts(self.context.encode(None))

    def _with_dts(self, packets: list[AnyPacket]) -> Iterator[AnyPacket]:
        for encoded in packets:
            packet = self._user_data.written(encoded)
            packet.dts = self._times.next(packet.pts, self._reorder_depth())
            yield packet

    def _reorder_depth(self) -> int:
        """Maximum B-frame reordering in frames; as reported by x264 and SVT-AV1, an upper bound for other encoders."""
        assert self.context is not None
        reported = int(self.context.reorder_depth)
        exact = ("libx264", "libsvtav1", "libvpx-vp9", "prores_ks")
        return reported if self.settings.encoder in exact else max(reported, _MAX_REORDER_DEPTH)


def _threads(settings: EncodeSettings) -> int:
    """The number of frames that an encoder works on at once; 0 for one whose output does not depend on it."""
    return {"h264": min(settings.cores, 16), "hevc": max(1, min(settings.cores // 2, 4))}.get(settings.codec, 0)


def _options(settings: EncodeSettings, info: VideoInfo) -> dict[str, str]:
    if settings.codec == "prores":
        return {"profile": "4444", "alpha_bits": "16"}
    crf = str(_DEFAULT_CRF[settings.codec] if settings.crf is None else settings.crf)
    if settings.hardware:
        return {"preset": _NVENC_PRESET[settings.speed], "rc": "vbr", "cq": crf, "b:v": "0", **_NO_CAPTIONS}
    if settings.codec == "vp9":
        speed = {"deadline": "good" if _VPX_SPEED[settings.speed] < 5 else "realtime"}
        speed["cpu-used"] = str(_VPX_SPEED[settings.speed])
        return {"crf": crf, "b": "0", "row-mt": "1", "auto-alt-ref": "0", **speed}
    hdr10 = _hdr10(settings.codec, info)
    if settings.codec == "av1":
        return {"preset": str(_SVT_PRESET[settings.speed]), "crf": crf, **_params("svtav1-params", hdr10)}
    if settings.codec == "hevc":
        quiet = {"log-level": "none", "repeat-headers": "0"}
        return {"preset": settings.speed, "crf": crf, **_params("x265-params", quiet | hdr10)}
    return {"preset": settings.speed, "crf": crf, **_params("x264-params", hdr10), **_NO_CAPTIONS}


def _params(name: str, values: dict[str, str]) -> dict[str, str]:
    return {name: ":".join(f"{key}={value}" for key, value in values.items())} if values else {}


def _hdr10(codec: str, info: VideoInfo) -> dict[str, str]:
    """Encoder parameters for mastering display (SMPTE ST 2086) and content light level (CTA-861.3)."""
    parameters = {}
    if info.mastering and len(info.mastering) >= 88:
        numbers = struct.unpack("20i2i", info.mastering[:88])
        values = [Fraction(n, d or 1) for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
        parameters["mastering-display" if codec != "hevc" else "master-display"] = _mastering(codec, values)
    if info.light_level and len(info.light_level) >= 8:
        peak, average = struct.unpack("2I", info.light_level[:8])
        parameters[{"av1": "content-light", "hevc": "max-cll", "h264": "cll"}[codec]] = f"{peak},{average}"
    return parameters


def _mastering(codec: str, values: list[Fraction]) -> str:
    """Reorder FFmpeg's values (R, G, B, white point, min, max luminance) to `G()B()R()WP()L(max,min)`."""
    point, light = (1, 1) if codec == "av1" else (50_000, 10_000)
    red, green, blue, white = (",".join(_number(v * point) for v in values[k : k + 2]) for k in range(0, 8, 2))
    darkest, brightest = (_number(v * light) for v in values[8:10])
    return f"G({green})B({blue})R({red})WP({white})L({brightest},{darkest})"


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
