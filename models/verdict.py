"""What a detector says of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane of a picture, (height, width): uint8 in 0..255, or uint16 in 0..max_value."""

Chroma = tuple[Plane, Plane]
"""Cb and Cr of a picture, as large as its luma or smaller, of its dtype and range."""


class Kind(StrEnum):
    """The word for what is wrong with a picture; only `PIXELATED` asks for repair."""

    CLEAN = "clean"
    PIXELATED = "pixelated"
    """Nearest-neighbour blocks over the whole picture or a large part of it."""
    SOFT = "soft"
    """A smooth upscale."""
    BLOCKY = "blocky"
    """The macroblocks of a codec."""
    MOSAIC = "mosaic"
    """A small censored region."""
    PIXEL_ART = "pixel-art"
    """Blocks by intention, few colours: repaired only where somebody asks for it."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The lattice that nearest-neighbour enlargement left behind, in pixels of the picture it was found in."""

    width_px: float
    """Block width; fractional for an enlargement by a fraction. 1 means no blocks along x."""
    height_px: float
    phase_x_px: float = 0.0
    """Where the first whole block begins, 0 <= phase_x_px < width_px: block edges lie at phase + k * width."""
    phase_y_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of one picture."""

    score: float
    """How sure it is that the picture is pixelated, 0..1; 0.5 is the detector's own threshold."""
    kind: Kind = Kind.CLEAN
    blocks: Blocks | None = None
    """Known whenever the evidence shows a lattice, even below the threshold."""

    @property
    def pixelated(self) -> bool:
        """Whether the picture asks for repair."""
        return self.kind is Kind.PIXELATED


class Detector(Protocol):
    """Looks at one picture, most of them at its luma alone, and says what is wrong with it; threads may share one."""

    name: str

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Judge `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        `chroma` is handed over where it is at hand; methods that need none ignore it.
        """
        ...
