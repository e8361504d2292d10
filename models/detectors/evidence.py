"""What speaks for blocks in a picture, laid open for people to look at; slower than a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from deepclarity.models.verdict import Blocks, Plane

from .grid import along_axes
from .lattice import Floats, Lattice, folded, ratios

_CELL_PX = 32
_CLIP_LEVELS = 16.0
_CERTAIN = 1.5
"""Log ratio of the steps on block edges to those between from which on a cell is as bright as can be."""


@dataclass(frozen=True, slots=True)
class AxisEvidence:
    """The steps of luma along one axis, folded at the best period."""

    period_px: float
    phase_px: float
    fit: float | None
    """How well the lattice explains the profile, as `Lattice.fit`; None where it was not looked for here."""
    steps: Floats
    """Mean step, in 8-bit levels above its surroundings, at each whole pixel behind a block edge: (block,)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a picture is taken for blocks, or is not."""

    x: AxisEvidence | None
    """None where nothing repeats along the axis."""
    y: AxisEvidence | None
    heat: Floats
    """How much harder luma steps at block edges than between, along both axes, in cells of about 32 px: 0..1."""


def evidence(luma: Plane, blocks: Blocks | None = None, *, max_value: int = 255) -> Evidence:
    """What `luma`, (height, width) in 0..max_value, at least 13 px a side, shows at the edges of `blocks`.

    Without `blocks`, the best lattice along each axis is taken, as `grid` finds it.
    """
    (across, found_x), (down, found_y) = along_axes(luma, max_value=max_value)
    x = _chosen(found_x, blocks.width_px, blocks.phase_x_px) if blocks else found_x
    y = _chosen(found_y, blocks.height_px, blocks.phase_y_px) if blocks else found_y
    return Evidence(_axis(across, x), _axis(down, y), _heat(luma, x, y, 255 / max_value))


def _chosen(found: Lattice | None, period_px: float, phase_px: float) -> Lattice:
    """The lattice that a verdict names."""
    alike = found is not None and abs(found.period_px - period_px) < 0.01 * period_px
    return Lattice(period_px, phase_px, fit=found.fit if found and alike else 0.0)


def _axis(profile: Floats, lattice: Lattice | None) -> AxisEvidence | None:
    if lattice is None:
        return None
    steps = folded(profile, lattice.period_px, lattice.phase_px)
    return AxisEvidence(lattice.period_px, lattice.phase_px, lattice.fit or None, steps)


def _heat(luma: Plane, x: Lattice | None, y: Lattice | None, to_levels: float) -> Floats:
    """The lesser of both axes: blocks have both."""
    cells = tuple(max(1, side // _CELL_PX) for side in luma.shape)
    if x is None or y is None:
        return np.zeros(cells, np.float32)
    across = _along(luma, x, cells, to_levels)
    down = _along(luma.T, y, cells[::-1], to_levels).T
    heat: Floats = (np.minimum(across, down) / _CERTAIN).clip(0, 1)
    return heat


def _along(luma: Plane, lattice: Lattice, cells: tuple[int, ...], to_levels: float) -> Floats:
    """Log ratio of steps along the rows, on to off the edges: (rows, columns) of cells."""
    steps = cv2.absdiff(luma[:, 1:], luma[:, :-1]).astype(np.float32) * np.float32(to_levels)
    rows = np.minimum(steps, _CLIP_LEVELS)
    starts = np.arange(cells[0]) * luma.shape[0] // cells[0]
    heights = np.diff(starts, append=luma.shape[0])
    bands = np.add.reduceat(rows, starts, axis=0) / heights[:, None].astype(np.float32)
    return ratios(bands, lattice, cells[1])
