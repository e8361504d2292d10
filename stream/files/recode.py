"""Encodes and decodes frames in memory with a lossy codec, for training and evaluation."""

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
"""Codecs by their names, and what encodes them."""
_LARGEST_QUANTISER = 31

_DECODERS = {"av1": "libdav1d"}
"""Where FFmpeg's own decoder of the codec's name only drives hardware."""

_RATE = 25
_MACROBLOCK = 16

_VPX_SPEED = {"ultrafast": 8, "superfast": 8, "veryfast": 7, "faster": 6, "fast": 5, "medium": 4}
_SVT_PRESET = {"ultrafast": 11, "superfast": 11, "veryfast": 10, "faster": 9, "fast": 8, "medium": 7}
"""x264's words in the numbers of others; slower ones count as `medium`."""


def recode(frames: Sequence[Planes], *, codec: str, crf: int, speed: str = "veryfast") -> list[Planes]:
    """Encode 8-bit 4:2:0 `frames` at a constant rate factor and decode them again, as many, in order.

    `frames`: (luma (h, w), blue, red (h/2, w/2)) uint8, all of one size with even sides; `codec`: one of
    `ENCODERS`; `crf`: 0..51 of h264 and hevc, 0..63 of vp9 and av1, the
    quantiser 2..31 of mpeg4 and mpeg2video, where more counts as 31; `speed` in x264's words. One thread, so the
    same input gives the same output.
    """
    if not frames:
        return []
    if codec not in ENCODERS:
        raise UsageError(f"no codec called '{codec}' to recode with; {did_you_mean(codec, ENCODERS)}")
    try:
        options = _options(codec, crf, speed, frames[0][0].shape[1])
        with _priority_kept():
            decoded = _coded(frames, codec, options)
    except av.error.FFmpegError as error:
        raise StageError(f"{codec} could not code frames at CRF {crf}: {error.strerror}") from error
    if len(decoded) != len(frames):
        raise StageError(f"{codec} gave {len(decoded)} frames back of {len(frames)}")
    return decoded


def _coded(frames: Sequence[Planes], codec: str, options: dict[str, str]) -> list[Planes]:
    try:
        return list(_decoded(frames, ENCODERS[codec], _DECODERS.get(codec, codec), options))
    except av.error.InvalidDataError:
        if codec != "av1":
            raise
    # SVT-AV1 writes what cannot be decoded for some drawn screens, though not without its tools for them
    plain = {**options, "svtav1-params": f"{options['svtav1-params']}:scm=0"}
    return list(_decoded(frames, ENCODERS[codec], _DECODERS[codec], plain))


@contextlib.contextmanager
def _priority_kept() -> Iterator[None]:
    """SVT-AV1 makes the thread that opens it a real-time one where it may (root), which starves all other processes."""
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _options(codec: str, crf: int, speed: str, width: int) -> dict[str, str]:
    """What the encoder of `codec` is reported, one thread and silence included."""
    if codec.startswith("mpeg"):
        quantiser = str(min(crf, _LARGEST_QUANTISER))
        return {"qmin": quantiser, "qmax": quantiser, "b": "100000000"}
    return {"crf": str(crf), **_manner(codec, speed, width)}


def _manner(codec: str, speed: str, width: int) -> dict[str, str]:
    if codec == "vp9":
        return {"b": "0", "deadline": "realtime", "cpu-used": str(_VPX_SPEED.get(speed, 4)), "lag-in-frames": "0"}
    if codec == "av1":
        os.environ.setdefault("SVT_LOG", "0")  # or SVT-AV1 prints its life story on stderr
        return {"preset": str(_SVT_PRESET.get(speed, 7)), "svtav1-params": "lp=1"}
    if codec == "hevc":
        return {"preset": speed, "x265-params": "log-level=none:pools=none:frame-threads=1"}
    # x264's macroblock tree reads memory it never wrote where a row holds an odd number of macroblocks
    odd = -(-width // _MACROBLOCK) % 2
    return {"preset": speed, **({"x264-params": "mbtree=0"} if odd else {})}


def _decoded(frames: Sequence[Planes], encoder: str, decoder: str, options: dict[str, str]) -> Iterator[Planes]:
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
