"""Evaluates enhancers on picture test sets: x4 enlargement as in the literature, and repair of blocks.

`standard`: each `lr_x4` picture, reduced by MATLAB's bicubic, is enlarged by 4. A tier receives BT.601 luma rounded to
integer levels, as from a video; chroma is enlarged by bicubic. The row `bicubic` is MATLAB's, on the RGB picture: it
gives 28.43 dB on Set5, as published. `pictures`: the large picture is averaged over 4×4 blocks, drawn in blocks, coded
as JPEG 60 with 4:2:0 chroma, and passed to `correct` like a file: pictures that the detector misses count unrepaired.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import SourceError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.metrics import Levels, Lpips, luma_of, psnr, rgb_from, ssim, ycbcr_of
from deepclarity.models.verdict import Bytes, Detector
from deepclarity.pipelines.correct import correct
from deepclarity.pipelines.datasets.bicubic import enlarge_bicubic
from deepclarity.pipelines.datasets.degrade import jpeg_pixels
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.stream.files.still import Picture, read_picture

from .scores import Notify, Row, Scores, perceived

SCALE = 4

_BLOCK_PX = 4
_SMALLEST_PX = 40
_JPEG_QUALITY = 60

Enlarge = Callable[[Bytes], Bytes]
"""Small luma in, luma `SCALE` times as large out."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PictureSet:
    """A test set: pairs of (large, small) picture files with equal names."""

    name: str
    pairs: tuple[tuple[Path, Path], ...]


def standard(
    sets: Sequence[PictureSet], tiers: Sequence[Enhancer], *, lpips: Lpips | None, notify: Notify
) -> Iterator[Row]:
    """PSNR-Y, SSIM-Y and LPIPS of every picture of `sets`, for bicubic and each tier that enlarges by four."""
    methods = {tier.name: by_tier(tier) for tier in able(tiers)}
    for chosen in sets:
        notify(f"standard: {chosen.name}, {len(chosen.pairs)} pictures")
        for pair in chosen.pairs:
            large, small = read_pair(pair)
            outcomes = {"bicubic": bicubic_picture(small)}
            outcomes |= {method: enlarged(small, enlarge) for method, enlarge in methods.items()}
            for method, (luma, rgb) in outcomes.items():
                scores = _scores(luma, luma_of(large), rgb, large, lpips)
                yield Row("standard", chosen.name, pair[0].stem, method, scores)


def pictures(
    sets: Sequence[PictureSet], tiers: Sequence[Enhancer], *, detector: Detector, lpips: Lpips | None, notify: Notify
) -> Iterator[Row]:
    """The same measures for pixelated pictures, unrepaired and after `correct` with each tier."""
    for chosen in sets:
        notify(f"pictures: {chosen.name}, {len(chosen.pairs)} pictures")
        for large_file, _ in chosen.pairs:
            truth = _large_enough(read_rgb(large_file), large_file)
            truth = truth[: truth.shape[0] // _BLOCK_PX * _BLOCK_PX, : truth.shape[1] // _BLOCK_PX * _BLOCK_PX]
            broken = Picture(jpeg_pixels(pixelate(truth, block_px=_BLOCK_PX)[..., ::-1], _JPEG_QUALITY))
            outcomes: dict[str, Picture] = {"as is": broken}
            found = False
            for tier in tiers:
                done = correct(broken, detector=detector, enhancer=tier)
                outcomes[tier.name], found = done.picture, done.repaired
            for method, picture in outcomes.items():
                rgb = _rgb(picture)
                scores = _scores(luma_of(rgb), luma_of(truth), rgb, truth, lpips)
                yield Row("pictures", chosen.name, large_file.stem, method, scores, found)


def able(tiers: Sequence[Enhancer]) -> list[Enhancer]:
    """The tiers that enlarge by four; the others are logged."""
    for tier in tiers:
        if SCALE not in tier.scales:
            _log.warning("%s does not enlarge by %d: skipped in the standard protocol", tier.name, SCALE)
    return [tier for tier in tiers if SCALE in tier.scales]


def by_tier(tier: Enhancer) -> Enlarge:
    """Enlarge small luma with `tier`."""

    def enlarge(luma: Bytes) -> Bytes:
        return tier(luma, scale=SCALE).astype(np.uint8, copy=False)

    return enlarge


def enlarged(small: Bytes, enlarge: Enlarge) -> tuple[Levels, Bytes]:
    """Enlarge `small`, uint8 (h, w, 3) RGB, by four: returns its luma, by `enlarge`, and the picture in RGB.

    Luma is uint8 (4h, 4w) in BT.601 limited range; chroma is enlarged by bicubic.
    """
    ycbcr = ycbcr_of(small)
    luma = enlarge(_rounded(ycbcr[..., 0]))
    chroma = (enlarge_bicubic(ycbcr[..., channel], SCALE) for channel in (1, 2))
    return luma, rgb_from(np.stack([luma, *chroma], axis=-1))


def bicubic_picture(small: Bytes) -> tuple[Levels, Bytes]:
    """The literature's baseline: RGB enlarged by bicubic, and its luma, float64 (4h, 4w)."""
    rgb = _rounded(np.stack([enlarge_bicubic(small[..., channel], SCALE) for channel in range(3)], axis=-1))
    return luma_of(rgb), rgb


def sheet_rows(pairs: Sequence[tuple[Path, Path]], tiers: Sequence[Enhancer]) -> dict[str, list[Bytes]]:
    """The rows of a contact sheet by label, all RGB at the large size: input, output of each tier, target."""
    rows: dict[str, list[Bytes]] = {}
    for pair in pairs:
        large, small = read_pair(pair)
        rows.setdefault("input", []).append(small.repeat(SCALE, axis=0).repeat(SCALE, axis=1))
        for tier in tiers:
            rows.setdefault(f"output|{tier.name}", []).append(enlarged(small, by_tier(tier))[1])
        rows.setdefault("target", []).append(large)
    return rows


def read_pair(pair: tuple[Path, Path]) -> tuple[Bytes, Bytes]:
    """The large and the small picture; SourceError unless one is four times the size of the other."""
    large, small = (read_rgb(path) for path in pair)
    if large.shape[:2] != (small.shape[0] * SCALE, small.shape[1] * SCALE):
        sizes = " and ".join(f"{rgb.shape[1]}x{rgb.shape[0]}" for rgb in (large, small))
        raise SourceError(f"{pair[0]}: {sizes} pixels in hr/ and lr_x4/ are not 4 to 1. Replace one of the two.")
    return _large_enough(large, pair[0]), small


def _large_enough(rgb: Bytes, path: Path) -> Bytes:
    height, width = rgb.shape[:2]
    if min(height, width) < _SMALLEST_PX:
        raise SourceError(
            f"{path}: {width}x{height} pixels are too few to measure; each side needs {_SMALLEST_PX}. Remove it."
        )
    return rgb


def read_rgb(path: Path) -> Bytes:
    """A picture file as uint8 (height, width, 3) RGB."""
    return _rgb(read_picture(path))


def _rgb(picture: Picture) -> Bytes:
    pixels = picture.pixels if picture.pixels.dtype == np.uint8 else picture.pixels >> 8
    return np.ascontiguousarray(pixels[..., ::-1], np.uint8)


def _rounded(plane: NDArray[np.float64]) -> Bytes:
    return (plane + 0.5).clip(0, 255).astype(np.uint8)


def _scores(luma: Levels, true_luma: Levels, rgb: Bytes, truth: Bytes, lpips: Lpips | None) -> Scores:
    return Scores(psnr(luma, true_luma), ssim(luma, true_luma), perceived(rgb, truth, lpips))
