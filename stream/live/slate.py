"""Slate: a placeholder picture with the name of the lost source, the reason and the waiting time."""

from __future__ import annotations

import functools
import textwrap

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from deepclarity.stream.planes import picture_of

_BACKGROUND, _RULE, _TITLE, _DETAILS, _NEUTRAL_CHROMA = 24, 60, 210, 120, 128


@functools.lru_cache(maxsize=4)
def slate(size: tuple[int, int], *, title: str, reason: str, seconds: int) -> VideoFrame:
    """Draw a yuv420p slate of `size` (width, height; both even). `title`: the source's name; `seconds`: time waited."""
    width, height = size
    luma = np.full((height, width), _BACKGROUND, np.uint8)
    unit = height / 1080
    left, middle = round(width * 0.08), height // 2
    luma[middle : middle + max(1, round(2 * unit)), left : width - left] = _RULE
    for number, line in enumerate(reversed(textwrap.wrap(title, 60))):
        _draw_text(luma, line, (left, middle - round((40 + 60 * number) * unit)), scale=1.6 * unit, grey=_TITLE)
    lines = textwrap.wrap(f"{reason}; waiting for {_duration_text(seconds)}", 70)
    for number, line in enumerate(lines):
        _draw_text(luma, line, (left, middle + round((75 + 55 * number) * unit)), scale=1.2 * unit, grey=_DETAILS)
    chroma = np.full((height // 2, width // 2), _NEUTRAL_CHROMA, np.uint8)
    return picture_of((luma, chroma, chroma), "yuv420p")


def _draw_text(luma: NDArray[np.uint8], text: str, origin: tuple[int, int], *, scale: float, grey: int) -> None:
    ascii_text = text.encode("ascii", "replace").decode()  # OpenCV's fonts are ASCII only
    cv2.putText(luma, ascii_text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, grey, max(1, round(2 * scale)), cv2.LINE_AA)


def _duration_text(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
