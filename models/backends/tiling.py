"""Tiled enlargement, for devices with too little memory for the entire picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deepclarity.errors import DeviceError
from deepclarity.models.verdict import Plane

Enlarge = Callable[[Plane], Plane]


def enlarge_tiled(
    enlarge: Enlarge,
    luma: Plane,
    *,
    scale: int,
    receptive_radius_px: int,
    out_of_memory: type[Exception],
    on_out_of_memory: Callable[[], None],
    min_side_px: int = 64,
) -> Plane:
    """Call `enlarge(luma)`; each time it raises `out_of_memory`, split the longer side in two and retry.

    `receptive_radius_px`, even: the halves overlap by that much, so that there is no seam. `on_out_of_memory` may
    release memory. A picture whose longer side is below `min_side_px` is not split: `DeviceError`.
    """
    try:
        return enlarge(luma)
    except out_of_memory as error:
        height, width = luma.shape
        if max(height, width) < max(min_side_px, 2 * receptive_radius_px + 2):
            raise DeviceError(
                f"out of device memory even for {width}x{height} luma; free some, or use --device cpu"
            ) from error
    on_out_of_memory()  # outside the handler: the exception's traceback would keep the memory allocated

    def enlarge_tile(tile: Plane) -> Plane:
        return enlarge_tiled(
            enlarge,
            tile,
            scale=scale,
            receptive_radius_px=receptive_radius_px,
            out_of_memory=out_of_memory,
            on_out_of_memory=on_out_of_memory,
            min_side_px=min_side_px,
        )

    if width > height:
        return _transposed_halves(enlarge_tile, luma, scale, receptive_radius_px)
    return _halves(enlarge_tile, luma, scale, receptive_radius_px)


def _halves(enlarge_tile: Enlarge, luma: Plane, scale: int, receptive_radius_px: int) -> Plane:
    middle = luma.shape[0] // 4 * 2  # even, so that both halves have the same 2×2 cells
    top = enlarge_tile(luma[: middle + receptive_radius_px])[: middle * scale]
    bottom = enlarge_tile(luma[middle - receptive_radius_px :])[receptive_radius_px * scale :]
    return np.concatenate([top, bottom])


def _transposed_halves(enlarge_tile: Enlarge, luma: Plane, scale: int, receptive_radius_px: int) -> Plane:
    return _halves(lambda tile: enlarge_tile(tile.T).T, luma.T, scale, receptive_radius_px).T
