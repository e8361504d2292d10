"""Frame repair on the CPU: carries out a `RepairPlan` with OpenCV and an enhancer, on the video's own planes."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.enhancer import Enhancer, PlanesEnhancer
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.stream.frame import Planes

from .repair_plan import PlanePlan, RepairPlan, Starts, plan_chroma_at_luma, plan_repair

_ALIGNMENT_TOLERANCE = 0.02
"""Distance in samples from the sample grid within which a window is rounded to it."""


def undo_blocks(plane: Plane, columns: Starts, rows: Starts) -> Plane:
    """Average each block of `plane` (height, width) to one sample, (len(rows), len(columns)), same dtype.

    `columns`, `rows`: first sample of each block, ascending from 0. In a lattice of fractional pitch, the last
    sample of the smaller blocks counts twice.
    """
    height, width = plane.shape
    if len(columns) == width and len(rows) == height:
        return plane
    across, down = uniform_blocks(columns, width), uniform_blocks(rows, height)
    if across and down:
        return _average_uniform(plane, across, down)
    sums, rows_per_block = _sum_rows(plane, rows)
    transposed, columns_per_block = _sum_rows(cv2.transpose(sums), columns)
    depth = cv2.CV_8U if plane.dtype == np.uint8 else cv2.CV_16U
    return cv2.multiply(cv2.transpose(transposed), 1 / (rows_per_block * columns_per_block), dtype=depth)  # type: ignore[no-any-return,call-overload]


def uniform_blocks(starts: Starts, length: int) -> tuple[int, int, int] | None:
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
    samples per chroma sample, horizontally and vertically.
    """
    shapes = [plane.shape for plane in planes]
    plan = plan_repair(shapes, scales=enhancer.scales, blocks=blocks, size=size, subsampling=subsampling)
    if isinstance(enhancer, PlanesEnhancer):
        return _restore_colour(planes, plan, enhancer, max_value, subsampling)
    luma, blue, red = (
        _restore_plane(plane, part, enhancer, max_value) for plane, part in zip(planes, plan.planes, strict=True)
    )
    return luma, blue, red


def _restore_plane(plane: Plane, plan: PlanePlan, enhancer: Enhancer, max_value: int) -> Plane:
    native = undo_blocks(plane, plan.columns, plan.rows)
    if plan.scale is not None:
        native = enhancer(native, scale=plan.scale, max_value=max_value)
    return resample(native, plan.size, step=plan.step, start=plan.start, max_value=max_value)


def _restore_colour(
    planes: Planes, plan: RepairPlan, enhancer: PlanesEnhancer, max_value: int, subsampling: tuple[int, int]
) -> Planes:
    """Average blocks, enlarge luma and chroma together, and resample each to its size in the result.

    Subsampled chroma gets the change that the network made, added to what it would be without a network: so nothing
    is lost on the way to the samples of luma and back.
    """
    native = [undo_blocks(plane, part.columns, part.rows) for plane, part in zip(planes, plan.planes, strict=True)]
    luma, (joined, split) = native[0], plan_chroma_at_luma(plan, subsampling)
    scale = plan.luma.scale or 1
    blue, red = (
        resample(plane, luma.shape[::-1], step=joined.step, start=joined.start, max_value=max_value)
        for plane in native[1:]
    )
    large = enhancer.enlarge_planes((luma, blue, red), scale=scale, max_value=max_value)
    results = [resample(large[0], plan.luma.size, step=plan.luma.step, start=plan.luma.start, max_value=max_value)]
    for before, small, after, part in zip(native[1:], (blue, red), large[1:], plan.planes[1:], strict=True):
        if subsampling == (1, 1):
            results.append(resample(after, part.size, step=split.step, start=split.start, max_value=max_value))
            continue
        plain = resample(before, part.size, step=part.step, start=part.start, max_value=max_value)
        smooth = cv2.resize(small, after.shape[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
        change = resample(_floats(after - smooth), part.size, step=split.step, start=split.start, max_value=max_value)
        results.append(np.clip(np.rint(plain + change), 0, max_value).astype(plain.dtype))
    return results[0], results[1], results[2]


def _floats(array: NDArray[np.float32]) -> Plane:
    return cast("Plane", array)  # `resample` works on any dtype of OpenCV's


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
    if is_aligned(window):
        result = _crop_and_resize(plane, size, [(round(low), round(high)) for low, high in window])
    else:
        result = _warp(plane, size, step, start)
    # cubic interpolation overshoots, and 10-bit samples are stored in 16 bits
    return np.minimum(result, max_value) if plane.dtype == np.uint16 else result


def is_aligned(window: list[tuple[float, float]]) -> bool:
    """Whether a window, (first, last) edge for x and y, starts and ends between two samples."""
    return all(abs(edge - round(edge)) < _ALIGNMENT_TOLERANCE for pair in window for edge in pair)


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
