"""The frame: one picture in the video's own planes, with its timestamp."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane, (height, width): uint8, or uint16 holding 10 bits."""

Planes = tuple[Plane, Plane, Plane]
"""Y', Cb, Cr; the chroma planes are smaller where the format subsamples them."""


class Placeholder(Enum):
    """What is shown when nothing comes."""

    HELD = "held"
    """The last picture once more."""
    SLATE = "slate"
    """A picture that says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture on its way through the pipeline."""

    planes: Planes
    """Views of the decoder's memory: reading is free, writing is forbidden."""
    index: int
    """Position in presentation order, from 0."""
    pts: int
    """Presentation time, counted in `time_base`."""
    time_base: Fraction
    """Seconds a tick."""
    duration: int = 0
    """Ticks on screen; 0 where the source does not say."""
    depth: int = 8
    """Bits a sample: 8 or 10."""
    subsampling: tuple[int, int] = (2, 2)
    """Luma samples a chroma sample, across and down: (2, 2) is 4:2:0, (1, 1) is 4:4:4."""
    full_range: bool = False
    """Whether samples use all values (0..255) or leave space at both ends (16..235)."""
    picture: object | None = None
    """The decoder's own picture while nobody has changed it: handed to the encoder as it is."""
    arrived_s: float | None = None
    """When it came, by the monotonic clock: live sources only."""
    intact: bool = True
    """False where parts of it were lost on the way and the decoder made them up."""
    placeholder: Placeholder | None = None
    """What it is when nothing came from the source."""

    @property
    def luma(self) -> Plane:
        """Y', (height, width)."""
        return self.planes[0]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the luma plane in pixels."""
        height, width = self.planes[0].shape
        return width, height

    @property
    def max_value(self) -> int:
        """The largest sample value: 255 or 1023."""
        return (1 << self.depth) - 1

    @property
    def time_s(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)
