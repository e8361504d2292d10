"""Repair one frame: undo its blocks, let the network enlarge what they hold, fit it to the output.

All in the video's own planes. Positions are counted in samples from the plane's left or top edge, so that the
centre of sample i lies at i + 0.5; every step keeps track of where its samples lie, and nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.stream.frame import Planes

_ENOUGH = 0.95
"""A network factor this close below what is needed still serves: the rest is a mild resize."""

_ALIGNED = 0.02
"""Samples by which a window may miss whole ones and still be cut out whole."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis is cut into cells: cell k lies at origin + k * pitch … origin + (k + 1) * pitch."""

    length: int
    """Samples along the axis."""
    origin: float = 0.0
    pitch: float = 1.0
    lag: float = 0.0
    """How much later than its place a cell's first sample comes: enlargers round up or down."""

    def starts(self) -> NDArray[np.intp]:
        """First sample of each cell, (count,) strictly ascending from 0."""
        count = int(np.ceil((self.length - self.origin) / self.pitch)) + 1
        starts = np.floor(self.origin + self.lag + self.pitch * np.arange(count) + 0.5).astype(np.intp)
        starts = np.unique(np.clip(starts, 0, None))
        return starts[starts < self.length]


def axis_of(length: int, block_px: float, phase_px: float) -> Axis:
    """The cells that blocks of `block_px` cut `length` samples into; the first and last may be part cells.

    A lattice that begins within half a sample of the picture's edge begins at the edge.
    """
    if block_px < 1.25:
        return Axis(length)
    phase = phase_px % block_px
    lag = phase if phase <= block_px / 2 else phase - block_px
    if abs(lag) <= 0.5:
        return Axis(length, 0.0, block_px, lag)
    return Axis(length, phase - block_px, block_px)


def undo_blocks(plane: Plane, across: Axis, down: Axis) -> Plane:
    """Average each block of `plane` (height, width) to one sample: (cells down, cells across), same dtype.

    In a lattice of fractional pitch the smaller blocks count their last sample twice.
    """
    if across.pitch == 1 and down.pitch == 1:
        return plane
    if _whole(across) and _whole(down):
        return _average_whole(plane, across, down)
    sums, high = _add_up(plane, down)
    turned, wide = _add_up(cv2.transpose(sums), across)
    kind = cv2.CV_8U if plane.dtype == np.uint8 else cv2.CV_16U
    return cv2.multiply(cv2.transpose(turned), 1 / (high * wide), dtype=kind)  # type: ignore[no-any-return,call-overload]


def _whole(axis: Axis) -> bool:
    return float(axis.pitch).is_integer() and float(axis.origin).is_integer()


