"""Dataset of pictures with a known past, for `models.quality`: sharp or enlarged, then coded finely or coarsely.

Seed, split and index determine a picture, given the same library versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from deepclarity.models.verdict import Bytes, Kind
from deepclarity.stream.coding import on_h264_scale

from .degrade import Photo, jpeg
from .photos import SourceImages, Split, part, resized
from .video_codec import each_plane, recoded

SIZES = ((640, 360), (854, 480), (1280, 720), (1280, 720), (1920, 1080), (960, 540), (720, 576), (480, 270))
KINDS = (Kind.CLEAN, Kind.SOFT, Kind.BLOCKY)
_KIND_SHARES = (0.3, 0.3, 0.4)
CODECS = ("none", "jpeg", "h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video")
_CODEC_SHARES = (0.12, 0.14, 0.26, 0.2, 0.1, 0.08, 0.05, 0.05)
_QUANTISERS = {
    "jpeg": ((60, 98), (6, 45)),
    "h264": ((14, 31), (31, 52)),
    "hevc": ((14, 31), (31, 52)),
    "vp9": ((5, 38), (38, 64)),
    "av1": ((5, 38), (38, 64)),
    "mpeg4": ((2, 8), (8, 32)),
    "mpeg2video": ((2, 8), (8, 32)),
}
"""By codec, the range of qualities (JPEG) or quantisers of fine and of coarse coding."""
_VP9_INDICES = 255 / 63
_USUAL_FACTORS = (1.5, 2.0, 2.25, 2.5, 3.0, 4.0)
_FACTORS, _USUAL = (1.2, 5.0), 0.3
_FILTERS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_BLURRED, _NOISY, _SHARPENED, _CODED_AGAIN, _NO_DEBLOCKING = 0.2, 0.2, 0.15, 0.15, 0.25
_MARGIN, _MAX_FRAMES = 8, 5
_SPEEDS = ("superfast", "veryfast", "medium")
_JPEG_STEPS = np.array([16, 11, 12, 14, 12, 10, 16, 14, 13, 14])
"""The ten lowest frequencies of JPEG's example table for luma (ITU-T T.81, K.1), in zigzag order."""


@dataclass(frozen=True, slots=True)
class QualitySample:
    """A picture and what was done to it."""

    luma: Bytes
    """(height, width) uint8."""
    kind: Kind
    """`CLEAN`, `SOFT` or `BLOCKY`."""
    qp: float
    """The last coarse quantiser on H.264's scale; 0: not coded."""
    factors: tuple[float, float]
    """The factors (x, y) of a smooth enlargement; 1 without."""
    codec: str
    """One of `CODECS`."""
    blur_px: float
    """Standard deviation of the blur applied first."""


