"""Pixel formats: the source's own if possible, otherwise one correct conversion."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame

from deepclarity.stream import planes
from deepclarity.stream.info import Colour


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("yuv420p", "yuv420p"),
        ("yuvj420p", "yuvj420p"),
        ("yuv422p10le", "yuv422p10le"),
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("yuv422p12le", "yuv422p10le"),
        ("yuv411p", "yuv422p"),
        ("gray", "yuv420p"),
        ("rgb24", "yuv444p"),
        ("gbrp10le", "yuv444p10le"),
        ("pal8", "yuv444p"),
    ],
)
def test_planar_format_keeps_depth_and_chroma_resolution(source: str, wanted: str) -> None:
    assert planes.planar_format(source, encoder="libx264") == wanted


def test_encoder_limited_to_420_gets_420_at_the_same_depth() -> None:
    assert planes.planar_format("yuv444p10le", encoder="libsvtav1") == "yuv420p10le"
    assert planes.planar_format("yuvj444p", encoder="libsvtav1") == "yuv420p"


def test_planes_are_views_without_row_padding() -> None:
    picture = VideoFrame(37, 21, "yuv420p")
    luma, blue, _ = planes.planes_of(picture)
    assert (luma.shape, blue.shape) == ((21, 37), (11, 19))
    assert picture.planes[0].line_size > 37
    assert luma.base is not None


def test_plane_views_are_read_only() -> None:
    luma = planes.planes_of(VideoFrame(16, 16, "yuv420p"))[0]
    with pytest.raises(ValueError, match="read-only"):
        luma[0, 0] = 1


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_planes_round_trip_through_a_picture(name: str) -> None:
    rng = np.random.default_rng(1)
    empty = planes.planes_of(VideoFrame(50, 30, name))
    noise = tuple(rng.integers(0, 1 << planes.depth_of(name), p.shape).astype(p.dtype) for p in empty)
    again = planes.planes_of(planes.picture_of((noise[0], noise[1], noise[2]), name))
    assert all(np.array_equal(one, other) for one, other in zip(noise, again, strict=True))


def test_full_range_420_is_relabelled_without_changing_samples() -> None:
    rng = np.random.default_rng(2)
    picture = VideoFrame.from_ndarray(rng.integers(0, 256, (96, 64), np.uint8), format="yuvj420p")
    same = planes.to_planar(picture, "yuv420p")
    assert same.format.name == "yuv420p"
    assert np.array_equal(planes.planes_of(same)[0], planes.planes_of(picture)[0])


def test_rgb_is_converted_to_bt709() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    luma, blue, crimson = planes.planes_of(planes.to_planar(VideoFrame.from_ndarray(red, format="rgb24"), "yuv444p"))
    # ITU-R BT.709, limited range: Y' = 16 + 219 * 0.2126, Cb = 128 - 224 * 0.1146, Cr = 128 + 224 * 0.5
    assert abs(int(luma[8, 8]) - 63) <= 1
    assert abs(int(blue[8, 8]) - 102) <= 1
    assert abs(int(crimson[8, 8]) - 240) <= 1


@pytest.mark.parametrize(("matrix", "red"), [(1, 63), (6, 81)])
def test_conversion_to_rgb_uses_the_tagged_matrix(matrix: int, red: int) -> None:
    # the luma of pure red differs between BT.709 and BT.601: read with its own matrix it is red again
    chroma = {1: (102, 240), 6: (90, 240)}[matrix]
    flat = tuple(np.full((16, 16), value, np.uint8) for value in (red, *chroma))
    rgb = planes.rgb_of((flat[0], flat[1], flat[2]), "yuv444p", Colour(matrix=matrix, range=1))
    assert np.abs(rgb[8, 8].astype(int) - (255, 0, 0)).max() <= 3
