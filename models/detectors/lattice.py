"""Evenly spaced edges along one axis: finding them in a profile of steps, and weighing the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FEWEST_PX = 13
"""Sides shorter than this hold too few edges to say anything."""
SMALLEST_BLOCK_PX = 1.45
LARGEST_BLOCK_PX = 64.0
CODEC_PX = 16

_PEAKS = 4
_TRIED = 3
_HARMONICS = np.arange(1, 9)
_TURNS = 64
_WAVES = np.exp(2j * np.pi * np.outer(_HARMONICS, np.arange(_TURNS) / _TURNS)).astype(np.complex64)

# The thresholds below were tuned on photos, plain and enlarged, as JPEG and H.264 of many qualities.
FIT = 5.0
FIT_EXPECTED = 4.0
_CORRELATION = 0.15
_SHARPNESS = 0.95
_CODEC_SHARPNESS = {4: 1.3, 8: 2.8, 16: 2.8, 32: 2.0}
"""Coarse JPEG and MPEG leave steps at their own block edges: more is asked of blocks in the same places."""
_BUSY = 0.15
"""Share of the picture that must hold anything at all: a logo on black is no evidence."""
_FLOOR = 0.1
_POWER_FLOOR = 0.5
"""Added above and below in ratios: what is quieter than this, in 8-bit levels and their squares, says nothing."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Evenly spaced edges along one axis; an edge lies before pixel round(phase_px + k * period_px)."""

    period_px: float
    phase_px: float
    fit: float
    """Correlation of the profile with edges at these places, times the root of the number of places:
    chance alone reaches 3 to 4.5, whatever the size of the picture."""
    sharpness: float = 0.0
    """Log ratio of squared steps on the edges to those between; smooth pictures stay below 1."""
    spread: float = 0.0
    """Log ratio of clipped steps on the edges to those between: what cells with three tenths of all steps reach."""
    cover: float = 0.0
    """The same, as three cells in ten reach it, whatever they hold."""
    places: int = 0
    """How many places the profile has."""
    expected: bool = False
    """Whether the other axis has the same period: then chance has had no choice, and a lesser fit will do."""

    @property
    def in_codec_rhythm(self) -> bool:
        """Whether the pattern repeats with a codec's 16-pixel blocks, of whatever phase."""
        blocks = CODEC_PX / self.period_px
        return self.period_px > 31.9 or abs(blocks - round(blocks)) < 0.05

    @property
    def on_codec_grid(self) -> bool:
        """Whether the transform blocks of a codec would have their edges at exactly these places."""
        offset = min(self.phase_px, self.period_px - self.phase_px)
        return round(self.period_px, 1) in _CODEC_SHARPNESS and offset < 0.5

    @property
    def margin(self) -> float:
        """How far the evidence goes beyond what pictures without blocks show; 0 is the threshold."""
        sharp = _CODEC_SHARPNESS[round(self.period_px)] if self.on_codec_grid else _SHARPNESS
        # Long profiles betray even a scale on a ruler: the lattice must explain some of what there is.
        fit = max(FIT_EXPECTED if self.expected else FIT, _CORRELATION * sqrt(self.places))
        # The fewer the edges, the easier chance lays them over a few strong outlines.
        fit += max(0.0, self.period_px - 16) / 4
        return min(4 * (self.sharpness - sharp), 2 * (self.fit - fit))


def best_lattice(profile: Floats) -> Lattice | None:
    """The lattice that explains `profile`, (places,), best; None where there is nothing to explain."""
    return _best(profile, _proposals(profile))


def lattice_at(profile: Floats, period_px: float) -> Lattice | None:
    """The lattice of this very period that explains `profile`, (places,), best."""
    freq = 1 / period_px
    turn = float(_folded(np.array([freq]), *_spectrum(profile))[1][0])
    return _best(profile, [(freq, turn)])


