"""Picture sinks: numbered pictures, and animated pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.stream import errors, planes
from deepclarity.stream.files.output_path import partial_path
from deepclarity.stream.files.still import Picture, write_picture
from deepclarity.stream.frame import Frame, Plane
from deepclarity.stream.info import VideoInfo

from .animation_encoder import AnimationEncoder, Rgba
from .apng import ApngEncoder
from .gif import GifEncoder
from .numbered import numbered
from .orientation import as_shown, is_transposed
from .webp import WebpEncoder

ENCODERS: dict[str, Callable[..., AnimationEncoder]] = {
    ".gif": GifEncoder,
    ".webp": WebpEncoder,
    ".apng": ApngEncoder,
    ".png": ApngEncoder,
}
"""File extension → encoder of animated pictures."""

Profile = NDArray[np.uint8] | None
"""An ICC colour profile."""

_WRITE_ERRORS = (OSError, ValueError)


class NumberedSink:
    """Writes each frame as a picture of its own, atomically: `frames/00001.png`, …"""

    def __init__(
        self, pattern: Path, *, info: VideoInfo, pixel_format: str, first_number: int | None, profile: Profile
    ) -> None:
        """`first_number`: of numbered pictures, so that each keeps its number; None: counted from 1."""
        self.busy_s = 0.0
        self.warnings: list[str] = []
        self._pattern, self._info, self._pixel_format = pattern, info, pixel_format
        self._first_number, self._profile = first_number, profile

    def __enter__(self) -> NumberedSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open: every picture is complete."""

    def write(self, frame: Frame) -> None:
        """Write one picture."""
        started = time.perf_counter()
        number = 1 + frame.index if self._first_number is None else self._first_number + frame.pts
        write_picture(numbered(self._pattern, number), picture_of(frame, self._info, self._pixel_format, self._profile))
        self.busy_s += time.perf_counter() - started


class AnimationSink:
    """Writes an animated picture under a temporary name; a context manager."""

    def __init__(
        self,
        path: Path,
        *,
        info: VideoInfo,
        size: tuple[int, int],
        pixel_format: str,
        loops: int | None,
        profile: Profile,
        own_delays: bool,
        keep_exact: bool,
    ) -> None:
        """`own_delays`: whether a frame's duration is the delay to write; else its delay ends when the next one begins.

        `keep_exact`: whether frames that were not changed should be lossless where the format can.
        """
        self.busy_s = 0.0
        self.warnings: list[str] = []
        self._path, self._partial = path, partial_path(path)
        self._info, self._pixel_format = info, pixel_format
        self._own_delays, self._keep_exact = own_delays, keep_exact
        self._waiting: Frame | None = None
        self._last_delay_s = 1 / (info.rate or Fraction(25))
        size = size[::-1] if is_transposed(info.display_matrix) else size
        colour = None if profile is None else profile.tobytes()
        try:
            self._encoder = ENCODERS[path.suffix.lower()](self._partial, size=size, loops=loops, profile=colour)
        except _WRITE_ERRORS as error:
            raise errors.write_failed(error, path) from error

    def __enter__(self) -> AnimationSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except _WRITE_ERRORS as failure:
            raise errors.write_failed(failure, self._path) from failure
        finally:
            with contextlib.suppress(*_WRITE_ERRORS):
                self._encoder.__exit__(kind, error, trace)
            with contextlib.suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def write(self, frame: Frame) -> None:
        """Write the frame before this one, whose delay is known now."""
        started = time.perf_counter()
        if self._waiting is not None:
            self._last_delay_s = (frame.pts - self._waiting.pts) * frame.time_base
            self._encode(self._waiting)
        self._waiting = frame
        self.busy_s += time.perf_counter() - started

    def _encode(self, frame: Frame) -> None:
        delay_s = frame.duration * frame.time_base if self._own_delays else self._last_delay_s
        picture = picture_of(frame, self._info, self._pixel_format)
        exact = self._keep_exact and isinstance(frame.picture, Picture)
        try:
            self._encoder.add(rgba_of(picture), delay_s, exact=exact)
        except _WRITE_ERRORS as error:
            raise errors.write_failed(error, self._path) from error

    def _finish(self) -> None:
        if self._waiting is not None:
            if self._waiting.duration:
                self._last_delay_s = self._waiting.duration * self._waiting.time_base
            self._encode(self._waiting)
        self._encoder.finish()
        self._encoder.__exit__(None, None, None)
        self._partial.replace(self._path)


def picture_of(frame: Frame, info: VideoInfo, pixel_format: str, profile: Profile = None) -> Picture:
    """The frame as a picture: its own if it is unchanged; 16 bits if it has more than 8."""
    if isinstance(frame.picture, Picture):
        return frame.picture
    if frame.full_range and frame.subsampling == (1, 1) and frame.depth in (8, 16):
        blank = np.zeros((1, 1, 3), frame.planes[0].dtype)
        return Picture(blank, _resized(frame), profile).with_planes(frame.planes)
    rgb = planes.rgb_of(frame.planes, pixel_format, info.colour, deep=frame.depth > 8)
    alpha = _resized(frame)
    shown = as_shown(np.ascontiguousarray(rgb[:, :, ::-1]), info.display_matrix)
    return Picture(shown, None if alpha is None else as_shown(alpha, info.display_matrix), profile)


def rgba_of(picture: Picture) -> Rgba:
    """8-bit RGB and opacity."""
    pixels, alpha = picture.pixels, picture.alpha
    if pixels.dtype == np.uint16:
        pixels, alpha = (pixels >> 8).astype(np.uint8), None if alpha is None else (alpha >> 8).astype(np.uint8)
    if alpha is None:
        alpha = np.full(pixels.shape[:2], 255, np.uint8)
    return np.dstack([pixels[:, :, ::-1], alpha])


def _resized(frame: Frame) -> Plane | None:
    """The opacity of a frame at the frame's size."""
    alpha, size = frame.alpha, frame.size
    if alpha is None or alpha.shape == size[::-1]:
        return alpha
    shrinks = size[0] < alpha.shape[1] or size[1] < alpha.shape[0]
    return cv2.resize(alpha, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]
