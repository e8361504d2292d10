"""Interlaced, telecined and mixed videos: fields of a moving pattern, woven and coded as fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from deepclarity.stream.interlaced.bwdif import FieldLabel
from deepclarity.stream.interlaced.modes import FieldOrder
from tests.clips import add_audio, encode_audio

Grey = NDArray[np.uint8]
NTSC = Fraction(30_000, 1001)


def moving_bars(moment: float, size: tuple[int, int] = (192, 128), *, speed_px: float = 3) -> Grey:
    """Soft slanted bars, and a square that moves right, at a moment counted in fields: luma uint8, (height, width)."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    bars = 120 + 60 * np.sin((x + y / 3 - speed_px * moment) * 2 * np.pi / 48)
    left = 8 + speed_px * moment
    inside = (abs(y - height / 2) < height / 6) & (x >= left) & (x < left + width / 8)
    return np.where(inside, 235, bars).astype(np.uint8)


def weave_fields(first: Grey, second: Grey, order: FieldOrder) -> Grey:
    """A picture whose first field is of `first`."""
    top, bottom = (first, second) if order is FieldOrder.TOP else (second, first)
    woven = top.copy()
    woven[1::2] = bottom[1::2]
    return woven


def interlaced(count: int, order: FieldOrder = FieldOrder.TOP, *, start: int = 0, **options: float) -> list[Grey]:
    """`count` pictures whose two fields are of successive moments."""
    moments = [moving_bars(start + number, **options) for number in range(2 * count)]  # type: ignore[arg-type]
    return [weave_fields(*moments[2 * number : 2 * number + 2], order) for number in range(count)]


def telecined(film: Sequence[Grey], order: FieldOrder = FieldOrder.TOP, *, skip: int = 0) -> list[Grey]:
    """`film` by 3:2 pulldown, without the first `skip` pictures."""
    fields = [picture for number, picture in enumerate(film) for _ in range(2 + number % 2)]
    pictures = [weave_fields(*fields[k : k + 2], order) for k in range(0, len(fields) - 1, 2)]
    return pictures[skip:]


def film_frames(count: int) -> list[Grey]:
    """`count` moments of the bars, four fields' motion apart."""
    return [moving_bars(2.5 * number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """How pictures are coded."""

    rate: Fraction = Fraction(25)
    codec: str = "mpeg2video"
    pixel_format: str = "yuv420p"
    order: FieldOrder | None = FieldOrder.TOP
    """None: coded as progressive, so that nothing says that fields are in it."""
    time_base: Fraction | None = None
    pts: Sequence[int] | None = None
    """Presentation times in `time_base`."""
    audio: bool = False
    quality: str = "2"
    sample_aspect: Fraction | None = None
    progressive: range = range(0)
    """Pictures labelled progressive all the same."""


def encode_fields(path: Path, pictures: Sequence[Grey], spec: FieldSpec) -> Path:
    """Encode grey pictures with grey chroma, and a tone of the same length if wanted."""
    time_base = spec.time_base or 1 / spec.rate
    with av.open(str(path), "w") as container:
        options = {"qscale": spec.quality} if spec.codec == "mpeg2video" else {"crf": "10", "preset": "ultrafast"}
        video = container.add_stream(spec.codec, rate=spec.rate, options=options)
        assert isinstance(video, VideoStream)
        video.height, video.width = pictures[0].shape
        video.pix_fmt = spec.pixel_format
        context = video.codec_context
        if spec.codec == "mpeg2video":
            context.bit_rate, context.qmin, context.qmax = 20_000_000, 2, 3
        else:
            video.time_base = context.time_base = time_base
        if spec.sample_aspect:
            context.sample_aspect_ratio = spec.sample_aspect
        if spec.order:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        tone = add_audio(container) if spec.audio else None
        label = FieldLabel()
        for number, grey in enumerate(pictures):
            frame = _frame(grey, spec.pixel_format)
            if spec.order:
                frame = label(frame, None if number in spec.progressive else spec.order)
            frame.pts, frame.time_base = spec.pts[number] if spec.pts else number, time_base
            frame.pict_type = PictureType.NONE
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if tone is not None:
            encode_audio(container, tone, seconds=float(len(pictures) / spec.rate))
    return path


def _frame(grey: Grey, pixel_format: str) -> VideoFrame:
    colour = np.full((grey.shape[0] * 3 // 2, grey.shape[1]), 128, np.uint8)
    colour[: grey.shape[0]] = grey
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="yuv420p")
    return frame if pixel_format == "yuv420p" else frame.reformat(format=pixel_format)


def position(grey: Grey) -> float:
    """Where the square of `moving_bars` is, as a share of the width: the mean column of the bright samples."""
    rows = cv2.GaussianBlur(grey, (0, 0), 1)[grey.shape[0] // 2 - 4 : grey.shape[0] // 2 + 4]
    columns = np.flatnonzero((rows > 205).mean(axis=0) > 0.5)
    return float(columns.mean() / grey.shape[1]) if len(columns) else float("nan")
