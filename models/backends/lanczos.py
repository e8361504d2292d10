"""Lanczos interpolation: the tier without a network, fallback and baseline of all others."""

from __future__ import annotations

import cv2
import numpy as np

from deepclarity.errors import UsageError
from deepclarity.models.verdict import Plane

from .checks import as_plane, check_plane


class Lanczos:
    """Lanczos interpolation over 8×8 neighbours (Duchon 1979), by OpenCV."""

    name = "lanczos"
    backend = "opencv"
    scales: tuple[int, ...] = (1, 2, 3, 4)

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype; any integer scale from 1 on."""
        if scale < 1:
            raise UsageError(f"lanczos enlarges by integer factors from 1, not by {scale}")
        luma = check_plane(luma, max_value)
        height, width = luma.shape
        large = cv2.resize(luma, (width * scale, height * scale), interpolation=cv2.INTER_LANCZOS4)
        if max_value < np.iinfo(luma.dtype).max:
            large = np.minimum(large, luma.dtype.type(max_value))  # OpenCV clips the overshoot at 65535 only
        return as_plane(large)

    def close(self) -> None:
        """Nothing to release."""
