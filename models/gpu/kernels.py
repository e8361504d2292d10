"""The contract of the repair's kernels: block means, and resampling with the blend by a map.

CuPy's versions take one pass over memory each, torch's a pass per tap. Both follow the same tables (`filters`) and
give the same integers, up to float32 rounding of ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .filters import AxisFilter, BlockCells


@dataclass(frozen=True, slots=True)
class Blend:
    """Where a repair applies: the result is `base` where `map` is 0, the repair where it is 1, a mixture between."""

    map: Tensor
    """(n, rows, columns) float32, 0..1, at any resolution: interpolated bilinearly."""
    base: Tensor
    """(n, height, width): the picture as it was, at the size of the result, same dtype."""


class Kernels(Protocol):
    """Operations on planes (n, height, width), uint8 or uint16, on one device."""

    name: str
    """`cupy` or `torch`."""

    def block_means(self, planes: Tensor, columns: BlockCells, rows: BlockCells) -> Tensor:
        """Average each block to one sample, rounded: (n, rows, columns), same dtype."""
        ...

    def resample(
        self,
        source: Tensor,
        across: AxisFilter,
        down: AxisFilter,
        *,
        max_value: int,
        limit: int,
        out: Tensor,
        blend: Blend | None = None,
        finite: Tensor | None = None,
    ) -> None:
        """Filter `source` along both axes into `out` (n, height, width), rounded and limited to 0..limit.

        A float32 `source` is a network's output in 0..1, and is rounded to levels 0..max_value first. `finite`: (1,)
        int32 that is set to 0 if that output holds NaN or infinity.
        """
        ...
