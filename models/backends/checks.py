"""What every back end asks of the plane it is given and of the scale, and how it words a failure."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import InputError, UsageError
from deepclarity.models.verdict import Plane


def check_plane(luma: Plane, max_value: int) -> Plane:
    """`luma` in one piece of memory, once it is seen to be (height, width), uint8 or uint16, not empty."""
    check_luma(luma, max_value)
    return as_plane(np.ascontiguousarray(luma))


def check_luma(luma: Plane, max_value: int) -> None:
    """InputError where `luma` is not (height, width), uint8 or uint16 of this machine's byte order, or is empty."""
    if luma.ndim != 2 or luma.size == 0:
        raise InputError(f"luma must be (height, width) and not empty, not {luma.shape}")
    if luma.dtype not in (np.uint8, np.uint16):
        raise InputError(f"luma must be uint8 or uint16, not {luma.dtype}")
    if not 0 < max_value <= np.iinfo(luma.dtype).max or (luma.dtype == np.uint8 and max_value != 255):
        raise InputError(f"max_value {max_value} does not fit {luma.dtype} luma")


def as_plane(array: NDArray[Any]) -> Plane:
    """`array` itself: NumPy's and OpenCV's signatures forget that the dtype stays what it was."""
    return cast(Plane, array)


def first_line(error: Exception) -> str:
    """The first line of a foreign error's message, which may have dozens, or its name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def check_scale(name: str, scale: int, scales: tuple[int, ...]) -> None:
    """Raise `UsageError` for a scale that `name` was not trained for."""
    if scale not in scales:
        known = ", ".join(str(s) for s in scales)
        raise UsageError(f"{name} enlarges by {known}, not by {scale}")
