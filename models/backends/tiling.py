"""Enlarging a picture in parts when the device has too little memory for the whole."""

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
    reach_px: int,
    too_big: type[Exception],
    on_too_big: Callable[[], None],
    floor_px: int = 64,
) -> Plane:
    """`enlarge(luma)`; each time it raises `too_big`, cut the longer side in two and try again.

    `reach_px`, even, is how far an output looks: the halves overlap by that much, so the seam is exact.
    `on_too_big` may give memory back. Sides shorter than `floor_px` are not cut: then it is a `DeviceError`.
    """
    try:
        return enlarge(luma)
    except too_big as error:
        height, width = luma.shape
        if max(height, width) < max(floor_px, 2 * reach_px + 2):
            raise DeviceError(
                f"out of device memory even for {width}x{height} luma; free some, or use --device cpu"
            ) from error
    on_too_big()  # outside the handler: the exception's traceback would keep the memory alive

    def part(piece: Plane) -> Plane:
        return enlarge_tiled(
            enlarge,
            piece,
            scale=scale,
            reach_px=reach_px,
            too_big=too_big,
            on_too_big=on_too_big,
            floor_px=floor_px,
        )

    if width > height:
        return _transposed_halves(part, luma, scale, reach_px)
    return _halves(part, luma, scale, reach_px)


def _halves(part: Enlarge, luma: Plane, scale: int, reach_px: int) -> Plane:
    cut = luma.shape[0] // 4 * 2  # even, so that both halves see the same 2×2 cells
    top = part(luma[: cut + reach_px])[: cut * scale]
    bottom = part(luma[cut - reach_px :])[reach_px * scale :]
    return np.concatenate([top, bottom])


def _transposed_halves(part: Enlarge, luma: Plane, scale: int, reach_px: int) -> Plane:
    return _halves(lambda piece: part(piece.T).T, luma.T, scale, reach_px).T
