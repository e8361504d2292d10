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

Starts = NDArray[np.intp]
"""First sample of each block along an axis, ascending from 0."""

_CHROMA_BLOCK = 2.0
"""Chroma samples that a block must have for chroma to be reduced: mixed samples do harm in smaller ones."""

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

    def starts(self) -> Starts:
        """First sample of each cell, (count,) strictly ascending from 0."""
        count = int(np.ceil((self.length - self.origin) / self.pitch)) + 1
        starts = np.floor(self.origin + self.lag + self.pitch * np.arange(count) + 0.5).astype(np.intp)
        starts[0] = 0  # a lattice that lags by half a sample would leave the first sample to nobody
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


def undo_blocks(plane: Plane, columns: Starts, rows: Starts) -> Plane:
    """Average each block of `plane` (height, width) to one sample, (len(rows), len(columns)), same dtype.

    `columns`, `rows`: first sample of each block, ascending from 0. In a lattice of fractional pitch the smaller
    blocks count their last sample twice.
    """
    height, width = plane.shape
    if len(columns) == width and len(rows) == height:
        return plane
    across, down = _even(columns, width), _even(rows, height)
    if across and down:
        return _average_even(plane, across, down)
    sums, high = _add_up(plane, rows)
    turned, wide = _add_up(cv2.transpose(sums), columns)
    kind = cv2.CV_8U if plane.dtype == np.uint8 else cv2.CV_16U
    return cv2.multiply(cv2.transpose(turned), 1 / (high * wide), dtype=kind)  # type: ignore[no-any-return,call-overload]


def _even(starts: Starts, length: int) -> tuple[int, int, int] | None:
    """(size, missing before, missing behind) where all blocks have one size, but for part blocks at both ends."""
    sizes = np.diff(starts, append=length)
    size = int(sizes[1:-1].max(initial=0)) or int(sizes.max())
    if (sizes[1:-1] != size).any() or sizes.max() > size:
        return None
    return size, size - int(sizes[0]), size - int(sizes[-1]) if len(sizes) > 1 else 0


def _average_even(plane: Plane, across: tuple[int, int, int], down: tuple[int, int, int]) -> Plane:
    """Area averaging by a whole factor, part blocks filled up with their edge."""
    if any(across[1:]) or any(down[1:]):
        plane = cv2.copyMakeBorder(plane, *down[1:], *across[1:], cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    size = plane.shape[1] // across[0], plane.shape[0] // down[0]
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _add_up(plane: NDArray[np.generic], starts: Starts) -> tuple[NDArray[np.float32], int]:
    """Add up the rows of each block: (blocks, width) float32, and how many rows each sum holds."""
    last = np.append(starts[1:], plane.shape[0]) - 1
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
    native = undo_blocks(luma, across.starts(), down.starts())
    needed = max(across.pitch * size[0] / width, down.pitch * size[1] / height)
    scale = network_factor(enhancer.scales, needed)
    large = enhancer(native, scale=scale, max_value=max_value)
    grown = size[0] / width, size[1] / height
    new_luma = resample(
        large,
        size,
        step=(scale / across.pitch / grown[0], scale / down.pitch / grown[1]),
        start=(-across.origin * scale / across.pitch, -down.origin * scale / down.pitch),
        max_value=max_value,
    )
    blue, red = (
        _restore_chroma(plane, (across, down), size=size, grown=grown, max_value=max_value, ratios=subsampling)
        for plane in planes[1:]
    )
    return new_luma, blue, red


def network_factor(scales: tuple[int, ...], needed: float) -> int:
    """The smallest trained factor that reaches `needed`, or the largest there is."""
    return next((scale for scale in scales if scale >= needed * _ENOUGH), scales[-1])


def _restore_chroma(
    plane: Plane,
    axes: tuple[Axis, Axis],
    *,
    size: tuple[int, int],
    grown: tuple[float, float],
    max_value: int,
    ratios: tuple[int, int],
) -> Plane:
    """Reduce chroma to the luma's lattice `axes` where that is coarser than chroma itself, and interpolate."""
    # 4:2:0 and 4:2:2 chroma sits on the left of its two luma columns (MPEG-2, H.264 and HEVC default) and between
    # its two luma rows. Of a picture that keeps its size the siting does not matter.
    sited = 0.5, ratios[1] / 2
    starts, step, begin = [], [], []
    for axis, ratio, place, grow, length in zip(axes, ratios, sited, grown, plane.shape[::-1], strict=True):
        edges, pitch, origin = _on_chroma(axis, ratio, length)
        starts.append(edges)
        step.append(1 / grow / pitch)
        # Sample i of the result has its centre at luma place (i * ratio + place) / grow of the source.
        centre = (place / grow - place) / ratio + 0.5
        begin.append((centre - origin) / pitch - step[-1] / 2)
    out = -(-size[0] // ratios[0]), -(-size[1] // ratios[1])
    native = undo_blocks(plane, starts[0], starts[1])
    return resample(native, out, step=(step[0], step[1]), start=(begin[0], begin[1]), max_value=max_value)


def _on_chroma(axis: Axis, ratio: int, length: int) -> tuple[Starts, float, float]:
    """The luma's blocks on the chroma plane: first samples, pitch, and where the first block begins.

    A chroma sample that two blocks share belongs to the earlier; where the mean of a block's samples lies is
    measured, not assumed. Blocks of less than two chroma samples are left as they are.
    """
    pitch = axis.pitch / ratio
    edges = -(-axis.starts() // ratio)
    edges = np.unique(edges[edges < length])
    if pitch < _CHROMA_BLOCK or len(edges) < 3:
        return np.arange(length), 1.0, 0.0
    centres = (edges + np.append(edges[1:], length)) / 2
    inner = np.arange(1, len(edges) - 1)  # part blocks at the edges lie off the lattice
    return edges, pitch, float(np.mean(centres[inner] - pitch * (inner + 0.5)))


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
