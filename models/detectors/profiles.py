"""Gradient profiles: absolute differences of neighbouring luma samples, averaged over bands, along each axis.

The search for blocks uses nothing else of a picture.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np

from deepclarity.models.verdict import Bytes, Plane

from .lattice import Floats

BANDS = 6
_LINES = (32, 16, 8)
"""Per band: a few hundred lines in all give the same result as the full picture."""
_CLIP_LEVELS = 15
"""One hard outline must not outweigh hundreds of faint block edges; and 16 such gradients add up in 8 bits."""
_HIGH_PASS_PX = 65
_MIN_DEVIATION = 1e-3

_thread = threading.local()


@dataclass(frozen=True, slots=True)
class GradientProfiles:
    """Absolute differences of neighbours along one axis, in 8-bit levels, clipped at 15."""

    bands: Floats
    """Their means over some lines of each band, (bands, side - 1)."""
    mean: Floats
    """The mean of the bands, (side - 1,)."""
    profile: Floats
    """The mean after a high-pass filter, at zero mean and unit variance, or all zero: (side - 1,)."""


def gradient_profiles(luma: Plane, *, max_value: int = 255) -> tuple[GradientProfiles, GradientProfiles]:
    """Profiles along x and y of `luma`, (height, width) in 0..max_value, sides of at least 13 px, any strides."""
    if luma.strides[1] != luma.itemsize:
        luma = luma.copy()
    across, down = _along_rows(luma, max_value), _along_columns(luma, max_value)
    return _profiles_from(across), _profiles_from(down)


def _along_rows(luma: Plane, max_value: int) -> Floats:
    count, lines, tall = _layout(luma.shape[0])
    every, width = tall // lines, luma.shape[1]
    first = (tall - every * (lines - 1)) // 2
    rows = as_bytes(luma[: count * tall].reshape(count, tall, width)[:, first::every][:, :lines], max_value)
    gradients = _scratch("across", (count, lines, width - 1))
    cv2.absdiff(rows[..., 1:], rows[..., :-1], dst=gradients)
    _clip(gradients.reshape(-1, width - 1))
    sums = np.add.reduce(gradients.reshape(-1, min(lines, 16), width - 1), axis=1, dtype=np.uint8)
    one, other = (sums[::2], sums[1::2]) if len(sums) > count else (sums, np.zeros_like(sums))
    means: Floats = cv2.addWeighted(one, 1 / lines, other, 1 / lines, 0, dtype=cv2.CV_32F)
    return means


def _along_columns(luma: Plane, max_value: int) -> Floats:
    # Single columns far apart would touch every cache line of the picture: narrow bands give the same result.
    count, lines, wide = _layout(luma.shape[1])
    height = luma.shape[0]
    gradients = _scratch("down", (count, height - 1, lines))
    for band in range(count):
        left = band * wide + (wide - lines) // 2
        columns = as_bytes(luma[:, left : left + lines], max_value)
        cv2.absdiff(columns[1:], columns[:-1], dst=gradients[band])
    flat = gradients.reshape(-1, lines)
    _clip(flat)
    means: Floats = cv2.reduce(flat, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)  # type: ignore[assignment]
    means *= np.float32(1 / lines)
    return means.reshape(count, height - 1)


def _clip(gradients: Bytes) -> None:
    cv2.threshold(gradients, _CLIP_LEVELS, _CLIP_LEVELS, cv2.THRESH_TRUNC, dst=gradients)


def _scratch(name: str, shape: tuple[int, ...]) -> Bytes:
    """A buffer of this thread, reused between calls: allocating it each time would take longer than the computation."""
    buffers = _thread.__dict__
    found: Bytes | None = buffers.get(name)
    if found is None or found.shape != shape:
        found = buffers[name] = np.empty(shape, np.uint8)
    return found


def _layout(side: int) -> tuple[int, int, int]:
    """Number of bands, number of lines sampled in each, and width of a band in pixels."""
    count = max(1, min(BANDS, side // 16))
    across = side // count
    return count, next(lines for lines in _LINES if lines <= across), across


def as_bytes(luma: Plane, max_value: int) -> Bytes:
    """`luma`, 0..max_value, converted to 8-bit levels; returned as is if it has them already."""
    if luma.dtype == np.uint8 and max_value == 255:
        return luma  # type: ignore[return-value]
    return cv2.convertScaleAbs(luma, alpha=255 / max_value)  # type: ignore[return-value]


def _profiles_from(bands: Floats) -> GradientProfiles:
    average = cv2.reduce(bands, 0, cv2.REDUCE_AVG)
    detail = cv2.subtract(average, cv2.blur(average, (min(_HIGH_PASS_PX, average.size // 2 * 2 - 1), 1)))
    mean, deviation = (float(number[0, 0]) for number in cv2.meanStdDev(detail))
    gain = 1 / deviation if deviation > _MIN_DEVIATION else 0.0
    profile = cv2.addWeighted(detail, gain, detail, 0, -mean * gain)
    return GradientProfiles(bands, average[0], profile[0])
