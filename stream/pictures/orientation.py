"""Applies a video's display matrix to pictures, which state no rotation of their own."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixels = TypeVar("Pixels", bound=NDArray[np.generic])

Matrix = tuple[int, ...]
"""3×3, row by row, as in `VideoInfo.display_matrix`: a point (x, y) is shown at (a x + c y, b x + d y)."""


def is_transposed(matrix: Matrix | None) -> bool:
    """Whether width and height change places."""
    return matrix is not None and abs(matrix[1]) > abs(matrix[0])


def as_shown(pixels: Pixels, matrix: Matrix | None) -> Pixels:
    """A picture, (height, width, …), rotated and flipped as players show it; by multiples of 90 degrees."""
    if matrix is None:
        return pixels
    transposed = is_transposed(matrix)
    shown = np.swapaxes(pixels, 0, 1) if transposed else pixels
    across, down = (matrix[3], matrix[1]) if transposed else (matrix[0], matrix[4])
    return np.ascontiguousarray(shown[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])  # type: ignore[return-value]
