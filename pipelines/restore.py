"""Frame repair: averages the blocks to one sample each, enlarges the result by a network, resamples it to the output.

Works on the video's own planes. Positions are in samples from the plane's left or top edge, so that the centre of
sample i is at i + 0.5; every step keeps track of its sample positions, so the picture does not shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.stream.frame import Planes

_SCALE_TOLERANCE = 0.95
"""A network scale down to this share of the required one is accepted: the rest is a mild resize."""

Starts = NDArray[np.intp]
"""First sample of each block along an axis, (count,) ascending from 0."""

_MIN_CHROMA_BLOCK = 2.0
"""Minimum block size in chroma samples for averaging chroma: in smaller blocks, mixed samples do harm."""

_ALIGNMENT_TOLERANCE = 0.02
"""Distance in samples from the sample grid within which a window is rounded to it."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The division of one axis into cells: cell k spans origin + k * pitch … origin + (k + 1) * pitch."""

    length: int
    """Samples along the axis."""
    origin: float = 0.0
    pitch: float = 1.0
    lag: float = 0.0
    """Offset of a cell's first sample from its nominal position: scalers round up or down."""

    def starts(self) -> Starts:
        """First sample of each cell, (count,) strictly ascending from 0."""
        count = int(np.ceil((self.length - self.origin) / self.pitch)) + 1
        starts = np.floor(self.origin + self.lag + self.pitch * np.arange(count) + 0.5).astype(np.intp)
        starts[0] = 0  # a lattice with a lag of half a sample would leave the first sample in no cell
        starts = np.unique(np.clip(starts, 0, None))
        return starts[starts < self.length]


def axis_of(length: int, block_px: float, phase_px: float) -> Axis:
    """The cells of `length` samples in blocks of `block_px`; the first and last cell may be partial.

    A lattice that starts within half a sample of the picture's edge is taken to start at the edge.
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

    `columns`, `rows`: first sample of each block, ascending from 0. In a lattice of fractional pitch, the last
    sample of the smaller blocks counts twice.
    """
    height, width = plane.shape
    if len(columns) == width and len(rows) == height:
        return plane
    across, down = _uniform_blocks(columns, width), _uniform_blocks(rows, height)
    if across and down:
        return _average_uniform(plane, across, down)
    sums, rows_per_block = _sum_rows(plane, rows)
    transposed, columns_per_block = _sum_rows(cv2.transpose(sums), columns)
    depth = cv2.CV_8U if plane.dtype == np.uint8 else cv2.CV_16U
    return cv2.multiply(cv2.transpose(transposed), 1 / (rows_per_block * columns_per_block), dtype=depth)  # type: ignore[no-any-return,call-overload]


def _uniform_blocks(starts: Starts, length: int) -> tuple[int, int, int] | None:
    """(size, missing at the start, missing at the end) if all blocks but partial ones at the ends have one size."""
    sizes = np.diff(starts, append=length)
    size = int(sizes[1:-1].max(initial=0)) or int(sizes.max())
    if (sizes[1:-1] != size).any() or sizes.max() > size:
        return None
    return size, size - int(sizes[0]), size - int(sizes[-1]) if len(sizes) > 1 else 0


