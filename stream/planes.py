"""Conversion between FFmpeg's pictures and NumPy planes, without a copy where possible."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from deepclarity.errors import UsageError

from .frame import Frame, Plane, Planes
from .info import Colour

_SUBSAMPLING = {(2, 2): "420", (2, 1): "422", (1, 1): "444"}
_BT709 = 1
_SWS_MATRIX = {
    1: Colorspace.ITU709,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}


def planar_format(source: str, *, encoder: str | None = None) -> str:
    """The planar Y'CbCr format that the pipeline works in for pictures of `source` format.

    The source's own where it is planar 8- or 10-bit 4:2:0, 4:2:2 or 4:4:4, else the nearest that holds at least
    as much; less chroma only where FFmpeg's `encoder` takes no more.
    """
    wanted = _nearest_planar(VideoFormat(source, 64, 64))
    if encoder is None:
        return wanted
    takes = {form.name for form in av.Codec(encoder, "w").video_formats or ()}
    depth = "10le" if wanted.endswith("10le") else ""
    for name in (wanted, wanted.replace("yuvj", "yuv"), f"yuv422p{depth}", f"yuv420p{depth}"):
        if name in takes and _samples(name) <= _samples(wanted):
            return name
    raise UsageError(f"the encoder {encoder} takes no {wanted} pictures. Use --encoder software or another --codec.")


def _nearest_planar(form: VideoFormat) -> str:
    deep = max(component.bits for component in form.components) > 8
    if form.is_rgb or form.has_palette:
        return "yuv444p10le" if deep else "yuv444p"
    if len(form.components) < 3:
        return "yuv420p10le" if deep else "yuv420p"
    ratio = (min(2, 64 // form.chroma_width(64)), min(2, 64 // form.chroma_height(64)))
    layout = _SUBSAMPLING.get(ratio, "444")
    full = "j" if form.name.startswith("yuvj") else ""
    return f"yuv{full}{layout}p{'10le' if deep else ''}"


def _samples(name: str) -> int:
    return {"420": 6, "422": 8, "444": 12}[name.replace("j", "")[3:6]]


def depth_of(name: str) -> int:
    """Bits a sample of one of our planar formats: 8 or 10."""
    return 10 if name.endswith("10le") else 8


def subsampling_of(name: str) -> tuple[int, int]:
    """Luma samples a chroma sample, across and down, in one of our planar formats."""
    form = VideoFormat(name, 64, 64)
    return 64 // form.chroma_width(64), 64 // form.chroma_height(64)


def is_full_range(picture: VideoFrame) -> bool:
    """Whether samples run 0..255, whichever way the decoder says so."""
    return picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG


def to_planar(picture: VideoFrame, name: str) -> VideoFrame:
    """`picture` in planar format `name`: itself, its samples under another name, or converted once.

    RGB becomes BT.709 limited range; the matrix and range of Y'CbCr are never changed.
    """
    if picture.format.name == name:
        return picture
    if _same_samples(picture.format.name, name):
        return rewrap(picture, name)
    if picture.format.is_rgb or picture.format.has_palette:
        return picture.reformat(
            format=name,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
    full = ColorRange.JPEG if is_full_range(picture) else ColorRange.MPEG
    return picture.reformat(format=name, src_color_range=full, dst_color_range=full)


def _same_samples(one: str, other: str) -> bool:
    return one.replace("yuvj", "yuv") == other.replace("yuvj", "yuv")


def planes_of(picture: VideoFrame) -> Planes:
    """Views of a planar Y'CbCr picture's samples, rows trimmed to the width. Not to be written to."""
    deep = depth_of(picture.format.name) > 8
    views: list[Plane] = []
    for plane in picture.planes[:3]:
        samples = np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8)
        rows = samples.reshape(plane.height, plane.line_size // samples.itemsize)
        view: Plane = rows[:, : plane.width]  # type: ignore[assignment]
        view.flags.writeable = False
        views.append(view)
    return views[0], views[1], views[2]


def picture_of(planes: Planes, name: str) -> VideoFrame:
    """A new picture in planar format `name` that holds a copy of `planes`."""
    height, width = planes[0].shape
    picture = VideoFrame(width, height, name)
    for plane, samples in zip(picture.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(
            plane.height, plane.line_size // samples.itemsize
        )
        rows[:, : plane.width] = samples
    return picture


def rewrap(picture: VideoFrame, name: str) -> VideoFrame:
    """The same samples under the planar format `name`, timestamps kept."""
    again = picture_of(planes_of(picture), name)
    again.pts = picture.pts
    if picture.time_base is not None:
        again.time_base = picture.time_base
    return again


def dress(picture: VideoFrame, *, pts: int, time_base: Fraction, duration: int, colour: Colour) -> VideoFrame:
    """Make `picture` ready for an encoder: its time, its colour tags, and no forced picture type."""
    picture.pts = pts
    picture.time_base = time_base
    picture.duration = duration
    picture.pict_type = PictureType.NONE  # or the source's I and B decisions are forced on the encoder
    picture.color_primaries = colour.primaries
    picture.color_trc = colour.transfer
    picture.colorspace = colour.matrix
    picture.color_range = colour.range
    return picture


def colour_of(picture: VideoFrame) -> Colour:
    """The colour tags that frames of this kind leave with."""
    if picture.format.is_rgb or picture.format.has_palette:
        return Colour(primaries=_BT709, transfer=_BT709, matrix=_BT709, range=1)
    return Colour(
        primaries=int(picture.color_primaries),
        transfer=int(picture.color_trc),
        matrix=int(picture.colorspace),
        range=2 if is_full_range(picture) else int(picture.color_range),
    )


def sws_matrix(colour: Colour) -> Colorspace:
    """swscale's name for the matrix of `colour`; BT.709 where it has none."""
    return _SWS_MATRIX.get(colour.matrix, Colorspace.ITU709)


