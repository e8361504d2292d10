"""Conversion between PyAV frames and NumPy planes, without a copy where possible."""

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
    """The planar Y'CbCr pixel format in which the pipeline processes pictures of format `source`.

    The source's own format if it is planar, 8 or 10 bits, 4:2:0, 4:2:2 or 4:4:4; otherwise the nearest one without
    loss of depth or chroma resolution. Chroma resolution is reduced only if `encoder` (FFmpeg's name) requires it.
    Raises UsageError if the encoder supports none of them.
    """
    nearest = _nearest_planar(VideoFormat(source, 64, 64))
    if encoder is None:
        return nearest
    supported = {form.name for form in av.Codec(encoder, "w").video_formats or ()}
    depth = "10le" if nearest.endswith("10le") else ""
    for name in (nearest, nearest.replace("yuvj", "yuv"), f"yuv422p{depth}", f"yuv420p{depth}"):
        if name in supported and _samples(name) <= _samples(nearest):
            return name
    for name in ("yuv422p10le", "yuv444p10le"):  # ProRes has no less
        if name in supported and not supported & {"yuv420p", "yuv420p10le"}:
            return name
    raise UsageError(f"encoder {encoder} does not support {nearest}. Use --encoder software or another --codec.")


def _nearest_planar(form: VideoFormat) -> str:
    is_deep = max(component.bits for component in form.components) > 8
    if form.is_rgb or form.has_palette:
        return "yuv444p10le" if is_deep else "yuv444p"
    if len(form.components) < 3:
        return "yuv420p10le" if is_deep else "yuv420p"
    ratio = (min(2, 64 // form.chroma_width(64)), min(2, 64 // form.chroma_height(64)))
    layout = _SUBSAMPLING.get(ratio, "444")
    full = "j" if form.name.startswith("yuvj") else ""
    return f"yuv{full}{layout}p{'10le' if is_deep else ''}"


def _samples(name: str) -> int:
    """Samples per four pixels, all planes together."""
    return {"420": 6, "422": 8, "444": 12}[name.replace("j", "")[3:6]]


def depth_of(name: str) -> int:
    """Bits per sample of a planar format that `planar_format` returns: 8 or 10."""
    return 10 if name.endswith("10le") else 8


def subsampling_of(name: str) -> tuple[int, int]:
    """Luma samples per chroma sample of a planar format, horizontally and vertically."""
    form = VideoFormat(name, 64, 64)
    return 64 // form.chroma_width(64), 64 // form.chroma_height(64)


def is_full_range(picture: VideoFrame) -> bool:
    """Whether samples are full range, signalled either by a `yuvj` format or by the range tag."""
    return picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG


def to_planar(picture: VideoFrame, name: str) -> VideoFrame:
    """Convert `picture` to planar format `name`; returned unchanged, or rewrapped, if the samples are the same.

    RGB becomes limited-range BT.709; the matrix and range of Y'CbCr never change.
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
    """Read-only views of a planar Y'CbCr picture's samples, without the padding at the end of each row."""
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
    """A new PyAV frame in planar format `name` with a copy of `planes`."""
    height, width = planes[0].shape
    picture = VideoFrame(width, height, name)
    for plane, samples in zip(picture.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(
            plane.height, plane.line_size // samples.itemsize
        )
        rows[:, : plane.width] = samples
    return picture


def rewrap(picture: VideoFrame, name: str) -> VideoFrame:
    """A copy of `picture` with the same samples and timestamps, labelled as planar format `name`."""
    copy = picture_of(planes_of(picture), name)
    copy.pts = picture.pts
    if picture.time_base is not None:
        copy.time_base = picture.time_base
    return copy


def prepare_for_encoder(
    picture: VideoFrame, *, pts: int, time_base: Fraction, duration: int, colour: Colour
) -> VideoFrame:
    """Set the timestamps and colour tags of `picture` in place, and clear its picture type; returns it."""
    picture.pts = pts
    picture.time_base = time_base
    picture.duration = duration
    picture.pict_type = PictureType.NONE  # otherwise the source's I and B frames are forced on the encoder
    picture.color_primaries = colour.primaries
    picture.color_trc = colour.transfer
    picture.colorspace = colour.matrix
    picture.color_range = colour.range
    return picture


def colour_of(picture: VideoFrame) -> Colour:
    """The colour tags of `picture` after `to_planar`."""
    if picture.format.is_rgb or picture.format.has_palette:
        return Colour(primaries=_BT709, transfer=_BT709, matrix=_BT709, range=1)
    return Colour(
        primaries=int(picture.color_primaries),
        transfer=int(picture.color_trc),
        matrix=int(picture.colorspace),
        range=2 if is_full_range(picture) else int(picture.color_range),
    )


def sws_matrix(colour: Colour) -> Colorspace:
    """swscale's constant for the matrix of `colour`; BT.709 if unspecified or unknown."""
    return _SWS_MATRIX.get(colour.matrix, Colorspace.ITU709)


def rgb_of(planes: Planes, name: str, colour: Colour, *, deep: bool = False) -> NDArray[np.uint8]:
    """Convert planar Y'CbCr to RGB for display, (height, width, 3) uint8, by the matrix and range of `colour`.

    `deep`: to uint16, 0..65535.
    Untagged pictures count as BT.709 from 720 rows up and as BT.601 below, as in players.
    """
    picture = picture_of(planes, name)
    untagged = Colorspace.ITU709 if picture.height >= 720 else Colorspace.ITU601
    matrix = _SWS_MATRIX.get(colour.matrix, untagged)
    full = colour.range == 2 or name.startswith("yuvj")
    rgb = picture.reformat(
        format="rgb48le" if deep else "rgb24",
        src_colorspace=matrix,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return rgb.to_ndarray()  # type: ignore[return-value]


def resized(frame: Frame, size: tuple[int, int]) -> Frame:
    """`frame` resized to `size` (width, height) by Lanczos; format, colour and range unchanged."""
    picture = frame.picture
    holds_fields = frame.deinterlaced and frame.field_order is not None
    if not isinstance(picture, VideoFrame) or holds_fields:
        planes = resized_planes(frame.planes, size, frame.subsampling)
        return replace(frame, planes=planes, picture=None, changed=True)
    sample_range = ColorRange.JPEG if is_full_range(picture) else ColorRange.MPEG
    scaled = picture.reformat(
        width=size[0],
        height=size[1],
        format=picture.format.name,
        interpolation=Interpolation.LANCZOS,
        src_color_range=sample_range,
        dst_color_range=sample_range,
    )
    return replace(frame, planes=planes_of(scaled), picture=scaled, changed=True)


def resized_planes(planes: Planes, size: tuple[int, int], subsampling: tuple[int, int]) -> Planes:
    """Resize planes by OpenCV: Lanczos to enlarge, area averaging to shrink.

    `size`: (width, height) of the luma plane; `subsampling`: luma samples per chroma sample, horizontally, vertically.
    """
    across, down = subsampling
    height, width = planes[0].shape
    shrinks = size[0] < width or size[1] < height
    chroma = -(-size[0] // across), -(-size[1] // down)
    luma, blue, red = (
        cv2.resize(plane, shape, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)
        for plane, shape in zip(planes, (size, chroma, chroma), strict=True)
    )
    return luma, blue, red  # type: ignore[return-value]
