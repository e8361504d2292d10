"""Codec round trip: encodes and decodes frames in memory with a lossy codec, for training and evaluation."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from deepclarity.errors import StageError, UsageError, did_you_mean
from deepclarity.stream.frame import Planes
from deepclarity.stream.planes import picture_of, planes_of

ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "mpeg4": "mpeg4",
    "mpeg2video": "mpeg2video",
}
"""Codec name → FFmpeg's encoder."""
_MAX_QUANTISER = 31

_DECODERS = {"av1": "libdav1d"}
"""Codec name → FFmpeg's decoder, if the decoder of the codec's own name is for hardware only."""

_RATE = 25
_MACROBLOCK = 16

_VPX_SPEED = {"ultrafast": 8, "superfast": 8, "veryfast": 7, "faster": 6, "fast": 5, "medium": 4}
_SVT_PRESET = {"ultrafast": 11, "superfast": 11, "veryfast": 10, "faster": 9, "fast": 8, "medium": 7}
"""x264's speed names → SVT-AV1's presets, like `_VPX_SPEED` for libvpx; slower ones count as `medium`."""


def recode(
    frames: Sequence[Planes],
    *,
    codec: str,
    crf: int,
    speed: str = "veryfast",
    constant: bool = False,
    deblock: bool = True,
) -> list[Planes]:
    """Encode 8-bit 4:2:0 `frames` at a constant rate factor, decode them, and return as many frames in order.

    `frames`: Y' (h, w), Cb and Cr (h/2, w/2), uint8, all of one size with even sides. `codec`: one of `ENCODERS`.
    `crf`: 0..51 for h264 and hevc, 0..63 for vp9 and av1; for mpeg4 and mpeg2video the quantiser 2..31, where higher
    values count as 31. `speed`: an x264 preset. `constant`: one quantiser, `crf`, for everything, as far as the encoder
    has it (h264, hevc). `deblock`: whether h264 uses its loop filter. Deterministic: runs on one thread. Raises
    UsageError for an unknown codec, StageError if it fails.
    """
    if not frames:
        return []
    if codec not in ENCODERS:
        raise UsageError(f"unknown codec '{codec}'; {did_you_mean(codec, ENCODERS)}")
    try:
        options = _options(codec, crf, speed, frames[0][0].shape[1])
        if constant or not deblock:
            options = _with_constant_quantiser(options, codec, crf, constant=constant, deblock=deblock)
        with _keep_scheduling():
            decoded = _round_trip(frames, codec, options)
    except av.error.FFmpegError as error:
        raise StageError(f"{codec} could not encode frames at CRF {crf}: {error.strerror}") from error
    if len(decoded) != len(frames):
        raise StageError(f"{codec} returned {len(decoded)} of {len(frames)} frames")
    return decoded


def _round_trip(frames: Sequence[Planes], codec: str, options: dict[str, str]) -> list[Planes]:
    try:
        return list(_encode_and_decode(frames, ENCODERS[codec], _DECODERS.get(codec, codec), options))
    except av.error.InvalidDataError:
        if codec != "av1":
            raise
    # for some screen content SVT-AV1 writes streams that cannot be decoded, but not without its screen content tools
    plain = {**options, "svtav1-params": f"{options['svtav1-params']}:scm=0"}
    return list(_encode_and_decode(frames, ENCODERS[codec], _DECODERS[codec], plain))


@contextlib.contextmanager
def _keep_scheduling() -> Iterator[None]:
    """Restore the thread's scheduling: as root, SVT-AV1 makes its caller a real-time thread, starving all processes."""
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _options(codec: str, crf: int, speed: str, width: int) -> dict[str, str]:
    """Encoder options for `codec`: one thread, no log output."""
    if codec.startswith("mpeg"):
        quantiser = str(min(crf, _MAX_QUANTISER))
        return {"qmin": quantiser, "qmax": quantiser, "b": "100000000"}
    return {"crf": str(crf), **_speed_options(codec, speed, width)}


def _with_constant_quantiser(
    options: dict[str, str], codec: str, quantiser: int, *, constant: bool, deblock: bool
) -> dict[str, str]:
    changed = dict(options)
    if codec == "h264":
        parameters = [options.get("x264-params", ""), "" if deblock else "no-deblock=1"]
        if constant:
            del changed["crf"]
            changed["qp"] = str(quantiser)
        changed["x264-params"] = ":".join(each for each in parameters if each)
    elif codec == "hevc" and constant:
        del changed["crf"]
        changed["x265-params"] += f":qp={quantiser}"
    return changed


def _speed_options(codec: str, speed: str, width: int) -> dict[str, str]:
    if codec == "vp9":
        return {"b": "0", "deadline": "realtime", "cpu-used": str(_VPX_SPEED.get(speed, 4)), "lag-in-frames": "0"}
    if codec == "av1":
        os.environ.setdefault("SVT_LOG", "0")  # otherwise SVT-AV1 logs to stderr
        return {"preset": str(_SVT_PRESET.get(speed, 7)), "svtav1-params": "lp=1"}
    if codec == "hevc":
        return {"preset": speed, "x265-params": "log-level=none:pools=none:frame-threads=1"}
    # x264's macroblock tree reads uninitialised memory if a row has an odd number of macroblocks
    odd = -(-width // _MACROBLOCK) % 2
    return {"preset": speed, **({"x264-params": "mbtree=0"} if odd else {})}


def _encode_and_decode(
    frames: Sequence[Planes], encoder: str, decoder: str, options: dict[str, str]
) -> Iterator[Planes]:
    encode, decode = CodecContext.create(encoder, "w"), CodecContext.create(decoder, "r")
    assert isinstance(encode, VideoCodecContext)
    assert isinstance(decode, VideoCodecContext)
    encode.height, encode.width = frames[0][0].shape
    encode.pix_fmt, encode.time_base, encode.framerate = "yuv420p", Fraction(1, _RATE), Fraction(_RATE)
    encode.options, encode.thread_count, decode.thread_count = options, 1, 1
    packets = [packet for number, planes in enumerate(frames) for packet in encode.encode(_picture(planes, number))]
    for packet in [*packets, *encode.encode(None), None]:
        for picture in decode.decode(packet):
            luma, blue, red = (plane.copy() for plane in planes_of(picture))
            yield luma, blue, red


def _picture(planes: Planes, number: int) -> VideoFrame:
    picture = picture_of(planes, "yuv420p")
    picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, _RATE), PictureType.NONE
    return picture
