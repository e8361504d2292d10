"""The `Frame` type: one picture in the video's own Y'CbCr planes, with its timestamp."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .coding import Coding
from .interlaced.modes import FieldOrder
from .user_data.messages import Messages

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane, (height, width): uint8, or uint16 holding 10 bits."""

Planes = tuple[Plane, Plane, Plane]
"""Y', Cb, Cr; the chroma planes are smaller if the format subsamples chroma."""


class Placeholder(Enum):
    """What a live source shows while no new frame arrives."""

    HELD = "held"
    """The last frame, repeated."""
    SLATE = "slate"
    """A generated picture that states the reason."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture on its way through the pipeline."""

    planes: Planes
    """Read-only views of the decoder's memory, not copies."""
    index: int
    """Position in presentation order, from 0."""
    pts: int
    """Presentation time, counted in `time_base`."""
    time_base: Fraction
    """Seconds per tick."""
    duration: int = 0
    """Display duration in ticks; 0 if unknown."""
    depth: int = 8
    """Bits per sample: 8 or 10."""
    subsampling: tuple[int, int] = (2, 2)
    """Luma samples per chroma sample, horizontally and vertically: (2, 2) is 4:2:0, (1, 1) is 4:4:4."""
    full_range: bool = False
    """Full range (0..255) or limited range (16..235)."""
    picture: object | None = None
    """The decoder's own picture as long as it is unmodified: passed to the encoder unchanged."""
    arrived_s: float | None = None
    """Arrival time on the monotonic clock; live sources only."""
    intact: bool = True
    """False if parts were lost and the decoder concealed them, in this frame or in one that it was predicted from."""
    coding: Coding | None = None
    """How coarsely the decoder says the picture was coded; None if it does not say."""
    alpha: Plane | None = None
    """Opacity, in the range of the depth, at the size of the source; None: opaque everywhere."""
    changed: bool = False
    """Whether the samples are no longer those that the decoder gave."""
    deinterlaced: bool = False
    """Whether `planes` were deinterlaced; `picture`, if it has a `field_order`, still holds both fields."""
    field_order: FieldOrder | None = None
    """The field order in which the frame is encoded; None: progressive, or as `picture` says."""
    user_data: Messages = ()
    """What travels with it beside its samples: closed captions, dynamic HDR metadata."""
    placeholder: Placeholder | None = None
    """Its kind if it replaces a frame that did not arrive; None for a real frame."""

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
