"""Conversion between Y'CbCr planes and R'G'B'."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.models.colour import YCbCr, as_planes


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize(("dtype", "max_value"), [(np.uint8, 255), (np.uint16, 1023), (np.uint16, 65535)])
def test_the_round_trip_returns_every_value(
    matrix: int, full_range: bool, dtype: type[np.uint8] | type[np.uint16], max_value: int
) -> None:
    colour, rng = YCbCr(matrix, full_range), np.random.default_rng(0)
    luma, blue, red = (rng.integers(0, max_value + 1, (30, 40)).astype(dtype) for _ in range(3))
    rgb = colour.to_rgb((luma, blue, red), max_value=max_value)
    back = as_planes(colour.from_rgb(rgb, max_value=max_value), max_value=max_value, dtype=luma.dtype)
    for before, after in zip((luma, blue, red), back, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("colour", "max_value", "rgb", "levels"),
    [
        (YCbCr(1, full_range=False), 255, (1, 1, 1), (235, 128, 128)),
        (YCbCr(1, full_range=False), 255, (0, 0, 0), (16, 128, 128)),
        (YCbCr(1, full_range=False), 255, (1, 0, 0), (63, 102, 240)),  # BT.709 red, as in test charts
        (YCbCr(6, full_range=False), 255, (1, 0, 0), (81, 90, 240)),  # BT.601 red
        (YCbCr(9, full_range=False), 1023, (0, 0, 1), (116, 960, 476)),  # BT.2020 blue in 10 bits
        (YCbCr(6, full_range=True), 255, (1, 1, 1), (255, 128, 128)),
    ],
)
def test_known_colours_have_the_levels_of_the_standards(
    colour: YCbCr, max_value: int, rgb: tuple[int, int, int], levels: tuple[int, int, int]
) -> None:
    result = colour.from_rgb(np.array([[rgb]], np.float32), max_value=max_value)
    np.testing.assert_allclose(result[0, 0], levels, atol=0.51)


def test_stills_agree_with_opencv(painting: NDArray[np.uint8]) -> None:
    planes = as_planes(
        YCbCr().from_rgb(painting.astype(np.float32) / 255, max_value=255), max_value=255, dtype=np.dtype(np.uint8)
    )
    luma, red, blue = cv2.split(cv2.cvtColor(painting, cv2.COLOR_RGB2YCrCb))
    for ours, theirs in zip(planes, (luma, blue, red), strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1
