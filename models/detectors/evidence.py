"""Evidence of blocks in a picture, for `--explain`: folded gradient profiles and a heat map; slower than a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from deepclarity.models.verdict import Blocks, Plane

from .edge_contrast import contrast_map, fold_profile
from .grid import profiles_and_lattices
from .lattice import Floats, Lattice

_CELL_PX = 32
_CLIP_LEVELS = 16.0
_MAX_LOG_RATIO = 1.5
"""Log ratio of the gradients on block edges to those between at which a cell has full brightness."""


@dataclass(frozen=True, slots=True)
class AxisEvidence:
    """The gradient profile of one axis, folded at the period of the blocks."""

    period_px: float
    phase_px: float
    fit: float | None
    """As `Lattice.fit`; None where the lattice was given, not found here."""
    gradients: Floats
    """Mean gradient, in 8-bit levels above its surroundings, at each distance in pixels from a block edge: (block,)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The reasons for a verdict on blocks."""

    x: AxisEvidence | None
    """None if nothing repeats along the axis."""
    y: AxisEvidence | None
    heat: Floats
    """How much stronger gradients are at block edges than between, along both axes, in cells of about 32 px: 0..1."""


def evidence(luma: Plane, blocks: Blocks | None = None, *, max_value: int = 255) -> Evidence:
    """Measure the gradients of `luma` at the edges of `blocks`.

    `luma`: (height, width) in 0..max_value, sides of at least 13 px. Without `blocks`, the best lattice of each axis is
    used, as `grid` finds it.
    """
    (profile_x, found_x), (profile_y, found_y) = profiles_and_lattices(luma, max_value=max_value)
    x = _lattice_of(found_x, blocks.width_px, blocks.phase_x_px) if blocks else found_x
    y = _lattice_of(found_y, blocks.height_px, blocks.phase_y_px) if blocks else found_y
    return Evidence(_axis(profile_x, x), _axis(profile_y, y), _heat_map(luma, x, y, 255 / max_value))


def _lattice_of(found: Lattice | None, period_px: float, phase_px: float) -> Lattice:
    """The lattice of a verdict's blocks, with the fit found here if the period agrees."""
    same = found is not None and abs(found.period_px - period_px) < 0.01 * period_px
    return Lattice(period_px, phase_px, fit=found.fit if found and same else 0.0)


def _axis(profile: Floats, lattice: Lattice | None) -> AxisEvidence | None:
    if lattice is None:
        return None
    gradients = fold_profile(profile, lattice.period_px, lattice.phase_px)
    return AxisEvidence(lattice.period_px, lattice.phase_px, lattice.fit or None, gradients)


def _heat_map(luma: Plane, x: Lattice | None, y: Lattice | None, to_levels: float) -> Floats:
    """The minimum over both axes: blocks have both."""
    cells = tuple(max(1, side // _CELL_PX) for side in luma.shape)
    if x is None or y is None:
        return np.zeros(cells, np.float32)
    along_x = _contrast_along_rows(luma, x, cells, to_levels)
    along_y = _contrast_along_rows(luma.T, y, cells[::-1], to_levels).T
    heat: Floats = (np.minimum(along_x, along_y) / _MAX_LOG_RATIO).clip(0, 1)
    return heat


def _contrast_along_rows(luma: Plane, lattice: Lattice, cells: tuple[int, ...], to_levels: float) -> Floats:
    """Log ratio of gradients along the rows, on to off the edges: (rows, columns) of cells."""
    gradients = cv2.absdiff(luma[:, 1:], luma[:, :-1]).astype(np.float32) * np.float32(to_levels)
    rows = np.minimum(gradients, _CLIP_LEVELS)
    starts = np.arange(cells[0]) * luma.shape[0] // cells[0]
    heights = np.diff(starts, append=luma.shape[0])
    bands = np.add.reduceat(rows, starts, axis=0) / heights[:, None].astype(np.float32)
    return contrast_map(bands, lattice, cells[1])
