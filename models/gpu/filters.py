"""Tables that the GPU kernels follow: which samples make up a block, and the taps of a separable filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class BlockCells:
    """The blocks along one axis: block k averages the samples clip(first[k] + i, 0, last[k]) for i < count."""

    first: Ints
    """(blocks,); may be negative where the first block is partial."""
    last: Ints
    """(blocks,): the last sample that a block may use; later ones repeat it."""
    count: int
    """Samples per block."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class AxisFilter:
    """A filter along one axis: sample i of the result is the sum of weights[i, k] * source[first[i] + k]."""

    first: Ints
    """(outputs,); first + taps never exceeds the source."""
    weights: Weights
    """(outputs, taps)."""

    @property
    def taps(self) -> int:
        """Number of source samples per output sample."""
        return int(self.weights.shape[1])

    @property
    def is_copy(self) -> bool:
        """Whether it keeps every sample as it is, in place."""
        return self.taps == 1 and bool((self.first == np.arange(len(self.first))).all())


def filter_of(indices: NDArray[np.intp], weights: NDArray[np.float64], length: int) -> AxisFilter:
    """The filter with the given taps, both (outputs, taps); indices outside 0..length - 1 repeat the edge."""
    indices = np.clip(indices, 0, length - 1)
    first = indices.min(axis=1)
    taps = int((indices.max(axis=1) - first).max()) + 1
    first = np.minimum(first, length - taps)
    table = np.zeros((len(first), taps))
    rows = np.repeat(np.arange(len(first)), indices.shape[1])
    np.add.at(table, (rows, (indices - first[:, None]).ravel()), weights.ravel())
    return AxisFilter(first.astype(np.int32), table.astype(np.float32))
