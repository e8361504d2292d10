"""Index mapping of nearest-neighbour enlargement."""

from __future__ import annotations

import numpy as np

from deepclarity.pipelines.repair_plan import Starts


def enlarged_index(length: int, factor: float, phase: float) -> Starts:
    """For every sample of `length`, the index of the small sample it repeats; blocks begin at phase + k * factor."""
    block: Starts = np.floor((np.arange(length) + 0.5 - phase) / factor).astype(np.intp)
    block -= block[0]
    return block
