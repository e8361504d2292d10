"""Converts live pictures to one pixel format, range and colour matrix."""

from __future__ import annotations

from dataclasses import replace

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from deepclarity.stream import planes
from deepclarity.stream.info import Colour

LIVE_PIXEL_FORMAT = "yuv420p"
"""Pixel format of all live frames: 8-bit 4:2:0, always in limited range."""

_BT709, _BT601 = Colour(1, 1, 1, 1), Colour(6, 6, 6, 1)
_UNTAGGED = (0, 2, 3)  # H.273 matrix coefficients: identity (RGB), unspecified, reserved
_MIN_HD_HEIGHT_PX = 720


def normalize_picture(picture: VideoFrame, colour: Colour) -> VideoFrame:
    """Convert `picture` to `LIVE_PIXEL_FORMAT`, limited range and the matrix of `colour`.

    A picture that already conforms is returned unchanged.
    """
    full_range = planes.is_full_range(picture)
    source_matrix, target_matrix = planes.sws_matrix(output_colour(picture)), planes.sws_matrix(colour)
    same_matrix = source_matrix == target_matrix
    if picture.format.name == LIVE_PIXEL_FORMAT and not full_range and same_matrix:
        return picture
    if picture.format.is_rgb or picture.format.has_palette:
        return picture.reformat(format=LIVE_PIXEL_FORMAT, dst_colorspace=target_matrix, dst_color_range=ColorRange.MPEG)
    matrices = {} if same_matrix else {"src_colorspace": source_matrix, "dst_colorspace": target_matrix}
    return picture.reformat(
        format=LIVE_PIXEL_FORMAT,
        src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
        **matrices,
    )


def output_colour(picture: VideoFrame) -> Colour:
    """Colour tags of the output for `picture`: its own, or what players assume if untagged; always limited range."""
    colour = planes.colour_of(picture)
    untagged = _BT709 if picture.height >= _MIN_HD_HEIGHT_PX else _BT601
    return replace(untagged if colour.matrix in _UNTAGGED else colour, range=1)
