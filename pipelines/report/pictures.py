"""Before/after pictures of a report, encoded as JPEG."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""RGB, (height, width, 3), 0..255."""

MAX_SIDE_PX, THUMBNAIL_PX = 1920, 240


@dataclass(frozen=True, slots=True)
class Comparison:
    """One repaired frame before and after; RGB, uint8, (height, width, 3), both of the same shape."""

    index: int
    time_s: float
    score: float
    before: Picture
    """Enlarged to the size of `after` by nearest neighbour."""
    after: Picture


@dataclass(frozen=True, slots=True)
class EncodedComparison:
    """A comparison with its pictures encoded as JPEG, to save memory."""

    index: int
    time_s: float
    score: float
    pictures: dict[str, Any]
    """`before`, `after` and `thumb` as data URLs; `focus`, the point to zoom to, (x, y) in 0..1."""


def encode_comparison(comparison: Comparison) -> EncodedComparison:
    """Encode the pictures of a comparison, and find the point to zoom to."""
    pictures = {
        "focus": _focus(comparison.before, comparison.after),
        "before": _jpeg(comparison.before, MAX_SIDE_PX, 90),
        "after": _jpeg(comparison.after, MAX_SIDE_PX, 90),
        "thumb": _jpeg(comparison.after, THUMBNAIL_PX, 80),
    }
    return EncodedComparison(comparison.index, round(comparison.time_s, 6), round(comparison.score, 4), pictures)


def _focus(before: Picture, after: Picture) -> tuple[float, float]:
    """The point that the repair changed most, (x, y) in 0..1 of the picture size."""
    change = cv2.resize(cv2.absdiff(before, after), (32, 18), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(change.sum(axis=-1, dtype=np.float32), (0, 0), 2.0)
    row, column = divmod(int(np.argmax(smooth)), 32)
    return (column + 0.5) / 32, (row + 0.5) / 18


def _jpeg(picture: Picture, max_side_px: int, quality: int) -> str:
    """`picture` as a JPEG data URL; 4:4:4, so that the encoder does not blur the chroma of fine edges."""
    height, width = picture.shape[:2]
    scale = min(1.0, max_side_px / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    _, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality, *sampling))
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
