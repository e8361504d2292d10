"""Architecture of the network of `lattice-net`: classes, sizes, and the names and shapes of its weights.

    8 crops (5, 48, 48) → 4 convolutions → mean and maximum over the crops ─┐
    evidence (70,), standardised ───────────────────────────────────────────┴→ hidden → logits (6,)

The graph that runs, the training and the check of the weights are all built from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import WeightsError
from deepclarity.models.verdict import Kind

from .crops import EVIDENCE_SIZE

CLASSES = (Kind.CLEAN, Kind.PIXELATED, Kind.SOFT, Kind.BLOCKY, Kind.MOSAIC, Kind.PIXEL_ART)
CHANNELS = 16, 32, 48, 48
HIDDEN = 64
INPUT_CHANNELS = 5
"""Luma, its gradients along x and y, and those of them that lie on block edges."""
LUMA_GAIN, MAX_EVIDENCE = 0.25, 6.0
"""Factor of luma against the gradients; bound of the standardised evidence."""


def shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the weights by name."""
    found: dict[str, tuple[int, ...]] = {"evidence.mean": (EVIDENCE_SIZE,), "evidence.scale": (EVIDENCE_SIZE,)}
    for number, (before, after) in enumerate(zip((INPUT_CHANNELS, *CHANNELS), CHANNELS, strict=False)):
        found |= {f"conv{number}.weight": (after, before, 3, 3), f"conv{number}.bias": (after,)}
    found |= {"hidden.weight": (HIDDEN, 2 * CHANNELS[-1] + EVIDENCE_SIZE), "hidden.bias": (HIDDEN,)}
    return found | {"logits.weight": (len(CLASSES), HIDDEN), "logits.bias": (len(CLASSES),)}


def check_shapes(tensors: Mapping[str, NDArray[np.floating]], *, name: str) -> None:
    """Raise WeightsError, which begins with `name`, unless `tensors` have these shapes and are finite."""
    expected = shapes()
    if unmatched := sorted(expected.keys() ^ tensors.keys()):
        problem = "is missing" if unmatched[0] in expected else "is not part of the network"
        raise WeightsError(f"{name}: tensor '{unmatched[0]}' {problem}; weights of another architecture")
    for key, shape in expected.items():
        if tensors[key].shape != shape:
            raise WeightsError(f"{name}: {key} has shape {tensors[key].shape}, not {shape}; another architecture")
        if not np.isfinite(tensors[key]).all():
            raise WeightsError(f"{name}: {key} contains NaN or infinite values")
