"""Translates a `PlanePlan` into tables for the kernels: the samples and weights that OpenCV uses in `restore`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.gpu.filters import AxisFilter, BlockCells, filter_of
from deepclarity.pipelines.repair_plan import PlanePlan, Starts
from deepclarity.pipelines.restore import is_aligned, uniform_blocks

_CUBIC = -0.75
"""OpenCV's coefficient for cubic interpolation (Keys 1981 names it a)."""

Pass = tuple[AxisFilter, AxisFilter]
"""Filters along x and y."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneTables:
    """What the kernels need for one plane."""

    columns: BlockCells
    rows: BlockCells
    scale: int | None
    """The network's factor; None: no network."""
    passes: tuple[Pass, ...]
    """Resampling, with rounding after each pass, as OpenCV does it."""


def plane_tables(plan: PlanePlan, shape: tuple[int, ...]) -> PlaneTables:
    """The tables for a plane of `shape` (height, width)."""
    uniform = uniform_blocks(plan.columns, shape[1]), uniform_blocks(plan.rows, shape[0])
    columns, rows = (
        _cells(starts, length, part if all(uniform) else None)
        for starts, length, part in zip((plan.columns, plan.rows), shape[::-1], uniform, strict=True)
    )
    scale = plan.scale or 1
    source = len(plan.columns) * scale, len(plan.rows) * scale
    return PlaneTables(columns, rows, plan.scale, tuple(_passes(source, plan)))


def _cells(starts: Starts, length: int, uniform: tuple[int, int, int] | None) -> BlockCells:
    if uniform is not None:
        size, missing, _ = uniform
        first = np.arange(len(starts)) * size - missing
        return BlockCells(first.astype(np.int32), np.full(len(starts), length - 1, np.int32), size)
    last = np.append(starts[1:], length) - 1
    return BlockCells(starts.astype(np.int32), last.astype(np.int32), int((last - starts).max()) + 1)


def _passes(source: tuple[int, int], plan: PlanePlan) -> list[Pass]:
    """The steps of `restore.resample`."""
    passes: list[Pass] = []
    step, start, size = plan.step, plan.start, plan.size
    if min(abs(step[0] - 1), abs(step[1] - 1)) > 0.2 and max(step) < 1:
        integer = round(start[0]), round(start[1])
        fraction = start[0] - integer[0], start[1] - integer[1]
        if max(map(abs, fraction)) >= 1e-3:
            passes.append(_per_axis(lambda k: _warp_filter(source[k], source[k], 1.0, fraction[k])))
            start = float(integer[0]), float(integer[1])
    window = [(start[k], start[k] + step[k] * size[k]) for k in (0, 1)]
    if is_aligned(window):
        edges = [(round(low), round(high)) for low, high in window]
        shrinks = any(high - low > size[k] for k, (low, high) in enumerate(edges))
        passes.append(_per_axis(lambda k: _window_filter(source[k], size[k], edges[k], shrinks=shrinks)))
        return passes
    if max(step) > 1.2:
        small = max(1, round(source[0] / step[0])), max(1, round(source[1] / step[1]))
        ratio = small[0] / source[0], small[1] / source[1]
        passes.append(_per_axis(lambda k: _window_filter(source[k], small[k], (0, source[k]), shrinks=True)))
        step = step[0] * ratio[0], step[1] * ratio[1]
        start = start[0] * ratio[0], start[1] * ratio[1]
        source = small
    passes.append(
        _per_axis(lambda k: _warp_filter(source[k], size[k], step[k], start[k] + step[k] / 2 - 0.5)),
    )
    return passes


def _per_axis(make: Callable[[int], AxisFilter]) -> Pass:
    return make(0), make(1)


def _window_filter(length: int, size: int, edges: tuple[int, int], *, shrinks: bool) -> AxisFilter:
    """Resize the samples edges[0]…edges[1] - 1 to `size`: a copy, area averages, or cubic interpolation.

    The window repeats the plane's edge beyond it, and its own edge where interpolation reaches out of it.
    """
    low, high = edges
    if high - low == size:
        return filter_of(np.arange(low, high)[:, None], np.ones((size, 1)), length)
    if shrinks and high - low > size:
        return _area_filter(length, size, edges)
    positions = (np.arange(size) + 0.5) * ((high - low) / size) - 0.5
    indices, weights = _cubic_taps(positions)
    return filter_of(np.clip(indices, 0, high - low - 1) + low, weights, length)


def _area_filter(length: int, size: int, edges: tuple[int, int]) -> AxisFilter:
    low, high = edges
    ratio = (high - low) / size
    begins = np.arange(size) * ratio
    indices = np.floor(begins).astype(np.intp)[:, None] + np.arange(int(np.ceil(ratio)) + 1)
    covered = np.minimum(indices + 1, (begins + ratio)[:, None]) - np.maximum(indices, begins[:, None])
    weights = np.where(covered > 1e-3, covered, 0)  # OpenCV drops slivers, too
    weights /= weights.sum(axis=1, keepdims=True)
    return filter_of(np.minimum(indices, high - low - 1) + low, weights, length)


def _warp_filter(length: int, size: int, step: float, offset: float) -> AxisFilter:
    """Cubic interpolation at step * i + offset, exactly; OpenCV before version 5 rounds positions to 1/32."""
    indices, weights = _cubic_taps(step * np.arange(size) + offset)
    return filter_of(indices, weights, length)


def _cubic_taps(positions: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Four source samples per position and their weights (Keys 1981)."""
    first = np.floor(positions)
    t = positions - first
    a = _CUBIC
    left = t + 1
    outer = ((a * left - 5 * a) * left + 8 * a) * left - 4 * a
    inner = ((a + 2) * t - (a + 3)) * t * t + 1
    opposite = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1
    weights = np.stack([outer, inner, opposite, 1 - outer - inner - opposite], axis=1)
    return first.astype(np.intp)[:, None] + np.arange(-1, 3), weights
