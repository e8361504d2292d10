"""What every method asks of a picture before it looks."""

from __future__ import annotations

from deepclarity.models.verdict import Plane

from .lattice import FEWEST_PX


def is_measurable(luma: Plane) -> bool:
    """Whether `luma`, (height, width), has 13 px a side and changes anywhere: if not, it is clean."""
    height, width = luma.shape
    if min(height, width) < FEWEST_PX:
        return False
    first = luma[0, 0]
    return bool(first != luma[height // 2, width // 2] or (luma != first).any())
