"""Degradation for enhancer training: pairs of small and large pictures, with blocks, noise and coding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from deepclarity.errors import SourceError, StageError
from deepclarity.models.train.enhancer.patches import Pair, PairsByScale
from deepclarity.models.train.enhancer.recipe import Recipe
from deepclarity.models.verdict import Bytes
from deepclarity.pipelines.repair_plan import Starts
from deepclarity.pipelines.restore import undo_blocks
from deepclarity.stream.files.recode import recode
from deepclarity.stream.files.still import IMAGE_SUFFIXES, read_picture

from .bicubic import reduce_bicubic

Photo = tuple[Bytes, Bytes, Bytes]
"""Y', Cb, Cr of a picture, BT.601 limited range, 4:2:0; luma sides are multiples of `_SIDES`."""

_SIDES = 24
"""Divisible by every scale, for chroma's half size as well."""
_LARGE_PX = 1200
"""Photos longer than this are also used at half size, at which they are sharper."""
_CODED = 960, 544
"""Maximum width and height of encoded pictures."""
_DRIFT = 3
"""Maximum motion per frame, in small pixels: codecs predict from frame to frame."""
_FRAMES = 3
_CODECS = ("jpeg", "h264", "hevc")
_CODEC_SHARES = (0.3, 0.55, 0.15)
_SPEEDS = ("ultrafast", "superfast", "veryfast")


