"""Training and validation pairs, cut from photos and held in memory as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from deepclarity.errors import SourceError

from .degrade import Bytes, degrade
from .recipe import Recipe

_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg"}
_LARGE_PX = 1200
"""Photos longer than this are also used at half size, where they are sharper."""
_FLAT_LEVELS = 4.0
"""A patch that varies less than this teaches little; it is drawn again once."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Small and large patches that belong together, for one scale."""

    small: Bytes
    """(n, p, p)"""
    large: Bytes
    """(n, p * scale, p * scale)"""

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        """`count` pairs drawn at random, (count, 1, …) each, turned and mirrored alike."""
        small, large = [], []
        for i in rng.integers(0, len(self.small), count):
            turns, mirrored = int(rng.integers(0, 4)), bool(rng.integers(0, 2))
            small.append(_turned(self.small[i], turns, mirrored))
            large.append(_turned(self.large[i], turns, mirrored))
        return np.stack(small)[:, None], np.stack(large)[:, None]


def split_photos(folder: Path, validation: int) -> tuple[list[Path], list[Path]]:
    """The photos in `folder` for training and, spread evenly over the sorted names, for validation."""
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if len(photos) <= validation:
        raise SourceError(f"{folder}: {len(photos)} photos, {validation} of them wanted for validation; give more")
    apart = {photos[i * len(photos) // validation] for i in range(validation)}
    return [path for path in photos if path not in apart], sorted(apart)


def read_luma(path: Path) -> Bytes:
    """The luma of a photo, uint8 (h, w), full range (BT.601, as JPEG)."""
    luma = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if luma is None:
        raise SourceError(f"{path}: not a picture that can be read")
    return luma.astype(np.uint8, copy=False)


def cut_pairs(lumas: Sequence[Bytes], recipe: Recipe) -> dict[int, Pairs]:
    """Degraded training pairs for every scale of `recipe`, the same ones for the same seed and pictures."""
    rng = np.random.default_rng(recipe.seed)
    views = [view for luma in lumas for view in _views(luma)]
    areas = np.array([view.size for view in views], np.float64)
    shares = np.sqrt(areas) / np.sqrt(areas).sum()
    pairs = {}
    for scale, share in zip(recipe.scales, recipe.scale_shares, strict=True):
        count, side = max(1, round(recipe.patches * share)), recipe.patch_px * scale
        small = np.empty((count, recipe.patch_px, recipe.patch_px), np.uint8)
        large = np.empty((count, side, side), np.uint8)
        for i, choice in enumerate(rng.choice(len(views), count, p=shares)):
            large[i] = _patch(views[choice], side, rng)
            small[i] = degrade(large[i], scale=scale, recipe=recipe, rng=rng)
        pairs[scale] = Pairs(small, large)
    return pairs


def _views(luma: Bytes) -> list[Bytes]:
    if max(luma.shape) <= _LARGE_PX:
        return [luma]
    half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return [luma, half.astype(np.uint8, copy=False)]


def _patch(luma: Bytes, side: int, rng: np.random.Generator) -> Bytes:
    if min(luma.shape) < side:
        bottom, right = (max(0, side - length) for length in luma.shape)
        luma = cv2.copyMakeBorder(luma, 0, bottom, 0, right, cv2.BORDER_REFLECT).astype(np.uint8, copy=False)
    patch = luma[:side, :side]
    for _ in range(2):
        y, x = (int(rng.integers(0, length - side + 1)) for length in luma.shape)
        patch = luma[y : y + side, x : x + side]
        if patch.std() >= _FLAT_LEVELS:
            break
    return patch


def _turned(patch: Bytes, turns: int, mirrored: bool) -> Bytes:
    turned = np.rot90(patch, turns)
    return turned[:, ::-1] if mirrored else turned
