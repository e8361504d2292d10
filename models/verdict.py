"""The `Detector` protocol and its result: `Verdict`, `Kind`, `Blocks`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
"""8-bit samples, of any shape."""

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane of a picture, (height, width): uint8 in 0..255, or uint16 in 0..max_value."""

Chroma = tuple[Plane, Plane]
"""Cb and Cr of a picture, as large as its luma or smaller, of its dtype and range."""


class Kind(StrEnum):
    """The class of a picture."""

    CLEAN = "clean"
    PIXELATED = "pixelated"
    """Nearest-neighbour blocks over all of the picture or a large part of it."""
    SOFT = "soft"
    """A smooth upscale."""
    BLOCKY = "blocky"
    """The macroblocks of a codec with too few bits."""
    MOSAIC = "mosaic"
    """A small censored region."""
    PIXEL_ART = "pixel-art"
    """Deliberate blocks in few colours: repaired only on request."""
    DAMAGED = "damaged"
    """Parts were lost and the decoder concealed them: never repaired."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The lattice left by nearest-neighbour enlargement, in pixels of the picture it was found in."""

    width_px: float
    """Block width; fractional for a fractional scale. 1 means no blocks along x."""
    height_px: float
    phase_x_px: float = 0.0
    """Where the first complete block begins, 0 <= phase_x_px < width_px: block edges lie at phase + k * width."""
    phase_y_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture, in luma pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a detector for one picture."""

    score: float
    """Confidence that the picture is pixelated, 0..1; 0.5 is the detector's own threshold."""
    kind: Kind = Kind.CLEAN
    blocks: Blocks | None = None
    """Set whenever the evidence shows a lattice, even below the threshold."""
    severity: float | None = None
    """How coarsely the picture was coded, 0..1; 0.5 is the threshold of `BLOCKY`. None if that is not known."""
    factors: tuple[float, float] | None = None
    """Of a `SOFT` picture: the factors (x, y) of the smooth enlargement."""

    @property
    def pixelated(self) -> bool:
        """Whether the picture needs repair."""
        return self.kind is Kind.PIXELATED

    def native_size(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """The (width, height) from which a soft picture of `size` was enlarged; None for any other kind."""
        if self.factors is None:
            return None
        return round(size[0] / self.factors[0]), round(size[1] / self.factors[1])


class Detector(Protocol):
    """Scores and classifies one picture, in most methods by its luma alone; thread-safe."""

    name: str

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Score `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        Pass `chroma` where it is available; methods that do not need it ignore it. Raises InputError for any other
        array.
        """
        ...
