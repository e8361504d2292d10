"""Validation of the planes and scales given to back ends and detectors, and formatting of third-party errors."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import InputError, UsageError
from deepclarity.models.verdict import Plane


def check_plane(luma: Plane, max_value: int) -> Plane:
    """Validate `luma` as `check_luma` does; returns it C-contiguous."""
    check_luma(luma, max_value)
    return as_plane(np.ascontiguousarray(luma))


def check_luma(luma: Plane, max_value: int) -> None:
    """Raise InputError unless `luma` is (height, width), not empty, uint8 or uint16 in native byte order.

    Likewise if `max_value` does not fit its dtype.
    """
    if luma.ndim != 2 or luma.size == 0:
        raise InputError(f"luma must be (height, width) and not empty, not {luma.shape}")
    if luma.dtype not in (np.uint8, np.uint16):
        raise InputError(f"luma must be uint8 or uint16, not {luma.dtype}")
    if not 0 < max_value <= np.iinfo(luma.dtype).max or (luma.dtype == np.uint8 and max_value != 255):
        raise InputError(f"max_value {max_value} does not fit {luma.dtype} luma")


def as_plane(array: NDArray[Any]) -> Plane:
    """`array` itself, typed as a plane: the signatures of NumPy and OpenCV lose the dtype."""
    return cast(Plane, array)


def first_line(error: Exception) -> str:
    """The first line of a third-party error's message, which may have dozens of lines; without a message, its type."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def check_scale(name: str, scale: int, scales: tuple[int, ...]) -> None:
    """Raise `UsageError` for a scale that `name` was not trained for."""
    if scale not in scales:
        choices = ", ".join(str(s) for s in scales)
        raise UsageError(f"{name} enlarges by {choices}, not by {scale}")
