"""Geometry of a frame repair: which samples are averaged, the network's factor, and how the result is resampled.

Positions are in samples from the plane's left or top edge, so that the centre of sample i is at i + 0.5; every step
keeps track of its sample positions, so the picture does not shift. Pure numbers: every executor carries out the same
plan, on the CPU with OpenCV (`restore`) or on a GPU (`gpu.executor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Blocks

_SCALE_TOLERANCE = 0.95
"""A network scale down to this share of the required one is accepted: the rest is a mild resize."""

Starts = NDArray[np.intp]
"""First sample of each block along an axis, (count,) ascending from 0."""

_MIN_CHROMA_BLOCK = 2.0
"""Minimum block size in chroma samples for averaging chroma: in smaller blocks, mixed samples do harm."""


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


@dataclass(frozen=True, slots=True)
class PlanePlan:
    """The repair of one plane: average its blocks, enlarge by the network, resample to the output."""

    columns: Starts
    """First column of each block."""
    rows: Starts
    """First row of each block."""
    size: tuple[int, int]
    """(width, height) of the result."""
    step: tuple[float, float]
    """(x, y): distance between samples of the result, in samples of what is resampled."""
    start: tuple[float, float]
    """(x, y): where the first sample of the result begins there."""
    scale: int | None = None
    """The network's factor; None: no network."""


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The repair of one frame, plane by plane."""

    luma: PlanePlan
    blue: PlanePlan
    red: PlanePlan

    @property
    def planes(self) -> tuple[PlanePlan, PlanePlan, PlanePlan]:
        """All three, in the order of a frame's planes."""
        return self.luma, self.blue, self.red


def plan_repair(
    shapes: Sequence[tuple[int, ...]],
    *,
    scales: tuple[int, ...],
    blocks: Blocks | None,
    size: tuple[int, int],
    subsampling: tuple[int, int] = (2, 2),
) -> RepairPlan:
    """Plan the repair of a frame whose planes have `shapes` (height, width), for an output of `size` (width, height).

    `scales`: the network's factors, ascending. `blocks`: the lattice to average first, in luma samples; None if the
    picture is merely small. `subsampling`: luma samples per chroma sample, horizontally and vertically. Chroma is
    averaged over its own lattice and interpolated, without the network: the eye does not resolve more of it.
    """
    height, width = shapes[0]
    lattice = blocks or Blocks(1, 1)
    across = axis_of(width, lattice.width_px, lattice.phase_x_px)
    down = axis_of(height, lattice.height_px, lattice.phase_y_px)
    scale = network_factor(scales, max(across.pitch * size[0] / width, down.pitch * size[1] / height))
    zoom = size[0] / width, size[1] / height
    luma = PlanePlan(
        across.starts(),
        down.starts(),
        size,
        step=(scale / across.pitch / zoom[0], scale / down.pitch / zoom[1]),
        start=(-across.origin * scale / across.pitch, -down.origin * scale / down.pitch),
        scale=scale,
    )
    blue, red = (_plan_chroma(shape, (across, down), size=size, zoom=zoom, ratios=subsampling) for shape in shapes[1:])
    return RepairPlan(luma, blue, red)


def network_factor(scales: tuple[int, ...], needed: float) -> int:
    """The smallest supported scale that reaches `needed` (within 5 %), else the largest."""
    return next((scale for scale in scales if scale >= needed * _SCALE_TOLERANCE), scales[-1])


@dataclass(frozen=True, slots=True)
class Sampling:
    """Where the samples of one grid lie on another, (x, y): as in `PlanePlan`."""

    step: tuple[float, float]
    start: tuple[float, float]


def plan_chroma_at_luma(plan: RepairPlan, subsampling: tuple[int, int]) -> tuple[Sampling, Sampling]:
    """For a network that needs chroma at the samples of luma: how chroma gets there, and from there to its result.

    The first is from the averaged chroma to the samples of the averaged luma, the second from the enlarged picture to
    the chroma of the result.
    """
    luma, chroma = plan.luma, plan.blue
    there_step, there_start, back_step, back_start = [], [], [], []
    for axis, (ratio, site) in enumerate(zip(subsampling, chroma_siting(subsampling), strict=True)):
        # Enlarged luma at g is at (g - start) / step in the result, and its chroma at (that - site) / ratio + 0.5.
        step, start = luma.step[axis], luma.start[axis]
        there_step.append((luma.scale or 1) / step / ratio * chroma.step[axis])
        there_start.append(chroma.start[axis] + chroma.step[axis] * ((-start / step - site) / ratio + 0.5))
        back_step.append(step * ratio)
        back_start.append(start + step * (site - ratio / 2))
    return (
        Sampling((there_step[0], there_step[1]), (there_start[0], there_start[1])),
        Sampling((back_step[0], back_step[1]), (back_start[0], back_start[1])),
    )


def chroma_siting(ratios: tuple[int, int]) -> tuple[float, float]:
    """Where the first chroma sample lies, (x, y) in luma samples from the picture's left and top edge.

    4:2:0 and 4:2:2 chroma is sited on the left of its two luma columns (MPEG-2, H.264 and HEVC default) and between
    its two luma rows. For a picture that keeps its size the siting does not matter.
    """
    return 0.5, ratios[1] / 2


def _plan_chroma(
    shape: tuple[int, ...],
    axes: tuple[Axis, Axis],
    *,
    size: tuple[int, int],
    zoom: tuple[float, float],
    ratios: tuple[int, int],
) -> PlanePlan:
    """Average chroma over the luma lattice `axes` if that is coarser than chroma itself, and interpolate."""
    starts, step, start = [], [], []
    for axis, ratio, site, factor, length in zip(axes, ratios, chroma_siting(ratios), zoom, shape[::-1], strict=True):
        edges, pitch, origin = _on_chroma(axis, ratio, length)
        starts.append(edges)
        step.append(1 / factor / pitch)
        # Sample i of the result is centred at luma position (i * ratio + site) / factor of the source.
        centre = (site / factor - site) / ratio + 0.5
        start.append((centre - origin) / pitch - step[-1] / 2)
    out = -(-size[0] // ratios[0]), -(-size[1] // ratios[1])
    return PlanePlan(starts[0], starts[1], out, step=(step[0], step[1]), start=(start[0], start[1]))


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
