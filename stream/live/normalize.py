"""Normalises live pictures to one pixel format, colour and time base, whatever the source sends."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from deepclarity.stream import planes
from deepclarity.stream.info import Colour

PLANAR = "yuv420p"
"""8 bits, limited range."""
TIME_BASE = Fraction(1, 90_000)
"""That of RTP video (RFC 3551)."""

_BT709, _BT601 = Colour(1, 1, 1, 1), Colour(6, 6, 6, 1)
_UNTAGGED = (0, 2, 3)
_HD_ROWS = 720


def as_live(picture: VideoFrame, colour: Colour) -> VideoFrame:
    """`picture` in `PLANAR` and by the matrix of `colour`: itself where it is that already."""
    full, own = planes.is_full_range(picture), live_colour(picture)
    wanted = planes.sws_matrix(colour)
    same = planes.sws_matrix(own) == wanted
    if picture.format.name == PLANAR and not full and same:
        return picture
    if picture.format.is_rgb or picture.format.has_palette:
        return picture.reformat(format=PLANAR, dst_colorspace=wanted, dst_color_range=ColorRange.MPEG)
    matrices = {} if same else {"src_colorspace": planes.sws_matrix(own), "dst_colorspace": wanted}
    return picture.reformat(
        format=PLANAR,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
        **matrices,
    )


def live_colour(picture: VideoFrame) -> Colour:
    """The tags that go out with pictures like this one: what is untagged gets what players would take it for."""
    colour = planes.colour_of(picture)
    untagged = _BT709 if picture.height >= _HD_ROWS else _BT601
    return replace(untagged if colour.matrix in _UNTAGGED else colour, range=1)
