"""Conversion between the arrays of callers and the planes of the pipeline, and validation of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import UsageError
from deepclarity.stream.files.still import Picture
from deepclarity.stream.frame import Plane, Planes

Image: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16] | NDArray[Any]"
"""(height, width, 3) in `Order`, (height, width, 4) with alpha last, or (height, width) grey; uint8 0..255 or uint16
0..65535."""

PlanarImage: TypeAlias = "Sequence[NDArray[Any]]"
"""Y', Cb, Cr: three 2-D arrays of one dtype; chroma as large as luma, or half as wide, or half as wide and high."""

Order = Literal["bgr", "rgb"]
"""Channel order of colour arrays: `bgr` as OpenCV has it, `rgb` as Pillow, imageio and PyTorch have it."""

_RATIOS = (1, 2)


@dataclass(frozen=True, slots=True)
class ColourImage:
    """A validated array and the picture that the pipeline sees."""

    array: Image
    order: Order
    picture: Picture

    def like(self, picture: Picture) -> Image:
        """`picture` as an array of the caller's layout and order; alpha is kept, resized where the size changed."""
        pixels: Image = picture.pixels
        if self.array.ndim == 2:
            return np.ascontiguousarray(picture.planes[0])
        if self.order == "rgb":
            pixels = pixels[:, :, ::-1]
        if picture.alpha is not None:
            pixels = np.dstack([pixels, picture.alpha])
        return np.ascontiguousarray(pixels)


@dataclass(frozen=True, slots=True)
class PlanarPicture:
    """Validated Y'CbCr planes."""

    planes: Planes
    max_value: int
    subsampling: tuple[int, int]
    """Luma samples per chroma sample, across and down."""


def check_order(order: str) -> None:
    """Raise UsageError where `order` is neither `bgr` nor `rgb`."""
    if order not in ("bgr", "rgb"):
        raise UsageError(f"order '{order}': use 'bgr' (OpenCV) or 'rgb' (Pillow).")


def colour_image(array: Image, order: Order, *, name: str = "image") -> ColourImage:
    """Validate an image array; UsageError says what it has to look like."""
    check_order(order)
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{name}: a NumPy array is needed, not {type(array).__name__}.")
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or (array.ndim == 3 and channels not in (3, 4)) or 0 in array.shape:
        raise UsageError(f"{name}: shape {array.shape}: use (height, width, 3), (height, width, 4) or (height, width).")
    _check_dtype(array, name)
    if array.ndim == 2:
        return ColourImage(array, order, Picture(np.ascontiguousarray(np.dstack([array] * 3))))
    pixels = array[:, :, :3] if order == "bgr" else array[:, :, 2::-1]
    alpha = np.ascontiguousarray(array[:, :, 3]) if channels == 4 else None
    return ColourImage(array, order, Picture(np.ascontiguousarray(pixels), alpha))


def planar_picture(planes: PlanarImage, max_value: int | None) -> PlanarPicture:
    """Validate Y'CbCr planes; `max_value` is 255 for uint8 and has to be given for uint16 (1023 for 10 bits)."""
    if len(planes) != 3 or any(not isinstance(plane, np.ndarray) or plane.ndim != 2 for plane in planes):
        raise UsageError("planes: three 2-D NumPy arrays are needed: Y', Cb, Cr.")
    luma = planes[0]
    for plane in planes:
        _check_dtype(plane, "planes")
        if plane.dtype != luma.dtype or 0 in plane.shape or (plane.shape != planes[-1].shape and plane is not luma):
            raise UsageError("planes: Y', Cb and Cr must have one dtype, and Cb and Cr one shape.")
    if luma.dtype == np.uint8:
        limit = 255
    elif max_value is None:
        raise UsageError("planes of uint16 need max_value: 1023 for 10 bits, 65535 for 16.")
    else:
        limit = max_value
    return PlanarPicture(_as_planes(planes), limit, _subsampling(luma, planes[1]))


def _as_planes(planes: PlanarImage) -> Planes:
    luma, blue, red = (np.ascontiguousarray(plane) for plane in planes)
    return luma, blue, red


def _subsampling(luma: Plane, chroma: Plane) -> tuple[int, int]:
    for across in _RATIOS:
        for down in _RATIOS:
            if chroma.shape == (-(-luma.shape[0] // down), -(-luma.shape[1] // across)):
                return across, down
    raise UsageError(f"planes: chroma {chroma.shape} does not fit luma {luma.shape}: use 4:4:4, 4:2:2 or 4:2:0.")


def _check_dtype(array: NDArray[Any], name: str) -> None:
    if array.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise UsageError(f"{name}: dtype {array.dtype}: use uint8 (0..255) or uint16 (0..65535).")
