"""Architecture of the artifact reducers: plain convolutions on the grid of 4:2:0 chroma.

    luma (1, h, w) ── space to depth by 2 → (4, h/2, w/2) ─┐
    Cb, Cr (2, h/2, w/2) ──────────────────────────────────┤
    quantiser, known (2, h/2, w/2) ────────────────────────┴→ 3×3 convolutions with ReLU → (6, h/2, w/2)
                                                              × `GAIN`, added to luma and chroma

Samples are in 0..1 minus a half. The quantiser, on H.264's scale, is scaled by `scaled_quantiser`; the last plane says
whether it is known (1) or not (0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import WeightsError

FOLD = 2
SAMPLES = FOLD * FOLD + 2
"""Planes of luma and chroma on the folded grid."""
INPUTS = SAMPLES + 2
GAIN = 0.05
"""Of the last layer: what is added is small."""
_MIDDLE_QP, _QP_SPAN = 32.0, 12.0


@dataclass(frozen=True, slots=True)
class ReducerNet:
    """One network."""

    channels: int
    layers: int
    """Convolutions, first and last included."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights by name."""
        widths = [INPUTS, *[self.channels] * (self.layers - 1), SAMPLES]
        found: dict[str, tuple[int, ...]] = {}
        for number in range(self.layers):
            found[f"layer{number}.weight"] = (widths[number + 1], widths[number], 3, 3)
            found[f"layer{number}.bias"] = (widths[number + 1],)
        return found


def check_shapes(net: ReducerNet, tensors: Mapping[str, NDArray[np.floating]], *, name: str) -> None:
    """Raise WeightsError, which begins with `name`, unless `tensors` are finite and have the shapes of `net`."""
    expected = net.shapes()
    for key in sorted(expected.keys() | tensors.keys()):
        if key not in tensors or key not in expected or tensors[key].shape != expected[key]:
            raise WeightsError(f"{name}: tensor '{key}' is missing, unknown or of a wrong shape")
        if not np.isfinite(tensors[key]).all():
            raise WeightsError(f"{name}: {key} contains NaN or infinite values")


def scaled_quantiser(qp: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """A quantiser on H.264's scale as the network takes it."""
    return ((np.asarray(qp, np.float32) - _MIDDLE_QP) / _QP_SPAN).astype(np.float32)
