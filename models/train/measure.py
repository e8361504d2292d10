"""How near an enlargement comes to the truth, and what plain interpolation would have reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .degrade import Bytes, average_blocks, coded_blocks

Enlarge = Callable[[Bytes, int], Bytes]
"""Small luma and scale in, large luma out, all uint8."""

_BORDER_PX = 4
_CROP_PX = 480


@dataclass(frozen=True, slots=True)
class Task:
    """Small pictures and what they were, with a name for the kind of damage."""

    name: str
    scale: int
    small: Sequence[Bytes]
    large: Sequence[Bytes]


def psnr(found: Bytes, truth: Bytes) -> float:
    """Peak signal-to-noise ratio in dB, 4 pixels of border left out."""
    inside = slice(_BORDER_PX, -_BORDER_PX)
    difference = found[inside, inside].astype(np.float64) - truth[inside, inside]
    return float(10 * np.log10(255**2 / max(float(np.mean(difference**2)), 1e-9)))


def tasks(lumas: Sequence[Bytes], *, scale: int, jpeg_quality: int) -> list[Task]:
    """Clean block averages, and blocks coded as JPEG, of the middle of every picture."""
    large = [_middle(luma, scale) for luma in lumas]
    clean = [average_blocks(luma, scale) for luma in large]
    coded = [coded_blocks(small, block_px=scale, quality=jpeg_quality) for small in clean]
    return [Task("clean", scale, clean, large), Task(f"jpeg{jpeg_quality}", scale, coded, large)]


def mean_psnr(enlarge: Enlarge, task: Task) -> float:
    """The mean over the pictures of `task`, in dB."""
    found = (psnr(enlarge(small, task.scale), large) for small, large in zip(task.small, task.large, strict=True))
    return float(np.mean(list(found)))


def interpolation(method: int) -> Enlarge:
    """OpenCV's `cv2.resize` with `method`, to compare with."""

    def enlarge(small: Bytes, scale: int) -> Bytes:
        size = (small.shape[1] * scale, small.shape[0] * scale)
        return cv2.resize(small, size, interpolation=method).astype(np.uint8, copy=False)

    return enlarge


def _middle(luma: Bytes, scale: int) -> Bytes:
    h, w = (min(side, _CROP_PX) // scale * scale for side in luma.shape)
    y, x = (luma.shape[0] - h) // 2, (luma.shape[1] - w) // 2
    return luma[y : y + h, x : x + w]
