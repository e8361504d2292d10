"""How large does the picture leave?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from deepclarity.errors import UsageError
from deepclarity.stream.info import VideoInfo

_FHD = (1920, 1080)
_LARGEST_PX = 16_384


@dataclass(frozen=True, slots=True)
class SizeWish:
    """What size the user asked for."""

    box: tuple[int, int] = _FHD
    """(width, height) in pixels that the picture as seen must fit into."""
    shrink: bool = False
    """Whether a larger picture is made smaller."""
    pad: bool = False
    """Whether black bars fill the box up."""

    @classmethod
    def parse(cls, text: str, *, pad: bool = False) -> SizeWish:
        """`auto` (Full HD, larger pictures stay), `fhd` (inside 1920×1080) or `WIDTHxHEIGHT`."""
        if text == "auto":
            return cls(pad=pad)
        if text == "fhd":
            return cls(shrink=True, pad=pad)
        match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
        if match is None:
            raise UsageError(f"--size {text}: not a size. Use auto, fhd or WIDTHxHEIGHT, such as 1280x720.")
        width, height = int(match[1]), int(match[2])
        if not (2 <= width <= _LARGEST_PX and 2 <= height <= _LARGEST_PX):
            raise UsageError(f"--size {text}: width and height lie between 2 and {_LARGEST_PX} pixels.")
        return cls((width, height), shrink=True, pad=pad)


@dataclass(frozen=True, slots=True)
class Fit:
    """The size that pictures leave with."""

    size: tuple[int, int]
    """(width, height) of the picture itself, even."""
    canvas: tuple[int, int]
    """(width, height) of the frame: larger than `size` where bars were asked for."""
    source: tuple[int, int]
    """(width, height) of the source as stored."""
    sample_aspect: Fraction = Fraction(1)
    """1 where the picture is resized, else the source's."""

    @property
    def enlarges(self) -> bool:
        """Whether there is anything for a network to do where there are no blocks."""
        return self.size[0] > self.source[0] or self.size[1] > self.source[1]


def fit(info: VideoInfo, wish: SizeWish) -> Fit:
    """Fit a video into `wish`: display aspect kept, square samples where it is resized, even sizes."""
    stored = info.width_px, info.height_px
    box = wish.box[::-1] if _turned(info.display_matrix) else wish.box
    width, height = stored[0] * info.sample_aspect, Fraction(stored[1])
    scale = min(box[0] / width, box[1] / height)
    if scale <= 1 and not wish.shrink:
        size, aspect = (_even(stored[0]), _even(stored[1])), info.sample_aspect
    else:
        size, aspect = (_even(width * scale, box[0]), _even(height * scale, box[1])), Fraction(1)
        if size == stored:
            aspect = info.sample_aspect
    canvas = (max(size[0], _even(box[0])), max(size[1], _even(box[1]))) if wish.pad else size
    return Fit(size, canvas, stored, aspect)


def _even(length: float | Fraction, most: int = _LARGEST_PX) -> int:
    """The nearest even length from 2 up that does not exceed `most`."""
    return max(2, min(round(length / 2) * 2, most // 2 * 2))


def _turned(matrix: tuple[int, ...] | None) -> bool:
    """Whether players show the picture on its side."""
    return matrix is not None and abs(matrix[1]) > abs(matrix[0])
