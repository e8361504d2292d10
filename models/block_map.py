"""Block map: where in a picture a lattice of enlarged pixels is borne out by the samples, cell by cell.

A cell that was one enlarged pixel varies by codec noise only. Two comparisons distinguish it from anything else, each
over a neighbourhood of cells, with weights that keep a few strong outlines from dominating:

- with the variance of the same cells moved by half a block. In blocks, those contain the steps between cells; in an
  ordinary picture, and in noise, both variances are alike;
- with the variance that the slope between the neighbouring cells' means would cause within a smooth picture: a ramp
  of slope g per cell has the variance g² / 12. A cell with texture of its own varies more.

A single cell that varies strongly among blocks is something sharp drawn over them, such as writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Plane, Region

Floats = NDArray[np.float32]
Starts = NDArray[np.intp]

_IN_REGION = 0.5
"""Share of the map from which a cell counts as part of a region."""
_MIN_REGION_CELLS = 9
_NEIGHBOURHOOD = 7
"""Side, in cells, of the area over which variances are compared."""
_SHIFTED_FULL, _SHIFTED_NONE = 0.3, 0.55
"""Variance over that of shifted cells: the map is 1 up to the first ratio and 0 from the second."""
_SLOPE_FULL, _SLOPE_NONE = 0.8, 1.2
"""The same for the variance over that of the slope."""
_WEIGHT_VARIANCE = 20.0
"""Squared levels above which a cell's weight falls. All thresholds are in 8-bit levels."""
_SLOPE_NOISE = 0.3
_MIN_STEPS = 0.3
"""Squared levels of steps below which there is neither evidence nor anything to gain."""
_DRAWN = ((25.0, 0.7), (60.0, 0.25))
"""(variance, ratio to the shifted cells) above both of which a cell has something drawn over it."""
_DRAWN_BESIDE = (4.0, 0.35)
"""The same for a cell beside such a one."""
_WRITING = (300.0, 0.3)
"""The same for a cell with a sharp outline: all cells around it are left out, since a stroke may fill them evenly."""


@dataclass(frozen=True, slots=True)
class BlockMap:
    """How far a picture bears a lattice of enlarged pixels out."""

    share: Floats
    """The share, 0..1, to which each cell is one enlarged pixel: (rows, columns) float32."""
    support: float
    """The same for the entire picture, 0..1: the mean over the cells, each counted by the steps around it."""
    columns: Starts
    """First sample column of each cell."""
    rows: Starts
    """First sample row of each cell."""
    size: tuple[int, int]
    """(width, height) of the picture."""

    def regions(self) -> list[Region]:
        """Bounding boxes of the connected areas of enlarged pixels, largest first; single cells are left out."""
        found = cv2.connectedComponentsWithStats((self.share >= _IN_REGION).astype(np.uint8), connectivity=8)[2]
        x, y = np.append(self.columns, self.size[0]), np.append(self.rows, self.size[1])
        boxes = sorted((each.tolist() for each in found[1:]), key=lambda box: -box[4])
        return [
            Region(int(x[i]), int(y[j]), int(x[i + across] - x[i]), int(y[j + down] - y[j]))
            for i, j, across, down, cells in boxes
            if cells >= _MIN_REGION_CELLS
        ]


def block_map(luma: Plane, columns: Starts, rows: Starts, *, max_value: int = 255) -> BlockMap:
    """Test a lattice on a picture.

    `luma`: (height, width) in 0..max_value; `columns`, `rows`: first sample of each cell, ascending from 0.
    """
    level = np.float32((255 / max_value) ** 2)
    sizes = _uniform(columns, luma.shape[1]), _uniform(rows, luma.shape[0])
    if sizes[0] and sizes[1]:
        means, variances, shifted = _uniform_statistics(luma, (sizes[0], sizes[1]), (len(columns), len(rows)))
    else:
        means, variances, shifted = _statistics(luma, columns, rows)
    variances, shifted = variances * level, shifted * level
    slopes = _squared_slopes(means) * (level / np.float32(12))
    evidence = shifted / (_WEIGHT_VARIANCE + variances + shifted)
    steps = _mean(evidence)
    by_shift = _mean(variances / (_WEIGHT_VARIANCE + variances + shifted)) / (steps + 1e-6)
    weight = 1 / (_WEIGHT_VARIANCE + variances + slopes)
    by_slope = _mean(variances * weight) / (_mean(slopes * weight) + _SLOPE_NOISE / _WEIGHT_VARIANCE)
    share = np.minimum(_falling(by_shift, _SHIFTED_FULL, _SHIFTED_NONE), _falling(by_slope, _SLOPE_FULL, _SLOPE_NONE))
    share *= np.clip(steps * (_WEIGHT_VARIANCE / _MIN_STEPS) - 1, 0, 1)
    share[_drawn_over(variances, variances / (shifted + 1e-3))] = 0
    support = float((share * evidence).sum() / (evidence.sum() + 1e-6))
    return BlockMap(share, support, columns, rows, (luma.shape[1], luma.shape[0]))


