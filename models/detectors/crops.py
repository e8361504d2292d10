"""Input of the network of `lattice-net`: crops at the picture's own resolution, and features of the lattice.

Downscaling a picture destroys the evidence of blocks; crops keep every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Plane

from .lattice import Floats, Lattice, edge_indices
from .profiles import BANDS, GradientProfiles, as_bytes
from .search import LatticePair

CROPS, CROP_PX = 8, 48
_CLEAREST = 5
"""Number of crops where the lattice is clearest; the others show detail elsewhere."""
_ELSEWHERE = np.array([0, 4, 9])
"""Those others, by rank among the remaining cells."""
AXIS_FEATURES = 20
"""Features of one axis: those of x come first, then those of y."""
NEIGHBOURS_X, NEIGHBOURS_Y = (9, 10), (29, 30)
"""Indices of the features on the gradients just before and just after the edges: mirroring swaps them."""
EVIDENCE_SIZE = 2 * AXIS_FEATURES + 30
_THRESHOLDS = np.array([0.1, 0.3, 0.7, 1.5], np.float32)
_QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32)
_BUSY = 0.15
_FLOOR = np.float32(0.1)
"""Weaker gradients, in levels, do not count."""
_NEIGHBOURS = np.array([[0], [-1], [1]])
_MIN_CONTRAST, _MAX_CONTRAST = np.float32(0.02), np.float32(2)


@dataclass(frozen=True, slots=True)
class LatticeCrops:
    """The input of the network for one picture."""

    crops: NDArray[np.uint8]
    """Luma in 8-bit levels, (8, 48, 48)."""
    edges_x: NDArray[np.uint8]
    """255 where a block edge lies left of that column, else 0: (8, 48)."""
    edges_y: NDArray[np.uint8]
    """255 where a block edge lies above that row, else 0: (8, 48)."""
    evidence: Floats
    """Features of the lattice over the entire picture, (70,)."""


def extract_crops(
    luma: Plane, profiles: tuple[GradientProfiles, GradientProfiles], pair: LatticePair, *, max_value: int = 255
) -> LatticeCrops:
    """Crops and features of `luma`, (height, width) in 0..max_value, for the lattices along x and y."""
    x, y = (_edges(axis.mean.size, found.period_px, found.phase_px) for axis, found in zip(profiles, pair, strict=True))
    (contrast_x, energy_x), (contrast_y, energy_y) = _cells(profiles[0].bands, x), _cells(profiles[1].bands, y)
    contrast = np.minimum(contrast_x, contrast_y.T).ravel()
    energy = (energy_x + energy_y.T).ravel() * np.float32(0.5)
    cells = _select_cells(contrast, energy)
    features = [
        *_axis_features(profiles[0], pair[0], x),
        *_axis_features(profiles[1], pair[1], y),
        *_joint_features(pair),
        *_coverage_features(contrast, energy),
    ]
    edges_x, edges_y = x.marks[cells % BANDS], y.marks[cells // BANDS]
    return LatticeCrops(_crops(luma, cells.tolist(), max_value), edges_x, edges_y, np.array(features, np.float32))


@dataclass(frozen=True, slots=True)
class _Edges:
    """Where the edges of a lattice lie in the gradients along one axis."""

    at: NDArray[np.intp]
    """Their indices, (n,)."""
    around: NDArray[np.intp]
    """The indices on, just before and just after those that have both neighbours: (3, n)."""
    starts: NDArray[np.intp]
    """Where each of six sections begins: (6,)."""
    first: NDArray[np.intp]
    """The number of the first edge in each, (6,); a section without an edge uses its neighbour's."""
    counts: Floats
    """Samples of each section: all, on edges, and off edges; the last two at least 1: (3, 6)."""
    marks: NDArray[np.uint8]
    """255 for the pixels after an edge in a crop from the middle of each section, else 0: (6, 48)."""


@lru_cache(maxsize=16)
def _edges(length: int, period: float, phase: float) -> _Edges:
    """The edges among `length` samples; cached, as they are often the same from one frame of a video to the next."""
    at = edge_indices(length, period, phase)
    starts, crops = _sections(length)
    first = np.minimum(at.searchsorted(starts), max(0, at.size - 1))
    sizes = _gaps(starts, length)
    on = [max(1, count) for count in _gaps(first, at.size)]
    counts = np.array([sizes, on, [max(1, size - count) for size, count in zip(sizes, on, strict=True)]], np.float32)
    marks = np.zeros(max(length + 1, CROP_PX), np.uint8)
    marks[at + 1] = 255
    inner = at[at.searchsorted(1) : at.searchsorted(length - 1)]
    return _Edges(at, inner + _NEIGHBOURS, starts, first, counts, marks[crops])


