"""Picture source: numbered pictures or the frames of an animated picture, as the frames of a video."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np
from av.video.frame import VideoFrame

from deepclarity.errors import SourceError
from deepclarity.stream import planes
from deepclarity.stream.files.still import Picture
from deepclarity.stream.frame import Frame, Plane, Planes
from deepclarity.stream.handover import WhenFull
from deepclarity.stream.info import Colour, VideoInfo
from deepclarity.stream.interlaced.deinterlace import Deinterlacer
from deepclarity.stream.interlaced.modes import Deinterlacing

_BT709, _SRGB, _BT601 = 1, 13, 5
_LIMITED, _FULL = 1, 2
_PICTURE_COLOUR = Colour(primaries=_BT709, transfer=_SRGB, matrix=_BT601, range=_FULL)
"""The tags of `Picture.planes`: full-range BT.601, as in JPEG."""
_VIDEO_COLOUR = Colour(primaries=_BT709, transfer=_BT709, matrix=_BT709, range=_LIMITED)


@dataclass(frozen=True, slots=True)
class TimedPicture:
    """A picture and when it is shown."""

    picture: Picture
    pts: int
    duration: int
    """Ticks for which it says that it is shown."""


class Pictures(Protocol):
    """Pictures that make up a video."""

    path: Path
    time_base: Fraction
    rate: Fraction | None
    """Pictures per second; None if that varies."""
    count: int
    missing: int
    """Pictures that should be there but are not, or cannot be read, as far as they were read."""

    def __iter__(self) -> Iterator[TimedPicture]: ...


class PictureSource:
    """Frames from pictures; a context manager.

    For a sink of pictures, frames carry the pictures themselves, so that those that need no repair leave unchanged, and
    their opacity. For a video, they are converted to BT.709, and what is transparent becomes white.
    """

    when_full = WhenFull.WAIT

    def __init__(self, pictures: Pictures, *, for_pictures: bool) -> None:
        """Read the first picture; SourceError if there is none that can be read."""
        self.pictures = pictures
        self.damaged = 0
        self.retimed = 0
        self.busy_s = 0.0
        self.other_videos: list[str] = []
        self.lost: list[str] = []
        self.deinterlacer: Deinterlacer | None = None
        self._for_pictures = for_pictures
        self._iterator = iter(pictures)
        first = next(self._iterator, None)
        if first is None:
            raise SourceError(f"{pictures.path}: no picture of it can be decoded. Check that the files are complete.")
        self._first = first
        self.profile = first.picture.profile
        """The ICC profile of the first picture."""
        height, width = first.picture.pixels.shape[:2]
        self._deep = first.picture.max_value > 255
        self.pixel_format = "yuv444p"
        self.choose_pixel_format(None)
        self.info = VideoInfo(
            name=str(pictures.path),
            width_px=width,
            height_px=height,
            pixel_format=self.pixel_format,
            time_base=pictures.time_base,
            rate=pictures.rate,
            frames=pictures.count,
            colour=_PICTURE_COLOUR if for_pictures else _VIDEO_COLOUR,
        )

    def __enter__(self) -> PictureSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self._iterator, "close"):
            self._iterator.close()

    def interrupt(self) -> None:
        """Nothing to do: reading a file does not wait."""

    def choose_pixel_format(self, encoder: str | None) -> None:
        """The format for `encoder` (FFmpeg's name), with half the chroma resolution, as players expect; None: full."""
        if self._for_pictures:
            self.pixel_format = "yuv444p16le" if self._deep else "yuv444p"
        else:
            self.pixel_format = ("yuv420p" if encoder else "yuv444p") + ("10le" if self._deep else "")

    def deinterlace(self, setting: Deinterlacing) -> None:
        """Nothing is deinterlaced here."""

    def __iter__(self) -> Iterator[Frame]:
        for index, timed in enumerate(self._all()):
            started = time.perf_counter()
            frame = self._picture_frame(timed, index) if self._for_pictures else self._video_frame(timed, index)
            self.busy_s += time.perf_counter() - started
            yield frame

    def _all(self) -> Iterator[TimedPicture]:
        yield self._first
        while True:
            started = time.perf_counter()
            timed = next(self._iterator, None)
            self.busy_s += time.perf_counter() - started
            self.damaged = self.pictures.missing
            if timed is None:
                return
            yield timed

    def _picture_frame(self, timed: TimedPicture, index: int) -> Frame:
        picture = _of_depth(timed.picture, deep=self._deep)
        return Frame(
            planes=_locked(fill_hidden(picture).planes),
            index=index,
            pts=timed.pts,
            time_base=self.info.time_base,
            duration=timed.duration,
            depth=16 if self._deep else 8,
            subsampling=(1, 1),
            full_range=True,
            picture=picture,
            alpha=picture.alpha,
        )

    def _video_frame(self, timed: TimedPicture, index: int) -> Frame:
        pixels = on_white(_of_depth(timed.picture, deep=self._deep))
        rgb = np.ascontiguousarray(pixels[:, :, ::-1])
        converted = VideoFrame.from_ndarray(rgb, format="rgb48le" if self._deep else "rgb24")
        converted = planes.to_planar(converted, self.pixel_format)
        return Frame(
            planes=planes.planes_of(converted),
            index=index,
            pts=timed.pts,
            time_base=self.info.time_base,
            duration=timed.duration,
            depth=planes.depth_of(self.pixel_format),
            subsampling=planes.subsampling_of(self.pixel_format),
            picture=converted,
        )


def fill_hidden(picture: Picture) -> Picture:
    """The picture with the colour of the nearest visible pixel where it is transparent.

    What lies there is arbitrary, and would show up around the edges when the picture is resized.
    """
    alpha = picture.alpha
    if alpha is None or alpha.all() or not alpha.any():
        return picture
    hidden = (alpha == 0).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(hidden == 0)
    order = np.zeros(int(labels.max()) + 1, np.int64)
    order[labels[rows, columns]] = np.arange(len(rows))
    nearest = order[labels]
    return Picture(picture.pixels[rows[nearest], columns[nearest]], alpha, picture.profile)


def on_white(picture: Picture) -> np.ndarray:
    """BGR pixels with the picture laid on white."""
    if picture.alpha is None:
        return picture.pixels
    opacity = picture.alpha[:, :, None].astype(np.float32) / picture.max_value
    laid = picture.pixels * opacity + picture.max_value * (1 - opacity)
    return np.rint(laid).astype(picture.pixels.dtype)


def _of_depth(picture: Picture, *, deep: bool) -> Picture:
    """The picture in 16 bits, or in 8: all frames of a video have the depth of the first."""
    if (picture.max_value > 255) == deep:
        return picture
    parts: Sequence[Plane | None] = (picture.pixels, picture.alpha)
    converted = [
        None if part is None else (part.astype(np.uint16) * 257 if deep else (part >> 8).astype(np.uint8))
        for part in parts
    ]
    return Picture(converted[0], converted[1], picture.profile)  # type: ignore[arg-type]


def _locked(samples: Planes) -> Planes:
    for plane in samples:
        plane.flags.writeable = False
    return samples
