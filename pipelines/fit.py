"""Output size: fits the picture into the requested box, keeping its display aspect ratio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from deepclarity.errors import UsageError
from deepclarity.stream.info import VideoInfo

_FHD = (1920, 1080)
_MAX_SIDE_PX = 16_384


@dataclass(frozen=True, slots=True)
class SizeRequest:
    """The size that was requested."""

    box: tuple[int, int] = _FHD
    """(width, height) in pixels that the picture must fit into, as displayed."""
    shrink: bool = False
    """Whether to shrink larger pictures."""
    pad: bool = False
    """Whether to fill the box with black bars."""

    @classmethod
    def parse(cls, text: str, *, pad: bool = False) -> SizeRequest:
        """Parse `auto` (Full HD, larger pictures keep their size), `fhd` (inside 1920×1080) or `WIDTHxHEIGHT`."""
        if text == "auto":
            return cls(pad=pad)
        if text == "fhd":
            return cls(shrink=True, pad=pad)
        match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
        if match is None:
            raise UsageError(f"--size {text}: not a size. Use auto, fhd or WIDTHxHEIGHT, such as 1280x720.")
        width, height = int(match[1]), int(match[2])
        if not (2 <= width <= _MAX_SIDE_PX and 2 <= height <= _MAX_SIDE_PX):
            raise UsageError(f"--size {text}: width and height must be between 2 and {_MAX_SIDE_PX} pixels.")
        return cls((width, height), shrink=True, pad=pad)


@dataclass(frozen=True, slots=True)
class Fit:
    """The size of the output."""

    size: tuple[int, int]
    """(width, height) of the picture itself, even."""
    canvas: tuple[int, int]
    """(width, height) of the frame: larger than `size` if it is padded with bars."""
    source: tuple[int, int]
    """(width, height) of the source as stored."""
    sample_aspect: Fraction = Fraction(1)
    """Sample aspect ratio: 1 if the picture is resized, else the source's."""

    @property
    def resizes(self) -> bool:
        """Whether the output size differs from the source's."""
        return self.size != self.source

    @property
    def enlarges(self) -> bool:
        """Whether the output is larger than the source, so that a network can enhance frames without blocks too."""
        return self.size[0] > self.source[0] or self.size[1] > self.source[1]


def fit(info: VideoInfo, request: SizeRequest, *, step_px: int = 2) -> Fit:
    """Fit a video into the requested box: keeps the display aspect, makes samples square if resized.

    `step_px`: what sizes are a multiple of; 2 for video, 1 for pictures.
    """
    stored = info.width_px, info.height_px
    box = request.box[::-1] if _rotated(info.display_matrix) else request.box
    width, height = stored[0] * info.sample_aspect, Fraction(stored[1])
    scale = min(box[0] / width, box[1] / height)
    if scale <= 1 and not request.shrink:
        size, aspect = (_rounded(stored[0], step_px), _rounded(stored[1], step_px)), info.sample_aspect
    else:
        size = _rounded(width * scale, step_px, box[0]), _rounded(height * scale, step_px, box[1])
        aspect = Fraction(1)
        if size == stored:
            aspect = info.sample_aspect
    padded = max(size[0], _rounded(box[0], step_px)), max(size[1], _rounded(box[1], step_px))
    canvas = padded if request.pad else size
    return Fit(size, canvas, stored, aspect)


def _rounded(length: float | Fraction, step: int, maximum: int = _MAX_SIDE_PX) -> int:
    """The nearest multiple of `step` from one step up that does not exceed `maximum`."""
    return max(step, min(round(length / step) * step, maximum // step * step))


def _rotated(matrix: tuple[int, ...] | None) -> bool:
    """Whether the display matrix rotates the picture by 90 or 270 degrees."""
    return matrix is not None and abs(matrix[1]) > abs(matrix[0])