def split_photos(folder: Path, validation: int) -> tuple[list[Path], list[Path]]:
    """The photos in `folder` for training and, spread evenly over the sorted names, for validation."""
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder of photos. Name one by --data.")
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if len(photos) <= validation:
        raise SourceError(f"{folder}: {len(photos)} photos, {validation} of them wanted for validation; give more")
    apart = {photos[i * len(photos) // validation] for i in range(validation)}
    return [path for path in photos if path not in apart], sorted(apart)


def read_photo(path: Path) -> Photo:
    """Read a picture file as 8-bit planes, cut at the right and bottom to multiples of `_SIDES`."""
    pixels = read_picture(path).pixels
    if pixels.dtype != np.uint8:
        pixels = (pixels >> 8).astype(np.uint8)
    height, width = (side // _SIDES * _SIDES for side in pixels.shape[:2])
    if not height or not width:
        raise SourceError(f"{path}: smaller than {_SIDES} pixels; remove it from the photos")
    return planes_of(np.ascontiguousarray(pixels[:height, :width]))


def large_enough(photos: Sequence[Photo], recipe: Recipe) -> list[Photo]:
    """The photos large enough for patches at every scale; SourceError if none is."""
    least = (recipe.patch_px + 2 * _DRIFT + 2) * max(recipe.scales)
    kept = [photo for photo in photos if min(photo[0].shape) >= least]
    if not kept:
        raise SourceError(
            f"none of {len(photos)} photos is as large as a patch needs, {least} pixels. Give larger ones."
        )
    return kept


class PhotoPairs:
    """Training pairs from photos, degraded anew in every chapter; determined by seed and chapter."""

    def __init__(self, photos: Sequence[Photo], recipe: Recipe) -> None:
        self._photos = large_enough([view for photo in photos for view in _views(photo)], recipe)
        self._recipe = recipe
        self._bicubic: dict[tuple[int, int], Bytes] = {}

    def pairs_by_scale(self, epoch: int) -> PairsByScale:
        """Pairs of every scale; the scale drawn most often has one pair per photo, the others fewer."""
        recipe, found = self._recipe, {}
        for scale, share in zip(recipe.scales, recipe.scale_shares, strict=True):
            rng = np.random.default_rng([recipe.seed, epoch, scale])
            count = max(1, round(len(self._photos) * share / max(recipe.scale_shares)))
            chosen = rng.permutation(len(self._photos))[:count]
            found[scale] = [self._pair(int(i), scale, rng) for i in chosen]
        return found

    def _pair(self, index: int, scale: int, rng: np.random.Generator) -> Pair:
        photo = self._photos[index]
        if rng.random() < self._recipe.pixelated_share:
            return pixelated_pair(photo, scale=scale, recipe=self._recipe, rng=rng)
        if (index, scale) not in self._bicubic:
            self._bicubic[index, scale] = reduce_bicubic(photo[0], scale)
        return Pair(self._bicubic[index, scale], photo[0])


def pixelated_pair(photo: Photo, *, scale: int, recipe: Recipe, rng: np.random.Generator) -> Pair:
    """A crop of `photo` averaged over blocks of `scale`, pixelated, possibly noisy or encoded, averaged back."""
    block_px = _block_px(scale, recipe, rng)
    native, left, top = _native_piece(photo, scale, block_px, recipe.patch_px, rng)
    height, width = native[0].shape[0] - 2 * _DRIFT, native[0].shape[1] - 2 * _DRIFT
    ways = rng.integers(-_DRIFT, _DRIFT + 1, 2)
    moves = [tuple(_DRIFT + int(way) * i // (_FRAMES - 1) for way in ways) for i in range(_FRAMES)]
    shown = int(rng.integers(0, _FRAMES))
    y, x = moves[shown]
    small = native[0][y : y + height, x : x + width]
    begin_y, begin_x = top + y * scale, left + x * scale
    large = photo[0][begin_y : begin_y + height * scale, begin_x : begin_x + width * scale]
    if rng.random() >= recipe.coded_share:
        return Pair(np.ascontiguousarray(small), large)
    rows, columns = _enlarged_index(height, block_px), _enlarged_index(width, block_px)
    windows = [(slice(y, y + height), slice(x, x + width)) for y, x in moves]
    frames = [_in_blocks((native[0][at], native[1][at], native[2][at]), rows, columns) for at in windows]
    if rng.random() < recipe.noise_share:
        frames = [_noisy(frame, rng.uniform(0, recipe.noise_levels), rng) for frame in frames]
    luma = _coded(frames, shown, recipe, rng)
    return Pair(undo_blocks(luma, _starts(columns), _starts(rows)).astype(np.uint8, copy=False), large)


def _block_px(scale: int, recipe: Recipe, rng: np.random.Generator) -> float:
    """Draw a block size: half of the time the scale itself, else any, mostly multiples of half a pixel."""
    if rng.random() < 0.5:
        return float(scale)
    size = rng.uniform(*recipe.block_px)
    return float(np.round(size * 2) / 2 if rng.random() < 0.7 else size)


def _native_piece(
    photo: Photo, scale: int, block_px: float, patch_px: int, rng: np.random.Generator
) -> tuple[Photo, int, int]:
    """Planes on the native grid (all of luma's size) with a margin of `_DRIFT`, and their position."""
    sizes, corner = [], []
    for length, limit in zip(photo[0].shape[::-1], _CODED, strict=True):
        side = min(length // scale, max(int(limit / block_px), patch_px) + 2 * _DRIFT)
        side -= side % 2
        sizes.append(side)
        corner.append(int(rng.integers(0, (length - side * scale) // 2 + 1)) * 2)
    (width, height), (left, top) = sizes, corner
    luma = photo[0][top : top + height * scale, left : left + width * scale]
    half = slice(top // 2, (top + height * scale) // 2), slice(left // 2, (left + width * scale) // 2)
    planes = (luma, photo[1][half], photo[2][half])
    small = [_bytes(cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA)) for p in planes]
    return (small[0], small[1], small[2]), left, top


def _enlarged_index(count: int, block_px: float) -> Starts:
    """For every sample of an even-sided enlargement by `block_px`, the index of the sample (of `count`) it repeats."""
    length = max(2, round(count * block_px / 2) * 2)
    return ((np.arange(length) + 0.5) * count / length).astype(np.intp)


def _starts(index: Starts) -> Starts:
    """First sample of each block."""
    return np.flatnonzero(np.diff(index, prepend=-1)).astype(np.intp)


def _in_blocks(native: Photo, rows: Starts, columns: Starts) -> Photo:
    luma, blue, red = (plane[rows][:, columns] for plane in native)
    half = luma.shape[1] // 2, luma.shape[0] // 2
    return luma, *(_bytes(cv2.resize(p, half, interpolation=cv2.INTER_AREA)) for p in (blue, red))  # type: ignore[return-value]


def _noisy(frame: Photo, spread: float, rng: np.random.Generator) -> Photo:
    """Gaussian noise with a standard deviation of `spread` levels, half of it in chroma."""
    noisy = []
    for plane, share in zip(frame, (1.0, 0.5, 0.5), strict=True):
        noise = rng.standard_normal(plane.shape, dtype=np.float32) * (spread * share)
        noisy.append((plane + noise + 0.5).clip(0, 255).astype(np.uint8))
    return noisy[0], noisy[1], noisy[2]


def _coded(frames: list[Photo], shown: int, recipe: Recipe, rng: np.random.Generator) -> Bytes:
    """The luma of frame number `shown` after a codec round trip."""
    codec = str(rng.choice(_CODECS, p=_CODEC_SHARES))
    speed = str(rng.choice(_SPEEDS))
    if codec == "jpeg":
        return jpeg(frames[shown], int(rng.integers(recipe.jpeg_quality[0], recipe.jpeg_quality[1] + 1)))[0]
    crf = int(rng.integers(recipe.crf[0], recipe.crf[1] + 1))
    decoded = recode(frames[: shown + 1], codec=codec, crf=crf, speed="ultrafast" if codec == "hevc" else speed)
    return cast(Bytes, decoded[shown][0])


def jpeg(frame: Photo, quality: int) -> Photo:
    """`frame` after JPEG compression in 4:2:0."""
    height, width = frame[0].shape
    stacked = np.concatenate([plane.reshape(-1) for plane in frame]).reshape(height * 3 // 2, width)
    return planes_of(jpeg_pixels(_bytes(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420)), quality))


def jpeg_pixels(pixels: Bytes, quality: int) -> Bytes:
    """BGR (h, w, 3) after JPEG compression with 4:2:0 chroma."""
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420)
    ok, code = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality, *sampling))
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR) if ok else None
    if decoded is None:
        raise StageError(f"OpenCV could not code a picture of {pixels.shape} as JPEG")
    return _bytes(decoded)


def planes_of(pixels: Bytes) -> Photo:
    """BGR (h, w, 3) with even sides as BT.601 limited-range planes, 4:2:0."""
    height, width = pixels.shape[:2]
    flat = _bytes(cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420)).reshape(-1)
    luma, chroma = flat[: height * width], flat[height * width :].reshape(2, height // 2, width // 2)
    return luma.reshape(height, width), chroma[0], chroma[1]


def _views(photo: Photo) -> list[Photo]:
    height, width = photo[0].shape
    if max(height, width) <= _LARGE_PX:
        return [photo]
    height, width = (side // 2 // _SIDES * _SIDES for side in (height, width))
    sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
    half = [
        _bytes(cv2.resize(plane[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA))
        for plane, (w, h) in zip(photo, sizes, strict=True)
    ]
    return [photo, (half[0], half[1], half[2])]


def _bytes(array: object) -> Bytes:
    return cast(Bytes, array)