class QualityDataset:
    """The pictures of one split, by index from 0, without end."""

    def __init__(self, source_images: SourceImages, *, seed: int = 0) -> None:
        self._images = source_images
        self._start = [seed, list(Split).index(source_images.split), 77]

    def at(self, index: int) -> QualitySample:
        """The picture with this index; always the same one."""
        rng = np.random.default_rng([*self._start, index])
        width, height = SIZES[int(rng.integers(len(SIZES)))]
        kind = KINDS[int(rng.choice(len(KINDS), p=_KIND_SHARES))]
        codec = str(rng.choice(CODECS, p=_CODEC_SHARES))
        count = 1 if codec in ("none", "jpeg") else int(rng.integers(1, _MAX_FRAMES))
        factor = _factor(rng) if kind is Kind.SOFT else 1.0
        small = round(width / factor / 2) * 2, round(height / factor / 2) * 2
        frames, blur_px = self._frames(small, count, rng, sharp=kind is Kind.SOFT)
        if kind is Kind.SOFT:
            frames = _enlarged(frames, (width, height), rng)
        frames, qp = _coded(frames, codec, rng, coarse=kind is Kind.BLOCKY)
        factors = (width / small[0], height / small[1]) if kind is Kind.SOFT else (1.0, 1.0)
        return QualitySample(frames[-1][0], kind, qp, factors, codec, blur_px)

    def _frames(
        self, size: tuple[int, int], count: int, rng: np.random.Generator, *, sharp: bool
    ) -> tuple[list[Photo], float]:
        """A photo in uniform motion, possibly blurred and noisy, and the blur."""
        margin = _MARGIN if count > 1 else 0
        canvas = self._images.informative_canvas(rng, size[0] + 2 * margin, size[1] + 2 * margin)
        blur_px = 0.0
        if not sharp and rng.random() < _BLURRED:
            blur_px = float(np.exp(rng.uniform(np.log(0.4), np.log(3))))
            canvas = each_plane(canvas, lambda plane, ratio: cv2.GaussianBlur(plane, (0, 0), blur_px / ratio))
        if rng.random() < _NOISY:
            noise = rng.standard_normal(canvas[0].shape) * rng.uniform(0.5, 4)
            canvas = ((canvas[0] + noise + 0.5).clip(0, 255).astype(np.uint8), *canvas[1:])
        steps = rng.integers(-2, 3, 2)
        corners = [(margin + steps * i // 2 * 2).clip(0, 2 * margin) // 2 * 2 for i in range(count)]
        return [part(canvas, int(x), int(y), *size) for x, y in corners], blur_px


def _factor(rng: np.random.Generator) -> float:
    if rng.random() < _USUAL:
        return float(rng.choice(_USUAL_FACTORS))
    return float(np.exp(rng.uniform(*np.log(_FACTORS))))


def _enlarged(frames: list[Photo], size: tuple[int, int], rng: np.random.Generator) -> list[Photo]:
    """`frames` at `size` (width, height) by one of the smooth filters, sometimes sharpened afterwards."""
    how, sharpened = _FILTERS[int(rng.integers(len(_FILTERS)))], rng.random() < _SHARPENED
    large = [resized(frame, *size, how) for frame in frames]
    return [(_sharpened(luma), blue, red) for luma, blue, red in large] if sharpened else large


def _sharpened(luma: Bytes) -> Bytes:
    return cast("Bytes", cv2.addWeighted(luma, 1.5, cv2.GaussianBlur(luma, (0, 0), 1.0), -0.5, 0))


def _coded(frames: list[Photo], codec: str, rng: np.random.Generator, *, coarse: bool) -> tuple[list[Photo], float]:
    """`frames` after one codec, sometimes finely coded again by H.264, and the first quantiser on H.264's scale."""
    if codec == "none":
        return frames, 0.0
    quantiser = int(rng.integers(*_QUANTISERS[codec][coarse]))
    if codec == "jpeg":
        frames = [jpeg(each_plane(frame, lambda plane, _: plane), quantiser) for frame in frames]
    else:
        deblock, speed = rng.random() >= _NO_DEBLOCKING, str(rng.choice(_SPEEDS))
        frames = recoded(frames, codec, quantiser, speed="ultrafast" if codec == "hevc" else speed, deblock=deblock)
    if rng.random() < _CODED_AGAIN:
        frames = recoded(frames, "h264", int(rng.integers(14, 26)))
    return frames, qp_of(codec, quantiser)


def qp_of(codec: str, quantiser: int) -> float:
    """A codec's quantiser, or a JPEG quality, as the quantiser of H.264 with the same step."""
    if codec == "jpeg":
        share = 5000 / quantiser if quantiser < 50 else 200 - 2 * quantiser
        step = float(np.clip(_JPEG_STEPS * share / 100, 1, 255).mean())
        return float(6 * np.log2(step / 0.625) + 5)
    exported = {"vp9": quantiser * _VP9_INDICES, "av1": quantiser * _VP9_INDICES}.get(codec, float(quantiser))
    if codec.startswith("mpeg"):
        exported = 2.0 * quantiser
    return float(on_h264_scale(np.array([exported], np.float32), codec)[0])
