"""Through a lossy video codec and back: what training and evaluation do to frames, without a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from deepclarity.errors import StageError, UsageError, did_you_mean

from .frame import Planes
from .planes import picture_of, planes_of

ENCODERS = {"h264": "libx264", "hevc": "libx265"}
"""Codecs by their names, and what encodes them."""

_RATE = 25


def recode(frames: Sequence[Planes], *, codec: str, crf: int, speed: str = "veryfast") -> list[Planes]:
    """Encode 8-bit 4:2:0 `frames` at a constant rate factor and decode them again, as many, in order.

    `frames`: (luma (h, w), blue, red (h/2, w/2)) uint8, all of one size with even sides; `codec`: `h264` or
    `hevc`; `crf` 0..51; `speed` in x264's words. One thread, so the same input gives the same output.
    """
    if codec not in ENCODERS:
        raise UsageError(f"no codec called '{codec}' to recode with; {did_you_mean(codec, ENCODERS)}")
    try:
        decoded = list(_decoded(frames, ENCODERS[codec], codec, {"crf": str(crf), "preset": speed}))
    except av.error.FFmpegError as error:
        raise StageError(f"{codec} could not code frames at CRF {crf}: {error.strerror}") from error
    if len(decoded) != len(frames):
        raise StageError(f"{codec} gave {len(decoded)} frames back of {len(frames)}")
    return decoded


def _decoded(frames: Sequence[Planes], encoder: str, decoder: str, options: dict[str, str]) -> Iterator[Planes]:
    encode, decode = CodecContext.create(encoder, "w"), CodecContext.create(decoder, "r")
    assert isinstance(encode, VideoCodecContext)
    assert isinstance(decode, VideoCodecContext)
    encode.height, encode.width = frames[0][0].shape
    encode.pix_fmt, encode.time_base, encode.framerate = "yuv420p", Fraction(1, _RATE), Fraction(_RATE)
    quiet = {"x265-params": "log-level=none:pools=none:frame-threads=1"} if encoder == "libx265" else {}
    encode.options, encode.thread_count, decode.thread_count = options | quiet, 1, 1
    packets = [packet for number, planes in enumerate(frames) for packet in encode.encode(_picture(planes, number))]
    for packet in [*packets, *encode.encode(None), None]:
        for picture in decode.decode(packet):
            luma, blue, red = (plane.copy() for plane in planes_of(picture))
            yield luma, blue, red


def _picture(planes: Planes, number: int) -> VideoFrame:
    picture = picture_of(planes, "yuv420p")
    picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, _RATE), PictureType.NONE
    return picture
