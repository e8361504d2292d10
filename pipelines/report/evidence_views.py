"""Parts of the evidence picture: the outlined map, a magnified piece with its lattice, and the quantiser map."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from deepclarity.models.block_map import BlockMap
from deepclarity.models.verdict import Blocks, Bytes
from deepclarity.pipelines.repair_plan import axis_of
from deepclarity.stream.coding import QP_RANGE, Coding

_OUTLINE, _OUTLINE_EDGE, _LATTICE = (80, 230, 60), (0, 0, 0), (60, 60, 255)
_SHOWN = 0.5
_BLOCKS_ACROSS, _MIN_PIECE_PX = 14, 24
_SCALE_PX = 14


def outlined(frame: Bytes, found: BlockMap | None) -> Bytes:
    """`frame`, BGR of any size, with outlines around the cells that are repaired."""
    if found is None:
        return frame
    size = frame.shape[1], frame.shape[0]
    inside = (found.share >= _SHOWN).astype(np.uint8)
    wide = np.repeat(inside, np.diff(found.columns, append=found.size[0]), axis=1)
    mask = np.repeat(wide, np.diff(found.rows, append=found.size[1]), axis=0)
    mask = cast("Bytes", cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    drawn = frame.copy()
    cv2.drawContours(drawn, contours, -1, _OUTLINE_EDGE, 3)
    cv2.drawContours(drawn, contours, -1, _OUTLINE, 1)
    return drawn


def magnified(bgr: Bytes, blocks: Blocks | None, found: BlockMap | None, size: tuple[int, int]) -> Bytes:
    """The piece of `bgr`, (height, width, 3), with the clearest blocks, enlarged to `size` with the lattice on it.

    Without blocks, the middle of the picture.
    """
    height, width = bgr.shape[:2]
    block_px = max(blocks.width_px, blocks.height_px) if blocks else 4.0
    across = min(width, max(_MIN_PIECE_PX, round(_BLOCKS_ACROSS * block_px)))
    down = min(height, max(1, round(across * size[1] / size[0])))
    x, y = _clearest(found, (across, down)) if found is not None else ((width - across) // 2, (height - down) // 2)
    x, y = min(max(0, x), width - across), min(max(0, y), height - down)
    piece = cv2.resize(bgr[y : y + down, x : x + across], size, interpolation=cv2.INTER_NEAREST)
    if blocks is not None:
        for edge in axis_of(width, blocks.width_px, blocks.phase_x_px).starts() - x:
            at = round(float(edge) * size[0] / across)
            if 0 < at < size[0]:
                cv2.line(piece, (at, 0), (at, size[1]), _LATTICE, 1)
        for edge in axis_of(height, blocks.height_px, blocks.phase_y_px).starts() - y:
            at = round(float(edge) * size[1] / down)
            if 0 < at < size[1]:
                cv2.line(piece, (0, at), (size[0], at), _LATTICE, 1)
    return cast("Bytes", piece)


def _clearest(found: BlockMap, piece: tuple[int, int]) -> tuple[int, int]:
    """The corner of the piece, (width, height), that the map bears out most."""
    cells = max(1, len(found.columns) * piece[0] // found.size[0]), max(1, len(found.rows) * piece[1] // found.size[1])
    sums = cv2.boxFilter(found.share, -1, cells, anchor=(0, 0), normalize=True, borderType=cv2.BORDER_CONSTANT)
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(found.columns[column]), int(found.rows[row])


def quantiser_map(frame: Bytes, coding: Coding | None) -> Bytes | None:
    """The quantiser of each block over the frame in grey, dark for fine, bright for coarse; None if it is not known."""
    if coding is None:
        return None
    size = frame.shape[1], frame.shape[0]
    values = coding.qp_map if coding.qp_map is not None else np.full((1, 1), coding.qp, np.float32)
    levels = (values * (255 / QP_RANGE[1])).clip(0, 255).astype(np.uint8)
    colour = cv2.applyColorMap(cv2.resize(levels, size, interpolation=cv2.INTER_NEAREST), cv2.COLORMAP_VIRIDIS)
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    drawn = cv2.addWeighted(grey, 0.35, colour, 0.65, 0)
    ramp = cv2.applyColorMap(np.linspace(0, 255, size[0]).astype(np.uint8).reshape(1, -1), cv2.COLORMAP_VIRIDIS)
    drawn[-_SCALE_PX:] = ramp
    return cast("Bytes", drawn)
