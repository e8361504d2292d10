"""Dataset for artifact reducers: crops of moving photos and clips, before and after a codec.

Seed, split and index determine a pair, given the same library versions.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .degrade import Photo, jpeg
from .photos import SourceImages, Split, part
from .quality_dataset import qp_of
from .video_codec import recoded

CROP_PX = 192
_MARGIN, _PAN_PX = 32, 3
_FRAMES = 5
_CODEC_SHARES = {
    "h264": 0.42, "hevc": 0.12, "mpeg2video": 0.12, "mpeg4": 0.1, "vp9": 0.08, "av1": 0.04, "jpeg": 0.12,
}  # fmt: skip
_QUANTISERS = {
    "h264": (20, 52), "hevc": (22, 52), "mpeg2video": (2, 32), "mpeg4": (2, 32), "vp9": (15, 64), "av1": (25, 64),
    "jpeg": (8, 92),
}  # fmt: skip
_SPEEDS = ("superfast", "veryfast", "medium")
_CODED_BEFORE, _NO_DEBLOCKING, _REDUCED = 0.12, 0.25, 0.5


@dataclass(frozen=True, slots=True)
class ArtifactPair:
    """One crop before and after coding."""

    clean: Photo
    """Luma (192, 192), Cb and Cr (96, 96), uint8."""
    coded: Photo
    qp: float
    """The quantiser on H.264's scale."""
    trusted: bool
    """Whether the quantiser describes the damage: not if the picture was coded before."""
    codec: str


class ArtifactDataset:
    """The pairs of one split, by index from 0, without end."""

    def __init__(self, source_images: SourceImages, *, seed: int = 0) -> None:
        self._images = source_images
        self._start = [seed, list(Split).index(source_images.split), 83]

    def at(self, index: int) -> ArtifactPair:
        """The pair with this index; always the same one."""
        rng = np.random.default_rng([*self._start, index])
        codec = str(rng.choice(list(_CODEC_SHARES), p=list(_CODEC_SHARES.values())))
        quantiser = int(rng.integers(*_QUANTISERS[codec]))
        frames = self._frames(1 if codec == "jpeg" else _FRAMES, rng)
        coded, before = frames, bool(rng.random() < _CODED_BEFORE)
        if before:
            coded = recoded(coded, "h264", int(rng.integers(20, 40)))
        if codec == "jpeg":
            coded = [jpeg(frame, quantiser) for frame in coded]
        else:
            deblock, speed = rng.random() >= _NO_DEBLOCKING, str(rng.choice(_SPEEDS))
            speed = "ultrafast" if codec == "hevc" else speed
            coded = recoded(coded, codec, quantiser, speed=speed, deblock=deblock)
        shown = int(rng.integers(0, len(frames)))
        left, top = (2 * int(rng.integers(0, _MARGIN // 2 + 1)) for _ in range(2))
        clean, damaged = (_crop(each[shown], left, top) for each in (frames, coded))
        return ArtifactPair(clean, damaged, qp_of(codec, quantiser), not before, codec)

    def _frames(self, count: int, rng: np.random.Generator) -> list[Photo]:
        """A photo under a slow camera that pans and zooms."""
        side = CROP_PX + _MARGIN
        extent = side + 2 * _PAN_PX * _FRAMES + 8
        canvas = self._images.informative_canvas(rng, extent, extent)
        pan = rng.uniform(-_PAN_PX, _PAN_PX, 2) * (rng.random() < 0.8)
        zoom = float(np.exp(rng.normal(0, 0.004))) if rng.random() < _REDUCED else 1.0
        return [_view(canvas, side, pan * number, zoom**number) for number in range(count)]


def _view(canvas: Photo, side: int, pan: np.ndarray, zoom: float) -> Photo:
    """The middle of `canvas`, moved by `pan` samples and enlarged by `zoom`."""
    if zoom == 1.0 and not (np.abs(pan - np.rint(pan / 2) * 2) > 1e-6).any():
        left, top = ((canvas[0].shape[1] - side) // 4 * 2 + int(step) for step in pan)
        return _crop(canvas, left, top, side)
    planes = []
    for plane, ratio in zip(canvas, (1, 2, 2), strict=True):
        out = side // ratio
        centre = plane.shape[1] / 2 + pan[0] / ratio, plane.shape[0] / 2 + pan[1] / ratio
        start = centre[0] - out / 2 / zoom, centre[1] - out / 2 / zoom
        shift = (1 / zoom - 1) / 2
        matrix = np.array([[1 / zoom, 0, start[0] + shift], [0, 1 / zoom, start[1] + shift]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        planes.append(cv2.warpAffine(plane, matrix, (out, out), flags=flags, borderMode=cv2.BORDER_REFLECT))
    return planes[0], planes[1], planes[2]  # type: ignore[return-value]


def _crop(frame: Photo, left: int, top: int, side: int = CROP_PX) -> Photo:
    luma, blue, red = (np.ascontiguousarray(plane) for plane in part(frame, left, top, side, side))
    return luma, blue, red
