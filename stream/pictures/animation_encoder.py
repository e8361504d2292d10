"""What the encoders of animated pictures have in common: regions that change, and delays in integer ticks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Rgba = NDArray[np.uint8]
"""RGB and opacity, (height, width, 4), not premultiplied."""


class AnimationEncoder(Protocol):
    """Writes the frames of an animation to a file; a context manager."""

    def add(self, picture: Rgba, delay_s: Fraction, *, exact: bool) -> None:
        """Append a frame, shown for `delay_s`; `exact`: it should be kept losslessly, where the format can."""
        ...

    def finish(self) -> None:
        """Write the end of the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Delays:
    """Delays in integer ticks, rounded so that the errors do not add up."""

    def __init__(self, tick_s: Fraction, *, maximum: int) -> None:
        self._tick_s, self._maximum = tick_s, maximum
        self._time_s = Fraction(0)

    def next(self, delay_s: Fraction) -> int:
        """The next delay, at most `maximum`."""
        before = round(self._time_s / self._tick_s)
        self._time_s += delay_s
        return min(self._maximum, round(self._time_s / self._tick_s) - before)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in a picture, in pixels; never empty."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, picture: Rgba) -> Region:
        """All of a picture."""
        return cls(0, 0, picture.shape[1], picture.shape[0])

    def cut(self, picture: Rgba) -> Rgba:
        """This part of `picture`, a view."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


def changed_region(before: Rgba, after: Rgba, *, even: bool = False) -> Region:
    """The smallest rectangle outside of which two pictures are equal; one pixel if they are equal everywhere.

    `even`: whether its corner must lie on even coordinates.
    """
    return _region(changed_pixels(before, after), even=even)


def changed_pixels(before: Rgba, after: Rgba) -> NDArray[np.bool_]:
    """Where two pictures differ, (height, width)."""
    different = np.ascontiguousarray(before).view(np.uint32) != np.ascontiguousarray(after).view(np.uint32)
    return np.asarray(different[:, :, 0])


def shown_region(picture: Rgba) -> Region:
    """The smallest rectangle outside of which a picture is transparent."""
    return _region(picture[:, :, 3] > 0, even=False)


def _region(mask: NDArray[np.bool_], *, even: bool) -> Region:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Region(0, 0, 1, 1)
    top, left = int(rows[0]), int(columns[0])
    if even:
        top, left = top // 2 * 2, left // 2 * 2
    return Region(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
