"""Local repair: a repair is applied only where the picture bears its blocks out; every other sample stays as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.block_map import BlockMap, Floats, block_map
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Blocks, Bytes, Plane
from deepclarity.stream.frame import Planes
from deepclarity.stream.planes import resized_planes

from .repair_plan import Starts, axis_of
from .restore import restore

Wide = TypeVar("Wide", NDArray[np.uint16], NDArray[np.uint32])

MIN_SUPPORT, _KEEP_SUPPORT = 0.1, 0.05
"""Support of the block map from which a repair is applied at all, and down to which it is continued."""
_BEGIN, _KEEP = 0.7, 0.4
"""Share of the block map from which a cell is repaired, and down to which that is continued: no flicker."""
_MIN_ISLAND = 1 / 50
"""Areas of fewer cells than this share of the largest count only amid a large one: elsewhere they are mostly chance."""
_RISE = 1 / 3
"""How much the share of a cell may rise from frame to frame: the repair fades in, and ends at once."""


@dataclass(frozen=True, slots=True)
class RepairMask:
    """Where to apply a repair, cell by cell of a lattice."""

    share: Floats
    """(rows, columns), 0..1: 0 or 1 but for cells in which the repair is fading in."""
    columns: Starts
    """First luma column of each cell."""
    rows: Starts
    """First luma row of each cell."""
    size: tuple[int, int]
    """(width, height) of the luma plane."""
    blocks: Blocks
    support: float = 1.0
    """How far the entire picture bears the blocks out, 0..1."""

    @property
    def is_empty(self) -> bool:
        """Whether the repair applies nowhere: the verdict is not borne out."""
        return not (self.share > 0).any()

    @property
    def is_full(self) -> bool:
        """Whether the repair applies everywhere."""
        return bool((self.share >= 1).all())

    def weights(self, size: tuple[int, int]) -> Bytes:
        """The weight of the repair for each sample of a plane of `size` (width, height), in 255ths; soft-edged."""
        cells = np.rint(self.share * 255).astype(np.uint8)
        wide = np.repeat(cells, np.diff(self.columns, append=self.size[0]), axis=1)
        weights = np.repeat(wide, np.diff(self.rows, append=self.size[1]), axis=0)
        soft = 2 * round(self.blocks.width_px / 6) + 1, 2 * round(self.blocks.height_px / 6) + 1
        if soft != (1, 1):
            blurred = cv2.blur(weights, soft, borderType=cv2.BORDER_REPLICATE)
            weights = cast("Bytes", cv2.min(weights, blurred))  # softened inwards: cells left out stay at 0
        if size != self.size:
            shrinks = size[0] < self.size[0] or size[1] < self.size[1]
            way = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST  # few mixed samples: they cost most
            weights = cast("Bytes", cv2.resize(weights, size, interpolation=way))
        return weights


def map_of(luma: Plane, blocks: Blocks, *, max_value: int = 255) -> BlockMap:
    """Test `blocks` on the picture itself; `luma`: (height, width) in 0..max_value."""
    height, width = luma.shape
    columns = axis_of(width, blocks.width_px, blocks.phase_x_px).starts()
    rows = axis_of(height, blocks.height_px, blocks.phase_y_px).starts()
    return block_map(luma, columns, rows, max_value=max_value)


def repair_mask(found: BlockMap, blocks: Blocks, *, last: RepairMask | None = None) -> RepairMask:
    """Where to repair a picture with this map of `blocks`.

    `last`: the mask of the previous frame, if it has the same lattice and scene: its cells are kept more easily.
    """
    continued = last is not None and not last.is_empty
    if found.support < (_KEEP_SUPPORT if continued else MIN_SUPPORT):
        share = np.zeros_like(found.share)
    elif last is None:
        share = _without_islands(found.share >= _BEGIN).astype(np.float32)
    else:
        repaired = _without_islands(found.share >= np.where(last.share > 0, np.float32(_KEEP), np.float32(_BEGIN)))
        share = np.minimum(repaired, last.share + np.float32(_RISE)).astype(np.float32)
    return RepairMask(share, found.columns, found.rows, found.size, blocks, found.support)


def _without_islands(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`cells` without connected areas that are small, and lie outside the bounding boxes of all large ones."""
    _, labels, found, centres = cv2.connectedComponentsWithStats(cells.astype(np.uint8), connectivity=8)
    areas, centres = found[1:], centres[1:]
    large = areas[:, cv2.CC_STAT_AREA] >= _MIN_ISLAND * areas[:, cv2.CC_STAT_AREA].max(initial=0)
    if large.all():
        return cells
    start = areas[large][:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    end = start + areas[large][:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    within = ((centres[:, None] >= start) & (centres[:, None] <= end)).all(axis=2).any(axis=1)
    kept: NDArray[np.bool_] = np.concatenate([[False], large | within])[labels]
    return kept


class MaskTracker:
    """The masks of consecutive frames, steady while the lattice and the scene stay the same."""

    def __init__(self) -> None:
        self._last: RepairMask | None = None

    def next(self, found: BlockMap, blocks: Blocks, *, cut: bool) -> RepairMask:
        """The mask of the next frame, from its map of `blocks`; `cut`: it starts a new scene."""
        last = self._last
        same = last is not None and not cut and last.blocks == blocks and last.size == found.size
        self._last = repair_mask(found, blocks, last=last if same else None)
        return self._last


def restore_locally(
    planes: Planes,
    *,
    enhancer: Enhancer,
    blocks: Blocks,
    size: tuple[int, int],
    max_value: int,
    subsampling: tuple[int, int] = (2, 2),
) -> Planes | None:
    """Repair one picture where it bears `blocks` out, and resize the rest; None if it bears them out nowhere.

    Arguments as for `restore`.
    """
    mask = repair_mask(map_of(planes[0], blocks, max_value=max_value), blocks)
    if mask.is_empty:
        return None
    repaired = restore(
        planes, enhancer=enhancer, blocks=blocks, size=size, max_value=max_value, subsampling=subsampling
    )
    same = size == mask.size
    return blend(planes if same else resized_planes(planes, size, subsampling), repaired, mask)


def blend(before: Planes, after: Planes, mask: RepairMask) -> Planes:
    """`before` where the mask is 0, bit for bit, `after` where it is 1, and a mixture between.

    Both have equal shapes and dtypes; their size may differ from that of the mask.
    """
    if mask.is_full:
        return after
    weights = mask.weights((before[0].shape[1], before[0].shape[0]))
    chroma = _fitted(weights, before[1].shape)
    luma, blue, red = (
        _blended(one, other, each) for one, other, each in zip(before, after, (weights, chroma, chroma), strict=True)
    )
    return luma, blue, red


def _fitted(weights: Bytes, shape: tuple[int, ...]) -> Bytes:
    """The luma's weights for a chroma plane of `shape`."""
    if weights.shape == shape:
        return weights
    down, across = round(weights.shape[0] / shape[0]), round(weights.shape[1] / shape[1])
    thinned = weights[::down, ::across]
    if thinned.shape == shape:
        return np.ascontiguousarray(thinned)
    return cast("Bytes", cv2.resize(weights, shape[::-1], interpolation=cv2.INTER_AREA))


def _blended(before: Plane, after: Plane, weights: Bytes) -> Plane:
    if before.dtype == np.uint8:  # 255 * 255 + 127 fits into 16 bits
        return _mixed(before.astype(np.uint16), after.astype(np.uint16), weights.astype(np.uint16)).astype(np.uint8)
    return _mixed(before.astype(np.uint32), after.astype(np.uint32), weights.astype(np.uint32)).astype(np.uint16)


def _mixed(before: Wide, after: Wide, weights: Wide) -> Wide:
    """The rounded mean by weights of 0..255; exactly `before` at 0 and `after` at 255."""
    return (before * (255 - weights) + after * weights + 127) // 255
