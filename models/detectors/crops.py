"""What `lattice-net` looks at: pieces of the picture at its own resolution, and what speaks for a lattice.

Reducing a picture destroys the evidence of blocks; these leave every pixel as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Plane

from .lattice import Floats, Lattice, edge_places
from .profiles import BANDS, GradientProfiles, as_bytes
from .search import Pair

CROPS, CROP_PX = 8, 48
_TELLING = 5
"""Of the crops, how many show where the lattice is clearest; the others, where else there is much to see."""
_ELSEWHERE = np.array([0, 4, 9])
"""Those, by their rank among the rest."""
AXIS = 20
"""How many numbers tell of one axis: those of x come first, then those of y."""
BESIDE_X, BESIDE_Y = (9, 10), (29, 30)
"""Where the numbers on the steps just before and just behind the edges are: they change places in a mirror."""
EVIDENCE = 2 * AXIS + 30
_BARS = np.array([0.1, 0.3, 0.7, 1.5], np.float32)
_SHARES = np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32)
_BUSY = 0.15
_FLOOR = np.float32(0.1)
"""Levels below which steps count for nothing."""
_AROUND = np.array([[0], [-1], [1]])
_FAINT, _CLEAR = np.float32(0.02), np.float32(2)


@dataclass(frozen=True, slots=True)
class Look:
    """What the network takes."""

    crops: NDArray[np.uint8]
    """(8, 48, 48)."""
    edges_x: NDArray[np.uint8]
    """255 where a block edge lies left of that column, else 0: (8, 48)."""
    edges_y: NDArray[np.uint8]
    """255 where a block edge lies above that row, else 0: (8, 48)."""
    evidence: Floats
    """(EVIDENCE,)."""


def look(luma: Plane, steps: tuple[GradientProfiles, GradientProfiles], pair: Pair, *, max_value: int = 255) -> Look:
    """What there is to see in `luma`, (height, width) in 0..max_value, of the lattices along x and y."""
    x, y = (_edges(axis.line.size, found.period_px, found.phase_px) for axis, found in zip(steps, pair, strict=True))
    (heat_x, energy_x), (heat_y, energy_y) = _cells(steps[0].bands, x), _cells(steps[1].bands, y)
    least, energy = np.minimum(heat_x, heat_y.T).ravel(), (energy_x + energy_y.T).ravel() * np.float32(0.5)
    cells = _telling(least, energy)
    told = [*_axis(steps[0], pair[0], x), *_axis(steps[1], pair[1], y), *_both(pair), *_spread(least, energy)]
    edges_x, edges_y = x.seen[cells % BANDS], y.seen[cells // BANDS]
    return Look(_crops(luma, cells.tolist(), max_value), edges_x, edges_y, np.array(told, np.float32))


@dataclass(frozen=True, slots=True)
class _Edges:
    """Where the edges of a lattice lie in the steps along one axis."""

    at: NDArray[np.intp]
    """Their places, (n,)."""
    around: NDArray[np.intp]
    """The places on, just before and just behind those that have both neighbours: (3, n)."""
    starts: NDArray[np.intp]
    """Where each of six parts begins: (6,)."""
    first: NDArray[np.intp]
    """The number of the first edge in each, (6,); a part without borrows its neighbour's."""
    counts: Floats
    """How many places each part has, how many with edges, and how many without; the latter at least 1: (3, 6)."""
    seen: NDArray[np.uint8]
    """255 for those pixels behind an edge that a crop in the middle of each of six parts shows, else 0: (6, 48)."""


@lru_cache(maxsize=16)
def _edges(length: int, period: float, phase: float) -> _Edges:
    """Those of `length` places; from one frame of a video to the next they are often the same."""
    at = edge_places(length, period, phase)
    starts, crops = _parts(length)
    first = np.minimum(at.searchsorted(starts), max(0, at.size - 1))
    sizes = _gaps(starts, length)
    on = [max(1, count) for count in _gaps(first, at.size)]
    counts = np.array([sizes, on, [max(1, size - count) for size, count in zip(sizes, on, strict=True)]], np.float32)
    marks = np.zeros(max(length + 1, CROP_PX), np.uint8)
    marks[at + 1] = 255
    inner = at[at.searchsorted(1) : at.searchsorted(length - 1)]
    return _Edges(at, inner + _AROUND, starts, first, counts, marks[crops])


