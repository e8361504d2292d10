"""Contrast of gradients on the edges of a lattice to those between them: sharpness, spread, coverage, maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lattice import Floats, Lattice, edge_indices

_MIN_BUSY_SHARE = 0.15
"""Share of the picture that must hold any gradients: a logo on black is no evidence."""
_FLOOR = 0.1
_POWER_FLOOR = 0.5
"""Added to numerator and denominator of ratios: weaker gradients, in 8-bit levels and their squares, do not count."""


def sharpness(power: Floats, lattice: Lattice) -> float:
    """Log ratio of `power`, (bands, length), on to off the edges: over the picture, or the half where it is highest."""
    sums, counts = _on_and_off(power, lattice, 2)
    middle = len(power) // 2
    bands, heights = ([0, middle], [[middle], [len(power) - middle]]) if middle else ([0], [[len(power)]])
    quarters = np.add.reduceat(sums, bands, axis=1)
    amounts = counts * np.array(heights)
    total = np.concatenate([quarters.sum(axis=(1, 2))[:, None], quarters.sum(axis=1), quarters.sum(axis=2)], axis=1)
    amount = np.concatenate([amounts.sum(axis=(1, 2))[:, None], amounts.sum(axis=1), amounts.sum(axis=2)], axis=1)
    on, off = total / amount
    ratio = (on + _POWER_FLOOR) / (off + _POWER_FLOOR)
    return float(np.log(ratio[on > 0.5 * on[0]].max(initial=1e-3)))


def spread_and_coverage(gradients: Floats, lattice: Lattice) -> tuple[float, float]:
    """`Lattice.spread` and `Lattice.coverage`, from `gradients`, (bands, length).

    Both are a percentile of the log ratio, on to off the edges, over cells. Spread weights cells by the gradients they
    hold, so that an empty sky does not outvote the detail below it; coverage counts cells.
    """
    sections = max(1, min(8, int(gradients.shape[1] / max(24, 4 * lattice.period_px))))
    sums, counts = _on_and_off(gradients, lattice, sections)
    on, off = sums / counts
    strength = np.maximum(on, off).ravel()
    busy = strength > 3 * _FLOOR
    if busy.sum() <= _MIN_BUSY_SHARE * busy.size:
        return 0.0, 0.0
    ratio = np.log((on + _FLOOR) / (off + _FLOOR)).ravel()[busy]
    order = np.argsort(ratio)
    ratio, share = ratio[order], np.cumsum(strength[busy][order])
    return float(ratio[int(np.searchsorted(share, 0.7 * share[-1]))]), float(ratio[int(0.7 * ratio.size)])


def contrast_map(gradients: Floats, lattice: Lattice, sections: int) -> Floats:
    """Log ratio of `gradients`, (bands, length), on to off the edges in each of `sections`: (bands, sections).

    Gradients below 0.1 levels do not count: the ratio is 0 where there are none.
    """
    sums, counts = _on_and_off(gradients, lattice, sections)
    on, off = np.maximum(sums / counts, 0)  # a section without an edge uses its neighbour's
    ratio: Floats = np.log((on + _FLOOR) / (off + _FLOOR))
    return ratio


def fold_profile(profile: Floats, period_px: float, phase_px: float) -> Floats:
    """The mean of `profile`, (length,), at each distance from the last edge: (period rounded up,)."""
    edges = edge_indices(profile.size, period_px, phase_px)
    inside = np.arange(edges[0], profile.size) if edges.size else np.arange(0)
    length = int(np.ceil(period_px))
    distance = np.minimum(inside - edges[np.searchsorted(edges, inside, side="right") - 1], length - 1)
    sums = np.bincount(distance, profile[inside], minlength=length)
    return (sums / np.maximum(np.bincount(distance, minlength=length), 1)).astype(np.float32)


def _on_and_off(values: Floats, lattice: Lattice, sections: int) -> tuple[Floats, NDArray[np.intp]]:
    """Sums over `values`, (bands, length), on and off the edges, (2, bands, sections); and counts, (2, 1, sections)."""
    length = values.shape[1]
    edges = edge_indices(length, lattice.period_px, lattice.phase_px)
    starts = np.arange(sections + 1) * length // sections
    first = np.minimum(np.searchsorted(edges, starts), edges.size)
    on = np.add.reduceat(values[:, edges], np.minimum(first[:-1], edges.size - 1), axis=1)
    every = np.add.reduceat(values, starts[:-1], axis=1)
    on_count = np.maximum(first[1:] - first[:-1], 1)
    off_count = np.maximum(starts[1:] - starts[:-1] - on_count, 1)
    return np.stack([on, every - on]), np.stack([on_count, off_count])[:, None]