def _uniform(starts: Starts, length: int) -> int:
    """The block size if all blocks but a partial last one have the same, else 0."""
    sizes = np.diff(starts)
    if len(sizes) < 2 or starts[0] != 0 or (sizes != sizes[0]).any() or length - starts[-1] > sizes[0]:
        return 0
    return int(sizes[0])


def _uniform_statistics(luma: Plane, block: tuple[int, int], count: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Means, variances, and mean variances of the shifted cells around each, by area averages: the fast path."""
    samples = luma.astype(np.float32)
    squares = samples * samples
    half = (block[0] + 1) // 2, (block[1] + 1) // 2
    means, variances = _area_statistics(samples, squares, block)
    _, inner = _area_statistics(samples[half[1] :, half[0] :], squares[half[1] :, half[0] :], block)
    missing = count[1] - inner.shape[0], count[0] - inner.shape[1]
    corners = cv2.copyMakeBorder(inner, 1, missing[0], 1, missing[1], cv2.BORDER_REPLICATE)
    partial = count[1] - means.shape[0], count[0] - means.shape[1]
    means, variances = (
        cast("Floats", cv2.copyMakeBorder(each, 0, partial[0], 0, partial[1], cv2.BORDER_REPLICATE))
        for each in (means, variances)
    )
    return means, variances, _around(cast("Floats", corners))


def _area_statistics(samples: Floats, squares: Floats, block: tuple[int, int]) -> tuple[Floats, Floats]:
    """Mean and variance of each complete block, beginning at the first sample."""
    size = samples.shape[1] // block[0], samples.shape[0] // block[1]
    part = slice(size[1] * block[1]), slice(size[0] * block[0])
    mean, square = (cv2.resize(each[part], size, interpolation=cv2.INTER_AREA) for each in (samples, squares))
    return cast("Floats", mean), cast("Floats", np.maximum(square - mean * mean, 0))


def _statistics(luma: Plane, columns: Starts, rows: Starts) -> tuple[Floats, Floats, Floats]:
    """The same for blocks of any sizes, from integral images."""
    sums = cv2.CV_32S if luma.dtype == np.uint8 else cv2.CV_64F  # integers are much faster, and 16 bits overflow them
    table = cv2.integral2(luma, sdepth=sums, sqdepth=cv2.CV_64F)
    x, y = np.append(columns, luma.shape[1]), np.append(rows, luma.shape[0])
    between = [np.concatenate([edges[:1], (edges[:-1] + edges[1:] + 1) // 2, edges[-1:]]) for edges in (x, y)]
    means, variances = _of_cells(table, x, y)
    return means, variances, _around(_of_cells(table, between[0], between[1])[1])


def _of_cells(table: tuple[NDArray[np.generic], NDArray[np.generic]], x: Starts, y: Starts) -> tuple[Floats, Floats]:
    """Mean and variance of the samples between the edges `x` and `y`."""
    share = np.outer(1 / np.maximum(np.diff(y), 1), 1 / np.maximum(np.diff(x), 1))
    mean, square = (_between(sums, x, y) * share for sums in table)
    square -= mean * mean
    return mean.astype(np.float32), np.maximum(square, 0).astype(np.float32)


def _around(corners: Floats) -> Floats:
    """The mean of the four values around each cell: (n + 1, m + 1) to (n, m)."""
    return (corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:]) / np.float32(4)


def _between(sums: NDArray[np.generic], x: Starts, y: Starts) -> NDArray[np.float64]:
    """The sums of the samples between neighbouring edges, from an integral image."""
    corners = np.take(np.take(cast("NDArray[np.float64]", sums), y, axis=0), x, axis=1)
    rows = corners[1:] - corners[:-1]
    return rows[:, 1:] - rows[:, :-1]


def _squared_slopes(means: Floats) -> Floats:
    """gx² + gy² of the cells' means, per cell."""
    padded = cv2.copyMakeBorder(means, 1, 1, 1, 1, cv2.BORDER_REFLECT)
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    return (across * across + down * down).astype(np.float32)


def _mean(values: NDArray[np.floating]) -> Floats:
    side = _NEIGHBOURHOOD, _NEIGHBOURHOOD
    return cast("Floats", cv2.blur(values.astype(np.float32), side, borderType=cv2.BORDER_REFLECT))


def _falling(ratio: Floats, full: float, none: float) -> Floats:
    """1 up to `full`, 0 from `none`, and a ramp between."""
    return cast("Floats", np.clip((none - ratio) / np.float32(none - full), 0, 1).astype(np.float32))


def _drawn_over(variances: Floats, ratio: Floats) -> NDArray[np.bool_]:
    """Cells with something sharp drawn over the blocks, and those beside them that it touches."""
    strong = np.zeros(variances.shape, np.bool_)
    for variance, share in _DRAWN:
        strong |= (variances > variance) & (ratio > share)
    beside = _grown(strong) & (variances > _DRAWN_BESIDE[0]) & (ratio > _DRAWN_BESIDE[1])
    writing = _grown((variances > _WRITING[0]) & (ratio > _WRITING[1]))
    touched: NDArray[np.bool_] = strong | beside | writing
    return touched


def _grown(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells and all that touch them."""
    return cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
