"""Frames for the GPU tests: a smooth picture with chroma, in blocks of any size, 8 or 10 bits."""

from __future__ import annotations

import cv2
import numpy as np

from deepclarity.models.verdict import Blocks, Plane
from deepclarity.pipelines.executor import RepairRequest
from deepclarity.stream.frame import Planes


def planes(size: tuple[int, int], *, max_value: int = 255, seed: int = 0) -> Planes:
    """4:2:0 planes of `size` (width, height), with edges and flat parts."""
    noise = np.random.default_rng(seed).integers(0, 256, (60, 90)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5).astype(np.float64)
    picture = np.clip((smooth - 128) * 3 + 128, 0, 255) / 255 * max_value
    dtype = np.uint8 if max_value == 255 else np.uint16

    def at(width: int, height: int) -> Plane:
        scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.rint(scaled).astype(dtype)

    half = -(-size[0] // 2), -(-size[1] // 2)
    chroma = at(*half)
    return at(*size), chroma, (max_value - chroma).astype(dtype)


def in_blocks(source: Planes, block_px: float, phase_px: float = 0.0) -> Planes:
    """`source` as after nearest-neighbour enlargement by `block_px`, whose first block begins at `phase_px`."""

    def blocked(plane: Plane, block: float, phase: float) -> Plane:
        rows, columns = (
            np.clip(np.floor((np.arange(n) - phase) / block) * block + phase, 0, n - 1).astype(int) for n in plane.shape
        )
        return np.ascontiguousarray(plane[rows][:, columns])

    luma, blue, red = source
    half = block_px / 2, phase_px / 2
    return blocked(luma, block_px, phase_px), blocked(blue, *half), blocked(red, *half)


def request(
    block_px: float = 4, *, size: tuple[int, int] = (160, 96), out: tuple[int, int] | None = None,
    phase_px: float = 0.0, max_value: int = 255, seed: int = 0,
) -> RepairRequest:  # fmt: skip
    """A request to repair a picture in blocks; `block_px` 1: a picture that is merely small."""
    source = planes(size, max_value=max_value, seed=seed)
    if block_px == 1:
        return RepairRequest(source, None, out or size, max_value)
    blocks = Blocks(block_px, block_px, phase_px, phase_px)
    return RepairRequest(in_blocks(source, block_px, phase_px), blocks, out or size, max_value)