def rgb_of(planes: Planes, name: str, colour: Colour) -> NDArray[np.uint8]:
    """Planar Y'CbCr as people see it: (height, width, 3) RGB uint8 by the matrix and range of `colour`.

    Untagged pictures are BT.709 from 720 rows on and BT.601 below, as players take them.
    """
    picture = picture_of(planes, name)
    untagged = Colorspace.ITU709 if picture.height >= 720 else Colorspace.ITU601
    matrix = _SWS_MATRIX.get(colour.matrix, untagged)
    full = colour.range == 2 or name.startswith("yuvj")
    rgb = picture.reformat(
        format="rgb24",
        src_colorspace=matrix,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return rgb.to_ndarray()  # type: ignore[return-value]


def resized(frame: Frame, size: tuple[int, int]) -> Frame:
    """`frame` at `size` (width, height) by Lanczos; format, colour and range unchanged."""
    picture = frame.picture
    if not isinstance(picture, VideoFrame):
        return replace(frame, planes=_resized_planes(frame, size), picture=None)
    ranged = ColorRange.JPEG if is_full_range(picture) else ColorRange.MPEG
    smaller = picture.reformat(
        width=size[0],
        height=size[1],
        format=picture.format.name,
        interpolation=Interpolation.LANCZOS,
        src_color_range=ranged,
        dst_color_range=ranged,
    )
    return replace(frame, planes=planes_of(smaller), picture=smaller)


def _resized_planes(frame: Frame, size: tuple[int, int]) -> Planes:
    """Planes that no decoder made, at `size` (width, height) of luma: Lanczos to enlarge, area averaging to shrink."""
    across, down = frame.subsampling
    shrinks = size[0] < frame.size[0] or size[1] < frame.size[1]
    chroma = -(-size[0] // across), -(-size[1] // down)
    luma, blue, red = (
        cv2.resize(plane, shape, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)
        for plane, shape in zip(frame.planes, (size, chroma, chroma), strict=True)
    )
    return luma, blue, red  # type: ignore[return-value]
