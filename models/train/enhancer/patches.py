"""Training pairs of low- and high-resolution luma, and random patches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from deepclarity.models.verdict import Bytes

_FLAT_LEVELS = 5.0
"""Standard deviation below which a patch is too flat to learn from; it is redrawn once."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Input of a network and the target for its output."""

    small: Bytes
    """(h, w)"""
    large: Bytes
    """(h * scale, w * scale)"""


PairsByScale = Mapping[int, Sequence[Pair]]
"""The pairs of each scale."""


class PairDataset(Protocol):
    """A source of training pairs."""

    def pairs_by_scale(self, epoch: int) -> PairsByScale:
        """The pairs of one epoch, which is `renew_steps` long; always the same for the same epoch."""
        ...


def sample_patches(
    pairs: Sequence[Pair], *, count: int, patch_px: int, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """Draw `count` patches, (count, 1, patch_px, patch_px), and their targets, with the same random rotation and flip.

    Pictures are drawn with a weight of the square root of their area. Every small side must be at least `patch_px`.
    """
    weights = np.sqrt([pair.small.size for pair in pairs])
    chosen = rng.choice(len(pairs), count, p=weights / weights.sum())
    small, large = zip(*(_patch(pairs[i], patch_px, rng) for i in chosen), strict=True)
    return np.stack(small)[:, None], np.stack(large)[:, None]


def _patch(pair: Pair, side: int, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    scale = pair.large.shape[0] // pair.small.shape[0]
    for _ in range(2):
        y, x = (int(rng.integers(0, length - side + 1)) for length in pair.small.shape)
        small = pair.small[y : y + side, x : x + side]
        if small.std() >= _FLAT_LEVELS:
            break
    large = pair.large[y * scale : (y + side) * scale, x * scale : (x + side) * scale]
    turns, flip = int(rng.integers(0, 4)), bool(rng.integers(0, 2))
    return _rotate(small, turns, flip), _rotate(large, turns, flip)


def _rotate(patch: Bytes, turns: int, flip: bool) -> Bytes:
    rotated = np.rot90(patch, turns)
    return rotated[:, ::-1] if flip else rotated