@lru_cache(maxsize=32)
def _sections(length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each of six sections of `length` samples begins, (6,), and the pixels of a crop there, (6, 48)."""
    return np.arange(BANDS) * length // BANDS, np.array(_corners(length + 1))[:, None] + np.arange(CROP_PX)


@lru_cache(maxsize=32)
def _corners(side: int) -> list[int]:
    """Where the crops from the middle of each of six sections begin, limited to the picture."""
    middles = [(2 * section + 1) * side // (2 * BANDS) for section in range(BANDS)]
    return [max(0, min(side - CROP_PX, middle - CROP_PX // 2)) for middle in middles]


def _gaps(starts: NDArray[np.intp], end: int) -> list[int]:
    """The distance from each of `starts` to the next, and from the last to `end`."""
    bounds = [*starts.tolist(), end]
    return [after - before for before, after in pairwise(bounds)]


def _cells(bands: Floats, edges: _Edges) -> tuple[Floats, Floats]:
    """Contrast (log ratio of gradients on the edges to those between) and mean gradient of 6 × 6 cells: (6, 6) each."""
    sizes, on_count, off_count = edges.counts
    every = np.add.reduceat(bands, edges.starts, axis=1)
    energy: Floats = every / sizes
    if not edges.at.size:
        return _six_bands(np.zeros_like(energy)), _six_bands(energy)
    on = np.add.reduceat(np.take(bands, edges.at, axis=1), edges.first, axis=1)
    off = np.maximum((every - on) / off_count, 0)
    ratio: Floats = np.log((on / on_count + _FLOOR) / (off + _FLOOR))
    return _six_bands(ratio), _six_bands(energy)


def _six_bands(cells: Floats) -> Floats:
    """(bands, 6) extended to (6, 6) by repetition, as a small picture has fewer bands."""
    return cells if len(cells) == BANDS else cells[np.arange(BANDS) * len(cells) // BANDS]


def _select_cells(contrast: Floats, energy: Floats) -> NDArray[np.intp]:
    """Eight of the 36 cells: those where the lattice is clearest, and busy ones spread over the rest."""
    order = (-(np.minimum(np.maximum(contrast, _MIN_CONTRAST), _MAX_CONTRAST) * np.sqrt(energy))).argsort()
    rest = order[_CLEAREST:]
    rest = rest[(-energy[rest]).argsort()]
    return np.concatenate([order[:_CLEAREST], rest[_ELSEWHERE]])


def _crops(luma: Plane, cells: list[int], max_value: int) -> NDArray[np.uint8]:
    crops = np.empty((CROPS, CROP_PX, CROP_PX), np.uint8)
    tops, lefts = _corners(luma.shape[0]), _corners(luma.shape[1])
    for crop, cell in zip(crops, cells, strict=True):
        top, left = tops[cell // BANDS], lefts[cell % BANDS]
        pixels = as_bytes(luma[top : top + CROP_PX, left : left + CROP_PX], max_value)
        if pixels.shape != crop.shape:
            pixels = np.pad(pixels, [(0, CROP_PX - side) for side in pixels.shape], mode="edge")
        crop[:] = pixels
    return crops


def _joint_features(pair: LatticePair) -> list[float]:
    """10 features of both lattices together."""
    x, y = pair
    ratio, fit = abs(log(x.period_px / y.period_px)), min(x.fit, y.fit)
    outside = 0.0 if x.matches_codec_period and y.matches_codec_period else 1.0
    fine = float(max(x.period_px, y.period_px) < 3.9)
    return [
        ratio,
        float(ratio < 0.01),
        fit / 10,
        (x.fit + y.fit) / 20,
        outside * fit / 10,
        (1 - outside) * fit / 10,
        outside * log(max(fit, 1.0)),
        fine,
        fine * fit / 10,
        float(x.on_codec_grid and y.on_codec_grid),
    ]


def _coverage_features(contrast: Floats, energy: Floats) -> list[float]:
    """20 features of how much of the picture shows the lattice, by cells and by the gradients they hold."""
    total = float(np.add.reduce(energy))
    order = contrast.argsort()
    values, weights = contrast[order], energy[order]
    busy = values[weights > np.float32(_BUSY) * weights.max()]
    if not busy.size or total <= 0:
        return [0.0] * 20
    by_cells = busy[(_QUANTILES * np.float32(busy.size)).astype(np.intp)]
    share = weights.cumsum() / np.float32(total)
    by_weight = values[np.minimum(share.searchsorted(_QUANTILES), values.size - 1)]
    below = [0.0, *share.tolist()]
    weight_above = [1 - below[i] for i in values.searchsorted(_THRESHOLDS, "right").tolist()]
    cells_above = [1 - i / busy.size for i in busy.searchsorted(_THRESHOLDS, "right").tolist()]
    amounts = [busy.size / energy.size, log(total / energy.size + _FLOOR)]
    return [*amounts, *by_cells.tolist(), *by_weight.tolist(), *weight_above, *cells_above]


def _axis_features(profiles: GradientProfiles, lattice: Lattice, edges: _Edges) -> list[float]:
    """20 features of the lattice along one axis."""
    mean_profile, length, period = profiles.mean, profiles.mean.size, lattice.period_px
    rounds = length // 8
    by_offset = np.ones(rounds, np.float32) @ profiles.profile[: rounds * 8].reshape(-1, 8)
    grid = (by_offset / np.float32(sqrt(rounds) * 10)).tolist()
    codec = [grid[7], grid[3], min(grid[1], grid[5]), (grid[0] + grid[2] + grid[4] + grid[6]) / 4]
    count = edges.around.shape[1]
    if not count:
        return [*codec, *[0.0] * 16]
    on, before, after = (np.add.reduce(np.take(mean_profile, edges.around), axis=1) / np.float32(count)).tolist()
    share, mean = count / length, float(np.add.reduce(mean_profile)) / length
    off = max(0.0, (mean - on * share) / max(1e-3, 1 - share))
    cycles, correlation, scale = 8 / period, lattice.fit / sqrt(length), (mean + 0.05) * sqrt(period)
    outside, gridded = float(not lattice.matches_codec_period), float(lattice.on_codec_grid)
    contrast = log((on + 0.05) / (off + 0.05))
    return [
        *codec,
        lattice.fit / 10,
        correlation,
        outside * correlation,
        contrast,
        contrast * gridded,
        (on - before) / scale,
        (on - after) / scale,
        log(mean + 0.05),
        log(period),
        float(period < 1.9),
        gridded,
        outside,
        abs(cycles - round(cycles)),
        log(length / 1000),
        min(lattice.phase_px, period - lattice.phase_px) / period,
        (1 - outside) * correlation,
    ]