def _average_uniform(plane: Plane, across: tuple[int, int, int], down: tuple[int, int, int]) -> Plane:
    """Area averaging by an integer factor; partial blocks are padded by repeating the edge."""
    if any(across[1:]) or any(down[1:]):
        plane = cv2.copyMakeBorder(plane, *down[1:], *across[1:], cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    size = plane.shape[1] // across[0], plane.shape[0] // down[0]
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _sum_rows(plane: NDArray[np.generic], starts: Starts) -> tuple[NDArray[np.float32], int]:
    """Sum the rows of each block: (blocks, width) float32, and the number of rows in each sum."""
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
    """Repair Y'CbCr `planes`, uint8 or uint16 up to `max_value`, and resample them to `size` (width, height of luma).

    `blocks`: the lattice to average first, in luma samples; None if the picture is merely small. `subsampling`: luma
    samples per chroma sample, horizontally and vertically. Chroma is averaged over its own lattice and interpolated,
    without the network: the eye does not resolve more of it.
    """
    luma = planes[0]
    height, width = luma.shape
    lattice = blocks or Blocks(1, 1)
    across = axis_of(width, lattice.width_px, lattice.phase_x_px)
    down = axis_of(height, lattice.height_px, lattice.phase_y_px)
    native = undo_blocks(luma, across.starts(), down.starts())
    needed = max(across.pitch * size[0] / width, down.pitch * size[1] / height)
    scale = network_factor(enhancer.scales, needed)
    large = enhancer(native, scale=scale, max_value=max_value)
    zoom = size[0] / width, size[1] / height
    new_luma = resample(
        large,
        size,
        step=(scale / across.pitch / zoom[0], scale / down.pitch / zoom[1]),
        start=(-across.origin * scale / across.pitch, -down.origin * scale / down.pitch),
        max_value=max_value,
    )
    blue, red = (
        _restore_chroma(plane, (across, down), size=size, zoom=zoom, max_value=max_value, ratios=subsampling)
        for plane in planes[1:]
    )
    return new_luma, blue, red


def network_factor(scales: tuple[int, ...], needed: float) -> int:
    """The smallest supported scale that reaches `needed` (within 5 %), else the largest."""
    return next((scale for scale in scales if scale >= needed * _SCALE_TOLERANCE), scales[-1])


def _restore_chroma(
    plane: Plane,
    axes: tuple[Axis, Axis],
    *,
    size: tuple[int, int],
    zoom: tuple[float, float],
    max_value: int,
    ratios: tuple[int, int],
) -> Plane:
    """Average chroma over the luma lattice `axes` if that is coarser than chroma itself, and interpolate."""
    # 4:2:0 and 4:2:2 chroma is sited on the left of its two luma columns (MPEG-2, H.264 and HEVC default) and between
    # its two luma rows. For a picture that keeps its size the siting does not matter.
    siting = 0.5, ratios[1] / 2
    starts, step, start = [], [], []
    for axis, ratio, site, factor, length in zip(axes, ratios, siting, zoom, plane.shape[::-1], strict=True):
        edges, pitch, origin = _on_chroma(axis, ratio, length)
        starts.append(edges)
        step.append(1 / factor / pitch)
        # Sample i of the result is centred at luma position (i * ratio + site) / factor of the source.
        centre = (site / factor - site) / ratio + 0.5
        start.append((centre - origin) / pitch - step[-1] / 2)
    out = -(-size[0] // ratios[0]), -(-size[1] // ratios[1])
    native = undo_blocks(plane, starts[0], starts[1])
    return resample(native, out, step=(step[0], step[1]), start=(start[0], start[1]), max_value=max_value)


def _on_chroma(axis: Axis, ratio: int, length: int) -> tuple[Starts, float, float]:
    """The luma's blocks on the chroma plane: first samples, pitch, and position of the first block.

    A chroma sample shared by two blocks belongs to the earlier one; the mean position of a block's samples is
    measured, not assumed. Blocks of less than two chroma samples are not averaged.
    """
    pitch = axis.pitch / ratio
    edges = -(-axis.starts() // ratio)
    edges = np.unique(edges[edges < length])
    if pitch < _MIN_CHROMA_BLOCK or len(edges) < 3:
        return np.arange(length), 1.0, 0.0
    centres = (edges + np.append(edges[1:], length)) / 2
    inner = np.arange(1, len(edges) - 1)  # partial blocks at the edges are off the lattice
    return edges, pitch, float(np.mean(centres[inner] - pitch * (inner + 0.5)))


def resample(
    plane: Plane,
    size: tuple[int, int],
    *,
    step: tuple[float, float],
    start: tuple[float, float],
    max_value: int,
) -> Plane:
    """Resample `plane` so that sample i of the result covers start + i * step … start + (i + 1) * step of it.

    A plain slice if possible; area averaging to shrink, otherwise cubic interpolation. Samples beyond the edge repeat
    it. `size`: (width, height); `step` and `start`: (x, y).
    """
    if min(abs(step[0] - 1), abs(step[1] - 1)) > 0.2 and max(step) < 1:
        plane, start = _shifted(plane, start)  # cheaper before enlarging
    window = [(start[k], start[k] + step[k] * size[k]) for k in (0, 1)]
    if all(abs(edge - round(edge)) < _ALIGNMENT_TOLERANCE for pair in window for edge in pair):
        result = _crop_and_resize(plane, size, [(round(low), round(high)) for low, high in window])
    else:
        result = _warp(plane, size, step, start)
    # cubic interpolation overshoots, and 10-bit samples are stored in 16 bits
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
    """Shift `plane` by the fractional part of `start`; also returns the integer start that remains."""
    integer = round(start[0]), round(start[1])
    fraction = start[0] - integer[0], start[1] - integer[1]
    if max(map(abs, fraction)) < 1e-3:
        return plane, start
    matrix = np.array([[1, 0, fraction[0]], [0, 1, fraction[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    shifted = cv2.warpAffine(plane, matrix, plane.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return shifted, (float(integer[0]), float(integer[1]))  # type: ignore[return-value]


def _warp(plane: Plane, size: tuple[int, int], step: tuple[float, float], start: tuple[float, float]) -> Plane:
    """Resample a window that starts or ends between samples: the general case."""
    if max(step) > 1.2:  # shrink by area averaging first, to avoid aliasing
        new = max(1, round(plane.shape[1] / step[0])), max(1, round(plane.shape[0] / step[1]))
        ratio = new[0] / plane.shape[1], new[1] / plane.shape[0]
        plane = cv2.resize(plane, new, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        step = step[0] * ratio[0], step[1] * ratio[1]
        start = start[0] * ratio[0], start[1] * ratio[1]
    matrix = np.array([[step[0], 0, start[0] + step[0] / 2 - 0.5], [0, step[1], start[1] + step[1] / 2 - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]