@lru_cache(maxsize=32)
def _parts(length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each of six parts of `length` places begins, (6,), and the pixels that a crop there shows, (6, 48)."""
    return np.arange(BANDS) * length // BANDS, np.array(_corners(length + 1))[:, None] + np.arange(CROP_PX)


@lru_cache(maxsize=32)
def _corners(side: int) -> list[int]:
    """Where crops begin that lie in the middle of each of six parts, as far as the picture reaches."""
    middles = [(2 * part + 1) * side // (2 * BANDS) for part in range(BANDS)]
    return [max(0, min(side - CROP_PX, middle - CROP_PX // 2)) for middle in middles]


def _gaps(starts: NDArray[np.intp], end: int) -> list[int]:
    """How far each of `starts` lies from the next, the last from `end`."""
    bounds = [*starts.tolist(), end]
    return [after - before for before, after in pairwise(bounds)]


def _cells(bands: Floats, edges: _Edges) -> tuple[Floats, Floats]:
    """Log ratio of steps on the edges to those between, and the mean step, in six parts of six bands: (6, 6) each."""
    sizes, on_count, off_count = edges.counts
    every = np.add.reduceat(bands, edges.starts, axis=1)
    energy: Floats = every / sizes
    if not edges.at.size:
        return _six(np.zeros_like(energy)), _six(energy)
    on = np.add.reduceat(np.take(bands, edges.at, axis=1), edges.first, axis=1)
    off = np.maximum((every - on) / off_count, 0)
    ratio: Floats = np.log((on / on_count + _FLOOR) / (off + _FLOOR))
    return _six(ratio), _six(energy)


def _six(cells: Floats) -> Floats:
    """(bands, 6) made (6, 6) by repeating where a small picture has fewer bands."""
    return cells if len(cells) == BANDS else cells[np.arange(BANDS) * len(cells) // BANDS]


def _telling(least: Floats, energy: Floats) -> NDArray[np.intp]:
    """Eight cells of 36: those where the lattice is clearest, and busy ones spread over the rest."""
    order = (-(np.minimum(np.maximum(least, _FAINT), _CLEAR) * np.sqrt(energy))).argsort()
    rest = order[_TELLING:]
    rest = rest[(-energy[rest]).argsort()]
    return np.concatenate([order[:_TELLING], rest[_ELSEWHERE]])


def _crops(luma: Plane, cells: list[int], max_value: int) -> NDArray[np.uint8]:
    crops = np.empty((CROPS, CROP_PX, CROP_PX), np.uint8)
    tops, lefts = _corners(luma.shape[0]), _corners(luma.shape[1])
    for crop, cell in zip(crops, cells, strict=True):
        top, left = tops[cell // BANDS], lefts[cell % BANDS]
        piece = as_bytes(luma[top : top + CROP_PX, left : left + CROP_PX], max_value)
        if piece.shape != crop.shape:
            piece = np.pad(piece, [(0, CROP_PX - side) for side in piece.shape], mode="edge")
        crop[:] = piece
    return crops


def _both(pair: Pair) -> list[float]:
    """How well the two lattices go together."""
    x, y = pair
    ratio, fit = abs(log(x.period_px / y.period_px)), min(x.fit, y.fit)
    outside = 0.0 if x.in_codec_rhythm and y.in_codec_rhythm else 1.0
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


def _spread(least: Floats, energy: Floats) -> list[float]:
    """Over how much of the picture the lattice shows, by cells and by what they hold."""
    total = float(np.add.reduce(energy))
    order = least.argsort()
    values, weights = least[order], energy[order]
    held = values[weights > np.float32(_BUSY) * weights.max()]
    if not held.size or total <= 0:
        return [0.0] * 20
    by_cells = held[(_SHARES * np.float32(held.size)).astype(np.intp)]
    share = weights.cumsum() / np.float32(total)
    by_weight = values[np.minimum(share.searchsorted(_SHARES), values.size - 1)]
    below = [0.0, *share.tolist()]
    weighed = [1 - below[place] for place in values.searchsorted(_BARS, "right").tolist()]
    counted = [1 - place / held.size for place in held.searchsorted(_BARS, "right").tolist()]
    told = [held.size / energy.size, log(total / energy.size + _FLOOR)]
    return [*told, *by_cells.tolist(), *by_weight.tolist(), *weighed, *counted]


def _axis(steps: GradientProfiles, lattice: Lattice, edges: _Edges) -> list[float]:
    line, places, period = steps.line, steps.line.size, lattice.period_px
    rounds = places // 8
    folded = np.ones(rounds, np.float32) @ steps.profile[: rounds * 8].reshape(-1, 8)
    grid = (folded / np.float32(sqrt(rounds) * 10)).tolist()
    codec = [grid[7], grid[3], min(grid[1], grid[5]), (grid[0] + grid[2] + grid[4] + grid[6]) / 4]
    count = edges.around.shape[1]
    if not count:
        return [*codec, *[0.0] * 16]
    on, before, after = (np.add.reduce(np.take(line, edges.around), axis=1) / np.float32(count)).tolist()
    share, mean = count / places, float(np.add.reduce(line)) / places
    off = max(0.0, (mean - on * share) / max(1e-3, 1 - share))
    cycles, correlation, scale = 8 / period, lattice.fit / sqrt(places), (mean + 0.05) * sqrt(period)
    outside, gridded = float(not lattice.in_codec_rhythm), float(lattice.on_codec_grid)
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
        log(places / 1000),
        min(lattice.phase_px, period - lattice.phase_px) / period,
        (1 - outside) * correlation,
    ]
