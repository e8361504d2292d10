"""Animated pictures, GIF read by FFmpeg, WebP and APNG by Pillow: frames as they are shown, delays, loops, opacity."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deepclarity.errors import SourceError
from deepclarity.stream import errors
from deepclarity.stream.files.still import Picture

from .sniff import gif_structure
from .source import TimedPicture

_HEAD_BYTES = 1 << 16
_TimedRgba = tuple[NDArray[np.uint8], Fraction]
"""A frame, (height, width, 4), and the delay that it asks for, in seconds."""

_TICKS_PER_S = 90_000
_SHORTEST_S = Fraction(11, 1000)
"""Browsers show a GIF frame that asks for less than this…"""
_INSTEAD_S = Fraction(1, 10)
"""… for that long."""
_READ_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
    EOFError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)


class Animation:
    """The frames of an animated picture, composed as they are shown."""

    def __init__(self, path: Path) -> None:
        """Read the header; raises SourceError if it is no picture."""
        errors.check_readable(path)
        self.path = path
        self.time_base = Fraction(1, _TICKS_PER_S)
        self.rate: Fraction | None = None
        self.missing = 0
        with self._opened() as image:
            self._kind = image.format or ""
            self.count = int(getattr(image, "n_frames", 1))
            self.loops = _loops(image)
            self.profile: bytes | None = image.info.get("icc_profile")
            self.is_lossy = self._kind == "WEBP" and _is_lossy(path)

    def __iter__(self) -> Iterator[TimedPicture]:
        """A frame that cannot be decoded, and those after it, are counted as missing."""
        pts = shown = 0
        profile = None if self.profile is None else np.frombuffer(self.profile, np.uint8)
        with contextlib.closing(self._gif_frames() if self._kind == "GIF" else self._pillow_frames()) as frames:
            for rgba, delay in frames:
                yield TimedPicture(_picture(rgba, profile), pts, round(delay * _TICKS_PER_S))
                pts += round((_INSTEAD_S if delay < _SHORTEST_S else delay) * _TICKS_PER_S)
                shown += 1
        self.missing += max(0, self.count - shown)

    def _pillow_frames(self) -> Generator[_TimedRgba, None, None]:
        """Frames until one cannot be decoded: they build upon one another."""
        with self._opened() as image:
            for number in range(self.count):
                try:
                    image.seek(number)
                    rgba = np.asarray(image.convert("RGBA"))
                except _READ_ERRORS:
                    return
                milliseconds = Fraction(image.info.get("duration", 0)).limit_denominator(1_000_000)
                yield rgba, max(Fraction(0), milliseconds / 1000)

    def _gif_frames(self) -> Generator[_TimedRgba, None, None]:
        """As browsers do, unlike Pillow, FFmpeg lets a later frame be transparent where the first one was not."""
        structure = gif_structure(self.path.read_bytes())
        self.count = len(structure.delays)
        self.missing += not structure.complete
        try:
            with av.open(str(self.path.absolute()), format="gif") as container:
                pictures = container.decode(container.streams.video[0])
                for picture, delay in zip(pictures, structure.delays, strict=False):
                    yield np.asarray(picture.to_ndarray(format="rgba"), np.uint8), Fraction(delay, 100)
        except (av.error.FFmpegError, ValueError):
            return

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                image = Image.open(self.path)
            except _READ_ERRORS as error:
                reason = "too large or damaged to be decoded"
                raise SourceError(f"{self.path}: {reason}. Check that the file is complete.") from error
        with image:
            yield image


def _loops(image: Image.Image) -> int | None:
    """Repetitions: 0 for ever, None if it is shown once."""
    count: int | None = image.info.get("loop")
    if count is None or image.format == "GIF" or count == 0:
        return count
    return count - 1 if count > 1 else None  # WebP and APNG count showings


def _picture(rgba: np.ndarray, profile: np.ndarray | None) -> Picture:
    alpha = None if (rgba[:, :, 3] == 255).all() else np.ascontiguousarray(rgba[:, :, 3])
    return Picture(np.ascontiguousarray(rgba[:, :, 2::-1]), alpha, profile)


def _is_lossy(path: Path) -> bool:
    """Whether the first image of a WebP is lossy."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    lossy, lossless = head.find(b"VP8 "), head.find(b"VP8L")
    return lossy >= 0 and not 0 <= lossless < lossy
