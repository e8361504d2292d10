"""Thumbnails of results."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.stream.files.still import Picture

WIDTH_PX, HEIGHT_PX = 320, 180
_CELLS = 4
"""Cells per side of a thumbnail, in which changes are summed up."""


def draw_thumbnail(before: Picture, after: Picture | None) -> Picture:
    """A small picture of a result, at most 320x180.

    Of a repaired picture: the part that changed most, at its own pixels, with its left half as it was. Of any other:
    the entire picture, reduced.
    """
    old = _eight_bit(before)
    if after is None:
        height, width = old.shape[:2]
        scale = max(WIDTH_PX / width, HEIGHT_PX / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = old if scale >= 1 else np.asarray(cv2.resize(old, size, interpolation=cv2.INTER_AREA), np.uint8)
        return Picture(_crop(small, (small.shape[1] - WIDTH_PX) // 2, (small.shape[0] - HEIGHT_PX) // 2))
    new = _eight_bit(after)
    left, top = _most_changed(old, new)
    drawn, original = _crop(new, left, top).copy(), _crop(old, left, top)
    middle = drawn.shape[1] // 2
    drawn[:, :middle] = original[:, :middle]
    drawn[:, max(0, middle - 1) : middle + 1] = 255
    return Picture(drawn)


def _eight_bit(picture: Picture) -> NDArray[np.uint8]:
    """BGR, (height, width, 3), uint8."""
    pixels = picture.pixels
    return np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, np.uint8)


def _crop(pixels: NDArray[np.uint8], left: int, top: int) -> NDArray[np.uint8]:
    left, top = max(0, left), max(0, top)
    return np.ascontiguousarray(pixels[top : top + HEIGHT_PX, left : left + WIDTH_PX])


def _most_changed(old: NDArray[np.uint8], new: NDArray[np.uint8]) -> tuple[int, int]:
    """The corner (left, top) of the part of a thumbnail's size in which two pictures differ most."""
    height, width = old.shape[:2]
    columns, rows = max(1, width * _CELLS // WIDTH_PX), max(1, height * _CELLS // HEIGHT_PX)
    changed = cv2.absdiff(old[..., 1], new[..., 1])
    cells = cv2.resize(changed.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    sums = cv2.boxFilter(cells, -1, (_CELLS, _CELLS), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    left = min(int(column) * width // columns, width - WIDTH_PX)
    top = min(int(row) * height // rows, height - HEIGHT_PX)
    return left, top
