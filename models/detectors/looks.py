"""What `lattice-net` looks at: pieces of the picture at its own resolution, and what speaks for a lattice.

Reducing a picture destroys the evidence of blocks; these leave every pixel as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Plane

from .lattice import Floats, Lattice, edge_places
from .search import Pair
from .steps import BANDS, Steps, as_bytes

CROPS, CROP_PX = 8, 48
_TELLING = 5
"""Of the crops, how many show where the lattice is clearest; the others, where else there is much to see."""
_ELSEWHERE = 0, 4, 9
"""Those, by their rank among the rest."""
AXIS = 20
"""How many numbers tell of one axis: those of x come first, then those of y."""
BESIDE_X, BESIDE_Y = (9, 10), (29, 30)
"""Where the numbers on the steps just before and just behind the edges are: they change places in a mirror."""
EVIDENCE = 2 * AXIS + 30
_BARS = np.array([0.1, 0.3, 0.7, 1.5], np.float32)
_SHARES = np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32)
_BUSY = 0.15
_FLOOR = 0.1
"""Levels below which steps count for nothing."""


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


def look(luma: Plane, steps: tuple[Steps, Steps], pair: Pair, *, max_value: int = 255) -> Look:
    """What there is to see in `luma`, (height, width) in 0..max_value, of the lattices along x and y."""
    at = [edge_places(axis.line.size, found.period_px, found.phase_px) for axis, found in zip(steps, pair, strict=True)]
    (heat_x, energy_x), (heat_y, energy_y) = (
        _cells(axis.bands, places) for axis, places in zip(steps, at, strict=True)
    )
    least, energy = np.minimum(heat_x, heat_y.T).ravel(), (energy_x + energy_y.T).ravel() * np.float32(0.5)
    crops, edges_x, edges_y = _crops(luma, at, _telling(least, energy), max_value)
    told = [*_axis(steps[0], pair[0], at[0]), *_axis(steps[1], pair[1], at[1]), *_both(pair), *_spread(least, energy)]
    return Look(crops, edges_x, edges_y, np.array(told, np.float32))


def _cells(bands: Floats, at: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Log ratio of steps on the edges to those between, and the mean step, in six parts of six bands: (6, 6) each."""
    length = bands.shape[1]
    starts = np.arange(BANDS) * length // BANDS
    first = np.minimum(np.searchsorted(at, starts), max(0, at.size - 1))
    sizes = _gaps(starts, length)
    every = np.add.reduceat(bands, starts, axis=1)
    energy: Floats = (every / sizes).astype(np.float32)
    if not at.size:
        return _six(np.zeros_like(energy)), _six(energy)
    counts = np.maximum(_gaps(first, at.size), 1)
    on = np.add.reduceat(bands[:, at], first, axis=1)
    # A part without an edge borrows its neighbour's.
    off = np.maximum((every - on) / np.maximum(sizes - counts, 1), 0)
    ratio = np.log((on / counts + _FLOOR) / (off + _FLOOR))
    return _six(ratio.astype(np.float32)), _six(energy)


def _gaps(starts: NDArray[np.intp], end: int) -> NDArray[np.intp]:
    """How far each of `starts` lies from the next, the last from `end`."""
    gaps = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=gaps[:-1])
    gaps[-1] = end - starts[-1]
    return gaps


def _six(cells: Floats) -> Floats:
    """(bands, 6) made (6, 6) by repeating where a small picture has fewer bands."""
    return cells if len(cells) == BANDS else cells[np.arange(BANDS) * len(cells) // BANDS]


def _telling(least: Floats, energy: Floats) -> list[int]:
    """Eight cells of 36: those where the lattice is clearest, and busy ones spread over the rest."""
    order = np.argsort(-(np.clip(least, 0.02, 2) * np.sqrt(energy)))
    rest = order[_TELLING:]
    rest = rest[np.argsort(-energy[rest])]
    return [*order[:_TELLING].tolist(), *rest[list(_ELSEWHERE)].tolist()]


def _crops(
    luma: Plane, at: list[NDArray[np.intp]], cells: list[int], max_value: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = luma.shape
    crops = np.empty((CROPS, CROP_PX, CROP_PX), np.uint8)
    marks = []
    for places, side in zip(at, (width, height), strict=True):
        line = np.zeros(max(side, CROP_PX), np.uint8)
        line[places + 1] = 255
        marks.append(line)
    edges = np.empty((2, CROPS, CROP_PX), np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(cell, BANDS)
        top, left = _corner(row, height), _corner(column, width)
        piece = as_bytes(luma[top : top + CROP_PX, left : left + CROP_PX], max_value)
        high, wide = piece.shape
        whole = high == wide == CROP_PX
        crops[number] = piece if whole else np.pad(piece, ((0, CROP_PX - high), (0, CROP_PX - wide)), mode="edge")
        edges[0, number] = marks[0][left : left + CROP_PX]
        edges[1, number] = marks[1][top : top + CROP_PX]
    return crops, edges[0], edges[1]


def _corner(cell: int, side: int) -> int:
    """Where a crop begins that lies in the middle of one of six parts, as far as the picture reaches."""
    return max(0, min(side - CROP_PX, (2 * cell + 1) * side // (2 * BANDS) - CROP_PX // 2))


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
    order = np.argsort(least)
    values, weights = least[order], energy[order]
    busy = weights > _BUSY * float(weights.max())
    count = int(np.count_nonzero(busy))
    if not count or total <= 0:
        return [0.0] * 20
    held = values[busy]
    by_cells = held[(_SHARES * count).astype(np.intp)]
    share = np.cumsum(weights) / np.float32(total)
    by_weight = values[np.minimum(np.searchsorted(share, _SHARES), values.size - 1)]
    above = values > _BARS[:, None]
    weighed = (above @ weights) / total
    counted = (held > _BARS[:, None]).sum(axis=1) / count
    told = [count / energy.size, log(total / energy.size + _FLOOR)]
    return [*told, *by_cells.tolist(), *by_weight.tolist(), *weighed.tolist(), *counted.tolist()]


def _axis(steps: Steps, lattice: Lattice, at: NDArray[np.intp]) -> list[float]:
    line, places, period = steps.line, steps.line.size, lattice.period_px
    rounds = places // 8
    grid = (np.add.reduce(steps.profile[: rounds * 8].reshape(-1, 8)) / np.float32(sqrt(rounds) * 10)).tolist()
    codec = [grid[7], grid[3], min(grid[1], grid[5]), (grid[0] + grid[2] + grid[4] + grid[6]) / 4]
    inner = at[(at > 0) & (at < places - 1)]
    if not inner.size:
        return [*codec, *[0.0] * 16]
    on, before, after = (float(np.add.reduce(line[inner + shift])) / inner.size for shift in (0, -1, 1))
    share, mean = inner.size / places, float(np.add.reduce(line)) / places
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
