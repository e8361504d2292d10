"""The demo: a painted clip whose middle is pixelated, and a before/after picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import OutputError
from deepclarity.pipelines.correct import side_by_side
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.files.still import Picture, write_picture
from deepclarity.stream.planes import rgb_of

from .scene import paint, pan, pixelate

_RATE = 25
_BLOCK_PX = 4
_ZOOM = 2
_WINDOW = (480, 360)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip whose frames `first` … `last` are pixelated."""

    path: Path
    frames: int
    first: int
    last: int


def make_clip(folder: Path, *, seconds: float) -> Clip:
    """Paint and encode a Full HD clip in `folder` (created if missing), its middle third in 4-pixel blocks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}). Choose another folder with -o.") from error
    count = max(3, round(seconds * _RATE))
    clip = Clip(folder / "pixelated.mp4", count, count // 3, 2 * count // 3 - 1)
    write_clip(clip.path, _frames(clip), rate=_RATE, crf=23, tone_hz=220)
    return clip


def _frames(clip: Clip) -> Iterator[NDArray[np.uint8]]:
    for number, frame in enumerate(pan(paint(), count=clip.frames)):
        yield pixelate(frame, block_px=_BLOCK_PX) if clip.first <= number <= clip.last else frame


def show(clip: Clip, repaired: Path, target: Path) -> Path:
    """Write a picture of the pixelated middle, enlarged: before on the left, after on the right."""
    middle = (clip.first + clip.last) // 2
    before, after = (_frame(path, middle) for path in (clip.path, repaired))
    top, left = _most_changed(before, after)
    write_picture(target, side_by_side(_enlarged(before, top, left), _enlarged(after, top, left)))
    return target


def _frame(path: Path, index: int) -> NDArray[np.uint8]:
    with FileSource(path) as source:
        for frame in source:
            if frame.index == index:
                return rgb_of(frame.planes, source.pixel_format, source.info.colour)
    raise OutputError(f"{path}: ends before frame {index}. Run the demo again.")


def _most_changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, int]:
    """(top, left) of the window in which the repair changed most."""
    change = cv2.absdiff(before, after).sum(axis=2, dtype=np.float32)
    width, height = _WINDOW
    mean = cv2.boxFilter(change, -1, (width, height), anchor=(0, 0))[: -height or None, : -width or None]
    top, left = np.unravel_index(int(np.argmax(mean)), mean.shape)
    return int(top), int(left)


def _enlarged(rgb: NDArray[np.uint8], top: int, left: int) -> Picture:
    """A window of a picture, its pixels drawn larger, as BGR."""
    part = rgb[top : top + _WINDOW[1], left : left + _WINDOW[0], ::-1]
    large = cv2.resize(part, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_NEAREST)
    return Picture(np.ascontiguousarray(large, np.uint8))
