"""Conversion between Y'CbCr planes and R'G'B', by the matrices and ranges of ITU-T H.273."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .verdict import Plane

Floats = NDArray[np.float32]
Planes = tuple[Plane, Plane, Plane]
"""Y', Cb, Cr of one shape (height, width) and dtype."""

_RED_BLUE = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
             9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # fmt: skip
"""Weights of red and blue in luma by H.273 code point: 1 BT.709, 5 and 6 BT.601, 9 and 10 BT.2020, …"""


@dataclass(frozen=True, slots=True)
class YCbCr:
    """How three planes encode colour."""

    matrix: int = 6
    """H.273 matrix coefficients: 6 (BT.601), 1 (BT.709) or 9 (BT.2020); unknown ones count as BT.709."""
    full_range: bool = True
    """Full range (0..255), or limited range (16..235, chroma 16..240)."""

    def to_rgb(self, planes: Planes, *, max_value: int) -> Floats:
        """R'G'B' as float32 (height, width, 3), nominally 0..1 and not clipped, from planes in 0..max_value."""
        black, grey, luma_range, chroma_range = self._levels(max_value)
        red, blue = self._weights
        green = 1 - red - blue
        to_rgb = np.array(
            [
                [1, 0, 2 - 2 * red],
                [1, -blue * (2 - 2 * blue) / green, -red * (2 - 2 * red) / green],
                [1, 2 - 2 * blue, 0],
            ]
        ) / [luma_range, chroma_range, chroma_range]
        offset = -to_rgb @ [black, grey, grey]
        return _transformed(cv2.merge(planes), to_rgb, offset)

    def from_rgb(self, rgb: Floats, *, max_value: int) -> Floats:
        """Y'CbCr as float32 (height, width, 3) in levels, nominally 0..max_value, from R'G'B' in 0..1."""
        black, grey, luma_range, chroma_range = self._levels(max_value)
        red, blue = self._weights
        green = 1 - red - blue
        from_rgb = np.array(
            [
                [red, green, blue],
                [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
                [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
            ]
        ) * np.array([[luma_range], [chroma_range], [chroma_range]])
        return _transformed(rgb, from_rgb, np.array([black, grey, grey]))

    @property
    def _weights(self) -> tuple[float, float]:
        return _RED_BLUE.get(self.matrix, _RED_BLUE[1])

    def _levels(self, max_value: int) -> tuple[float, float, float, float]:
        """(black, neutral chroma, range of luma, range of chroma)."""
        grey = (max_value + 1) // 2
        if self.full_range:
            return 0.0, float(grey), float(max_value), float(max_value)
        step = (max_value + 1) / 256
        return 16 * step, float(grey), 219 * step, 224 * step


def as_planes(levels: Floats, *, max_value: int, dtype: np.dtype[np.uint8] | np.dtype[np.uint16]) -> Planes:
    """Y'CbCr levels (height, width, 3), rounded and clipped to 0..max_value, as three planes."""
    rounded = np.clip(levels + np.float32(0.5), 0, max_value).astype(dtype)
    luma, blue, red = (np.ascontiguousarray(rounded[:, :, channel]) for channel in range(3))
    return luma, blue, red


def _transformed(pixels: NDArray[np.generic], matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Floats:
    affine = np.column_stack([matrix, offset])
    return cv2.transform(np.asarray(pixels, np.float32), affine)  # type: ignore[return-value]