def lattice_of_whole_blocks(profile: Floats, period: int) -> Lattice | None:
    """The lattice of this whole period, if one place in the period stands out of `profile`, (places,)."""
    rounds = profile.size // period
    if rounds < 4:
        return None
    folded = profile[: rounds * period].reshape(rounds, period).sum(axis=0)
    second, first = np.sort(folded)[-2:].tolist()
    if first <= 0 or second > 0.5 * first:  # finer blocks have edges between these as well
        return None
    place = int(folded.argmax())
    edges = profile[place::period]
    if any(min(sums) < 0.5 * max(sums) for sums in ([float(edges[k::m].mean()) for k in range(m)] for m in (2, 3))):
        return None  # coarser blocks leave every second or third place empty
    phase = place + 1
    return _best(profile, [(1 / period, (phase - profile.size // 2 - 1) / period)])


def _proposals(profile: Floats) -> list[tuple[float, float]]:
    """Edges per pixel and turn of the few lattices that the peaks of the spectrum speak for."""
    length = profile.size
    spectrum, size = _spectrum(profile)
    freq = _frequencies(np.abs(spectrum), size)
    freq = freq[(freq <= 1 / SMALLEST_BLOCK_PX) & (freq >= max(1 / LARGEST_BLOCK_PX, 3 / length))]
    order, turn = _folded(freq, spectrum, size)
    chosen: list[int] = []
    for i in order[: 4 * _TRIED].tolist():
        if all(abs(freq[i] - freq[known]) * length > 0.3 for known in chosen):
            chosen.append(i)
        if len(chosen) == _TRIED:
            break
    return [(float(freq[i]), float(turn[i])) for i in chosen]


def _folded(
    freq: NDArray[np.float64], spectrum: NDArray[np.complexfloating[Any, Any]], size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The order of `freq`, strongest first, and where in its period, 0..1 from the middle, each has its edges."""
    cycles = freq[:, None] * _HARMONICS
    bins = np.rint((cycles - np.rint(cycles)) * size).astype(np.intp)
    waves = spectrum[np.abs(bins)]
    waves = np.where(bins < 0, waves.conj(), waves)
    # Beyond half a cycle per pixel a harmonic repeats the lower ones.
    told = np.maximum(1, np.floor(0.5 / freq + 0.01))[:, None] >= _HARMONICS
    folded = (np.where(told, waves, 0) @ _WAVES).real
    strength = folded.max(axis=1) / np.sqrt(told.sum(axis=1))
    turn = folded.argmax(axis=1) / _TURNS
    return np.argsort(-strength), turn


def _spectrum(profile: Floats) -> tuple[NDArray[np.complexfloating[Any, Any]], int]:
    """The profile's spectrum, finely sampled, its phases counted from the middle so that they vary slowly."""
    size = 2 << (profile.size - 1).bit_length()
    half = profile.size // 2
    centred = np.zeros(size, np.float32)
    centred[: profile.size - half] = profile[half:]
    centred[size - half :] = profile[:half]
    return np.fft.rfft(centred), size


def _frequencies(strength: Floats, size: int) -> NDArray[np.float64]:
    """Edges per pixel that explain the highest peaks: as any harmonic, or folded back at the Nyquist rate."""
    low = int(size / LARGEST_BLOCK_PX)
    padded = np.append(strength, strength[-2])
    inner = padded[low:]
    top = np.flatnonzero((inner[1:-1] >= inner[:-2]) & (inner[1:-1] >= inner[2:])) + 1 + low
    if top.size > _PEAKS:
        top = top[np.argpartition(padded[top], -_PEAKS)[-_PEAKS:]]
    left, mid, right = padded[top - 1], padded[top], padded[top + 1]
    freq = (top + 0.5 * (left - right) / np.minimum(left - 2 * mid + right, -1e-9)) / size
    return np.concatenate([(freq[:, None] / _HARMONICS).ravel(), 1 - freq, (1 - freq) / 2])


def _best(profile: Floats, proposals: list[tuple[float, float]]) -> Lattice | None:
    """The proposal that fits `profile`, (places,), best; None where there is nothing to fit."""
    profile = profile - profile.mean()
    energy = sqrt(float(np.dot(profile, profile)) / profile.size)
    if energy < 1e-3:
        return None
    profile = profile / energy
    middle = profile.size // 2 + 1
    tried = [fitted(profile, 1 / freq, turn / freq + middle) for freq, turn in proposals]
    if not tried:
        return None
    best = max(tried, key=lambda lattice: lattice.fit)
    shift = 1 / (_snapped(best.period_px, profile.size)[1] or 6)
    near = [fitted(profile, best.period_px, best.phase_px + s) for s in (-shift, shift) if shift < 1]
    return max([best, *near], key=lambda lattice: lattice.fit)


def fitted(profile: Floats, period: float, phase: float) -> Lattice:
    """The lattice at about this place, with its correlation with `profile`, (places,), of unit variance."""
    period, phase, fit = measured(profile, period, phase)
    return Lattice(period, phase, fit, places=profile.size)


def measured(profile: Floats, period: float, phase: float) -> tuple[float, float, float]:
    """Period, phase and fit of what `fitted` finds."""
    period, denominator = _snapped(period, profile.size)
    if denominator:
        # Between these phases the rounded edges do not change: the middle stands for all of them.
        phase = (round((phase + 0.5) * denominator - 0.5) + 0.5) / denominator - 0.5
    phase %= period
    if denominator:
        # The edges repeat after `stride` pixels: each of the few in one round is a plain slice.
        stride = round(period * denominator)
        firsts = {floor(phase + period * k - 0.5) % stride for k in range(denominator)}
        parts = [profile[first::stride] for first in firsts]
        on, count = sum(float(np.add.reduce(part)) for part in parts), sum(part.size for part in parts)
    else:
        edges = edge_places(profile.size, period, phase)
        on, count = float(np.add.reduce(profile[edges])), edges.size
    free = profile.size - count
    return period, phase, on * sqrt(profile.size / (count * free)) if count and free > 0 else 0.0


def without_rhythm(profile: Floats) -> Floats:
    """`profile`, (places,), less what repeats after a codec's 16 pixels."""
    rounds = profile.size // CODEC_PX
    if not rounds:
        return profile
    whole = rounds * CODEC_PX
    rhythm = np.full(rounds, 1 / rounds, np.float32) @ profile[:whole].reshape(-1, CODEC_PX)
    quiet = np.empty_like(profile)
    np.subtract(profile[:whole].reshape(-1, CODEC_PX), rhythm, out=quiet[:whole].reshape(-1, CODEC_PX))
    np.subtract(profile[whole:], rhythm[: profile.size - whole], out=quiet[whole:])
    return quiet


def _snapped(period: float, length: int) -> tuple[float, int]:
    """A small fraction that cannot be told from `period` over `length` pixels, with its denominator; or 0."""
    for denominator in range(1, 9):
        exact = round(period * denominator) / denominator
        if abs(exact - period) < 0.3 * period / length:
            return exact, denominator
    return period, 0


def edge_places(length: int, period: float, phase: float) -> NDArray[np.intp]:
    """Places 0..length - 1 of a profile where the lattice has its edges: place i lies before pixel i + 1."""
    places = phase % period + period * np.arange(-1, int(length / period) + 2) - 0.5
    edges: NDArray[np.intp] = np.floor(places).astype(np.intp)
    inside: NDArray[np.intp] = edges[(edges >= 0) & (edges < length)]
    return inside


def sharpness(power: Floats, lattice: Lattice) -> float:
    """Log ratio of `power`, (bands, places), on to off the edges, in the picture or its most telling half."""
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


def spread_and_cover(steps: Floats, lattice: Lattice) -> tuple[float, float]:
    """Log ratio of `steps`, (bands, places), on to off the edges, as part of the picture reaches it.

    The first by the steps that the cells hold, so that an empty sky does not outvote what there is to see below it;
    the second by cells.
    """
    cut = max(1, min(8, int(steps.shape[1] / max(24, 4 * lattice.period_px))))
    sums, counts = _on_and_off(steps, lattice, cut)
    on, off = sums / counts
    held = np.maximum(on, off).ravel()
    busy = held > 3 * _FLOOR
    if busy.sum() <= _BUSY * busy.size:
        return 0.0, 0.0
    ratio = np.log((on + _FLOOR) / (off + _FLOOR)).ravel()[busy]
    order = np.argsort(ratio)
    ratio, share = ratio[order], np.cumsum(held[busy][order])
    return float(ratio[int(np.searchsorted(share, 0.7 * share[-1]))]), float(ratio[int(0.7 * ratio.size)])


def ratios(steps: Floats, lattice: Lattice, cut: int) -> Floats:
    """Log ratio of `steps`, (bands, places), on to off the edges in each of `cut` parts: (bands, cut).

    Below 0.1 levels steps count for nothing, so that it is 0 where there is nothing.
    """
    sums, counts = _on_and_off(steps, lattice, cut)
    on, off = np.maximum(sums / counts, 0)  # a part without an edge borrows its neighbour's
    ratio: Floats = np.log((on + _FLOOR) / (off + _FLOOR))
    return ratio


def folded(profile: Floats, period_px: float, phase_px: float) -> Floats:
    """The mean of `profile`, (places,), at each distance behind the last edge: (whole pixels of a block,)."""
    edges = edge_places(profile.size, period_px, phase_px)
    inside = np.arange(edges[0], profile.size) if edges.size else np.arange(0)
    length = int(np.ceil(period_px))
    behind = np.minimum(inside - edges[np.searchsorted(edges, inside, side="right") - 1], length - 1)
    sums = np.bincount(behind, profile[inside], minlength=length)
    return (sums / np.maximum(np.bincount(behind, minlength=length), 1)).astype(np.float32)


def _on_and_off(values: Floats, lattice: Lattice, cut: int) -> tuple[Floats, NDArray[np.intp]]:
    """Sums over `values`, (bands, places), on and off the edges, (2, bands, cut); and counts, (2, 1, cut)."""
    length = values.shape[1]
    edges = edge_places(length, lattice.period_px, lattice.phase_px)
    starts = np.arange(cut + 1) * length // cut
    first = np.minimum(np.searchsorted(edges, starts), edges.size)
    on = np.add.reduceat(values[:, edges], np.minimum(first[:-1], edges.size - 1), axis=1)
    every = np.add.reduceat(values, starts[:-1], axis=1)
    on_count = np.maximum(first[1:] - first[:-1], 1)
    off_count = np.maximum(starts[1:] - starts[:-1] - on_count, 1)
    return np.stack([on, every - on]), np.stack([on_count, off_count])[:, None]