def _average_whole(plane: Plane, across: Axis, down: Axis) -> Plane:
    """Whole blocks: area averaging to an exact fraction, part cells at the edges filled up with their edge."""
    left, top = -int(across.origin), -int(down.origin)
    right = -(left + across.length) % int(across.pitch)
    bottom = -(top + down.length) % int(down.pitch)
    if left or top or right or bottom:
        plane = cv2.copyMakeBorder(plane, top, bottom, left, right, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    size = plane.shape[1] // int(across.pitch), plane.shape[0] // int(down.pitch)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _add_up(plane: NDArray[np.generic], axis: Axis) -> tuple[NDArray[np.float32], int]:
    """Add up the rows of each cell: (cells, width) float32, and how many rows each sum holds."""
    starts = axis.starts()
    last = np.append(starts[1:], axis.length) - 1
    count = int((last - starts).max()) + 1
    sums = np.zeros((len(starts), plane.shape[1]), np.float32)
    for offset in range(count):
        cv2.accumulate(np.take(plane, np.minimum(starts + offset, last), axis=0), sums)
    return sums, count


def restore(
    planes: Planes,
    *,
    enhancer: Enhancer,
    blocks: Blocks | None,
    size: tuple[int, int],
    max_value: int,
    subsampling: tuple[int, int] = (2, 2),
) -> Planes:
    """Repair Y'CbCr `planes` and fit them to `size` (width, height of luma).

    `blocks`: the lattice to undo first, in luma samples; None where the picture is only small. `subsampling`: luma
    samples a chroma sample, across and down. Chroma is reduced to its own lattice and interpolated: the eye
    resolves no more of it.
    """
    luma = planes[0]
    height, width = luma.shape
    found = blocks or Blocks(1, 1)
    across = axis_of(width, found.width_px, found.phase_x_px)
    down = axis_of(height, found.height_px, found.phase_y_px)
    native = undo_blocks(luma, across, down)
    needed = max(across.pitch * size[0] / width, down.pitch * size[1] / height)
    scale = network_factor(enhancer.scales, needed)
    large = enhancer(native, scale=scale, max_value=max_value)
    shrunk = size[0] / width, size[1] / height
    new_luma = resample(
        large,
        size,
        step=(scale / across.pitch / shrunk[0], scale / down.pitch / shrunk[1]),
        start=(-across.origin * scale / across.pitch, -down.origin * scale / down.pitch),
        max_value=max_value,
    )
    blue, red = (
        _restore_chroma(plane, (width, height), found, size=size, max_value=max_value, ratios=subsampling)
        for plane in planes[1:]
    )
    return new_luma, blue, red


def network_factor(scales: tuple[int, ...], needed: float) -> int:
    """The smallest trained factor that reaches `needed`, or the largest there is."""
    return next((scale for scale in scales if scale >= needed * _ENOUGH), scales[-1])


def _restore_chroma(
    plane: Plane,
    luma_size: tuple[int, int],
    blocks: Blocks,
    *,
    size: tuple[int, int],
    max_value: int,
    ratios: tuple[int, int],
) -> Plane:
    across = axis_of(plane.shape[1], blocks.width_px / ratios[0], blocks.phase_x_px / ratios[0])
    down = axis_of(plane.shape[0], blocks.height_px / ratios[1], blocks.phase_y_px / ratios[1])
    native = undo_blocks(plane, across, down)
    out = -(-size[0] // ratios[0]), -(-size[1] // ratios[1])
    grown = size[0] / luma_size[0], size[1] / luma_size[1]
    # 4:2:0 and 4:2:2 chroma sits on the left luma column (MPEG-2, H.264, HEVC default): a quarter of a chroma
    # sample left of its own centre. On the block lattice it lies in the middle of its block.
    sited = 0.25 if ratios[0] == 2 else 0.0
    lies = sited if across.pitch == 1 else 0.0
    start_x = -sited / grown[0] + lies
    return resample(
        native,
        out,
        step=(1 / across.pitch / grown[0], 1 / down.pitch / grown[1]),
        start=((start_x - across.origin) / across.pitch, -down.origin / down.pitch),
        max_value=max_value,
    )


def resample(
    plane: Plane,
    size: tuple[int, int],
    *,
    step: tuple[float, float],
    start: tuple[float, float],
    max_value: int,
) -> Plane:
    """Sample `plane` where sample i of the result covers start + i * step … start + (i + 1) * step of it.

    A plain slice where that is all it takes; area averaging to shrink, cubic interpolation else. Samples
    beyond the edge repeat it. `size`: (width, height).
    """
    if min(abs(step[0] - 1), abs(step[1] - 1)) > 0.2 and max(step) < 1:
        plane, start = _shifted(plane, start)  # cheaper now than when it is large
    window = [(start[k], start[k] + step[k] * size[k]) for k in (0, 1)]
    if all(abs(edge - round(edge)) < _ALIGNED for pair in window for edge in pair):
        result = _crop_and_resize(plane, size, [(round(low), round(high)) for low, high in window])
    else:
        result = _warp(plane, size, step, start)
    # cubic interpolation overshoots, and 10 bits do not fill their 16
    return np.minimum(result, max_value) if plane.dtype == np.uint16 else result


def _crop_and_resize(plane: Plane, size: tuple[int, int], window: list[tuple[int, int]]) -> Plane:
    (left, right), (top, bottom) = window
    height, width = plane.shape
    beyond = max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width)
    if any(beyond):
        plane = cv2.copyMakeBorder(plane, *beyond, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    top, left = top + beyond[0], left + beyond[2]
    part = plane[top : bottom + beyond[0], left : right + beyond[2]]
    if part.shape == size[::-1]:
        return part
    shrinks = part.shape[0] > size[1] or part.shape[1] > size[0]
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]


def _shifted(plane: Plane, start: tuple[float, float]) -> tuple[Plane, tuple[float, float]]:
    """Move `plane` by the fraction of `start`, so that what is left of it is whole."""
    whole = round(start[0]), round(start[1])
    rest = start[0] - whole[0], start[1] - whole[1]
    if max(map(abs, rest)) < 1e-3:
        return plane, start
    matrix = np.array([[1, 0, rest[0]], [0, 1, rest[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(plane, matrix, plane.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return moved, (float(whole[0]), float(whole[1]))  # type: ignore[return-value]


def _warp(plane: Plane, size: tuple[int, int], step: tuple[float, float], start: tuple[float, float]) -> Plane:
    """The general case, for windows that end between samples."""
    if max(step) > 1.2:  # shrink by area averaging first, or the interpolation aliases
        new = max(1, round(plane.shape[1] / step[0])), max(1, round(plane.shape[0] / step[1]))
        ratio = new[0] / plane.shape[1], new[1] / plane.shape[0]
        plane = cv2.resize(plane, new, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        step = step[0] * ratio[0], step[1] * ratio[1]
        start = start[0] * ratio[0], start[1] * ratio[1]
    matrix = np.array([[step[0], 0, start[0] + step[0] / 2 - 0.5], [0, step[1], start[1] + step[1] / 2 - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]
