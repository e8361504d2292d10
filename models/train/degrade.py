"""From a good picture to what block averaging recovers of its pixelated self."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import StageError

from .recipe import Recipe

Bytes = NDArray[np.uint8]


def average_blocks(luma: Bytes, block_px: int) -> Bytes:
    """The mean of every whole block: uint8 (h, w) to uint8 (h // block_px, w // block_px)."""
    h, w = (side // block_px for side in luma.shape)
    blocks = luma[: h * block_px, : w * block_px].reshape(h, block_px, w, block_px)
    mean: Bytes = (blocks.mean(axis=(1, 3), dtype=np.float32) + 0.5).astype(np.uint8)
    return mean


def coded_blocks(small: Bytes, *, block_px: int, quality: int, noise: Bytes | None = None) -> Bytes:
    """`small` after it was enlarged into blocks, compressed as JPEG luma, and averaged back.

    JPEG stands in for an intra frame of a video codec: transform coding at about the same scale. `noise`,
    as large as the blocks and centred on 128, is added before coding.
    """
    blocks = small.repeat(block_px, axis=0).repeat(block_px, axis=1)
    if noise is not None:
        blocks = (blocks.astype(np.int16) + noise - 128).clip(0, 255).astype(np.uint8)
    ok, code = cv2.imencode(".jpg", blocks, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE) if ok else None
    if decoded is None:
        raise StageError(f"OpenCV could not code {blocks.shape} luma as JPEG")
    return average_blocks(decoded.astype(np.uint8, copy=False), block_px)


def degrade(large: Bytes, *, scale: int, recipe: Recipe, rng: np.random.Generator) -> Bytes:
    """A training input for `large`, smaller by `scale`: block averages, clean or coded as `recipe` says."""
    small = average_blocks(large, scale)
    if rng.random() >= recipe.coded_share:
        return small
    lowest, highest = recipe.block_px
    block_px = scale if rng.random() < 0.5 else int(rng.integers(lowest, highest + 1))
    quality = int(rng.integers(recipe.jpeg_quality[0], recipe.jpeg_quality[1] + 1))
    noise = None
    if rng.random() < recipe.noise_share:
        shape = (small.shape[0] * block_px, small.shape[1] * block_px)
        spread = rng.uniform(0, recipe.noise_levels)
        noise = (rng.standard_normal(shape, dtype=np.float32) * spread + 128.5).clip(0, 255).astype(np.uint8)
    return coded_blocks(small, block_px=block_px, quality=quality, noise=noise)
