"""Training pairs: whole pictures small and large, from which patches are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_FLAT_LEVELS = 5.0
"""A patch that varies less than this teaches little; it is drawn again once."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a network is given, and what it should make of it."""

    small: Bytes
    """(h, w)"""
    large: Bytes
    """(h * scale, w * scale)"""


Shelf = Mapping[int, Sequence[Pair]]
"""Pairs by scale."""


class Stock(Protocol):
    """Where pairs come from."""

    def shelf(self, chapter: int) -> Shelf:
        """The pairs of one chapter of the training, the same ones each time it is asked for."""
        ...


def cut(pairs: Sequence[Pair], *, count: int, patch_px: int, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """`count` patches (count, 1, patch_px, patch_px) and what they should become, turned and mirrored alike.

    A picture is drawn by the square root of its area. Every small side must be `patch_px` at least.
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
    turns, mirrored = int(rng.integers(0, 4)), bool(rng.integers(0, 2))
    return _turned(small, turns, mirrored), _turned(large, turns, mirrored)


def _turned(patch: Bytes, turns: int, mirrored: bool) -> Bytes:
    turned = np.rot90(patch, turns)
    return turned[:, ::-1] if mirrored else turned
