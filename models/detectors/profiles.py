"""The steps of luma between neighbours, in up to six bands along each axis: all that the search for blocks looks at."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Plane

from .lattice import Floats

BANDS = 6
_LINES = (32, 16, 8)
"""Per band: a few hundred lines in all tell as much as the whole picture."""
_CLIP_LEVELS = 15
"""One hard outline must not outweigh hundreds of faint block edges; and 16 such steps add up in 8 bits."""
_HIGH_PASS_PX = 65
_NOTHING = 1e-3

_Bytes = NDArray[np.uint8]
_own = threading.local()


@dataclass(frozen=True, slots=True)
class GradientProfiles:
    """Absolute differences of neighbours along one axis, in 8-bit levels, clipped at 15."""

    bands: Floats
    """Their means over some lines of each band, (bands, side - 1)."""
    line: Floats
    """The mean of the bands, (side - 1,)."""
    profile: Floats
    """The mean of the bands without its slow changes, at zero mean and unit variance, or all zero: (side - 1,)."""

    @property
    def empty(self) -> bool:
        """Whether there are no steps at all."""
        return not self.profile.any()


def gradient_profiles(luma: Plane, *, max_value: int = 255) -> tuple[GradientProfiles, GradientProfiles]:
    """Along x and along y, of `luma`, (height, width) in 0..max_value, at least 13 px a side, any strides."""
    if luma.strides[1] != luma.itemsize:
        luma = luma.copy()
    across, down = _along_rows(luma, max_value), _along_columns(luma, max_value)
    return _of(across), _of(down)


def _along_rows(luma: Plane, max_value: int) -> Floats:
    count, lines, tall = _layout(luma.shape[0])
    every, width = tall // lines, luma.shape[1]
    first = (tall - every * (lines - 1)) // 2
    rows = as_bytes(luma[: count * tall].reshape(count, tall, width)[:, first::every][:, :lines], max_value)
    steps = _scratch("across", (count, lines, width - 1))
    cv2.absdiff(rows[..., 1:], rows[..., :-1], dst=steps)
    _clip(steps.reshape(-1, width - 1))
    sums = np.add.reduce(steps.reshape(-1, min(lines, 16), width - 1), axis=1, dtype=np.uint8)
    one, other = (sums[::2], sums[1::2]) if len(sums) > count else (sums, np.zeros_like(sums))
    means: Floats = cv2.addWeighted(one, 1 / lines, other, 1 / lines, 0, dtype=cv2.CV_32F)
    return means


def _along_columns(luma: Plane, max_value: int) -> Floats:
    # Single columns far apart would touch every cache line of the picture: narrow bands tell as much.
    count, lines, wide = _layout(luma.shape[1])
    height = luma.shape[0]
    steps = _scratch("down", (count, height - 1, lines))
    for band in range(count):
        left = band * wide + (wide - lines) // 2
        columns = as_bytes(luma[:, left : left + lines], max_value)
        cv2.absdiff(columns[1:], columns[:-1], dst=steps[band])
    flat = steps.reshape(-1, lines)
    _clip(flat)
    means: Floats = cv2.reduce(flat, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)  # type: ignore[assignment]
    means *= np.float32(1 / lines)
    return means.reshape(count, height - 1)


def _clip(steps: _Bytes) -> None:
    cv2.threshold(steps, _CLIP_LEVELS, _CLIP_LEVELS, cv2.THRESH_TRUNC, dst=steps)


def _scratch(name: str, shape: tuple[int, ...]) -> _Bytes:
    """Memory of this thread's own to be written over; asking the system for it anew would take longer than the work."""
    kept = _own.__dict__
    found: _Bytes | None = kept.get(name)
    if found is None or found.shape != shape:
        found = kept[name] = np.empty(shape, np.uint8)
    return found


def _layout(side: int) -> tuple[int, int, int]:
    """How many bands, how many lines of each are looked at, and how many pixels a band is across."""
    count = max(1, min(BANDS, side // 16))
    across = side // count
    return count, next(lines for lines in _LINES if lines <= across), across


def as_bytes(luma: Plane, max_value: int) -> _Bytes:
    """`luma`, 0..max_value, in 8-bit levels; itself where it is so already."""
    if luma.dtype == np.uint8 and max_value == 255:
        return luma  # type: ignore[return-value]
    return cv2.convertScaleAbs(luma, alpha=255 / max_value)  # type: ignore[return-value]


def _of(bands: Floats) -> GradientProfiles:
    line = cv2.reduce(bands, 0, cv2.REDUCE_AVG)
    relief = cv2.subtract(line, cv2.blur(line, (min(_HIGH_PASS_PX, line.size // 2 * 2 - 1), 1)))
    mean, spread = (float(number[0, 0]) for number in cv2.meanStdDev(relief))
    gain = 1 / spread if spread > _NOTHING else 0.0
    profile = cv2.addWeighted(relief, gain, relief, 0, -mean * gain)
    return GradientProfiles(bands, line[0], profile[0])
