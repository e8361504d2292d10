"""Lattices of evenly spaced block edges: data type, fit to a gradient profile, and search along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Plane

Floats = NDArray[np.float32]

MIN_SIDE_PX = 13
"""Shorter sides hold too few edges to score."""
MIN_BLOCK_PX = 1.45
MAX_BLOCK_PX = 64.0
CODEC_PERIOD_PX = 16

MAX_CODEC_TOLERANCE, _CODEC_DRIFT_PX = 0.05, 1.5
"""How far a lattice may be off a codec's in 16 pixels, in blocks, and over the length of the picture."""

_MAX_PEAKS = 4
_MAX_CANDIDATES = 3
_HARMONICS = np.arange(1, 9)
_PHASES = 64
"""Positions per period at which the harmonics are summed."""
_DRIFTS_PX = np.linspace(-0.5, 0.5, 7)
"""Errors of a period that are tried, by the drift of the last edge against the first."""
_SHIFTS_PX = np.linspace(-0.7, 0.7, 15)
_SAME_SUM = 1e-3
_NEARLY_EXACT_PX, _NEARLY_AS_GOOD = 2.5, 0.8
"""A size that drifts less than this from a multiple of half a pixel over the picture's length is taken for it, if that
fits nearly as well."""
_WAVES = np.exp(2j * np.pi * np.outer(_HARMONICS, np.arange(_PHASES) / _PHASES)).astype(np.complex64)

# The thresholds below were tuned on photos, plain and enlarged, as JPEG and H.264 of many qualities.
MIN_FIT = 5.0
MIN_FIT_EXPECTED = 4.0
_MIN_CORRELATION = 0.15
_MIN_SHARPNESS = 0.95
_MIN_CODEC_SHARPNESS = {4: 1.3, 8: 2.8, 16: 2.8, 32: 2.0}
"""By period: coarse JPEG and MPEG leave edges at their own blocks, so blocks in the same positions must be sharper."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Evenly spaced edges along one axis; an edge lies before pixel round(phase_px + k * period_px)."""

    period_px: float
    phase_px: float
    fit: float
    """Correlation of the profile with edges at these positions, times the square root of the profile's length:
    chance alone reaches 3 to 4.5, whatever the size of the picture."""
    sharpness: float = 0.0
    """Log ratio of squared gradients on the edges to those between; smooth pictures stay below 1."""
    spread: float = 0.0
    """Log ratio of clipped gradients on the edges to those between, exceeded by the cells that hold three tenths of all
    gradients."""
    coverage: float = 0.0
    """The same, exceeded by three tenths of the cells, whatever they hold."""
    profile_length: int = 0
    """Number of samples of the profile."""
    expected: bool = False
    """Whether the other axis has the same period: then it was not chosen by chance, and a lower fit is enough."""

    @property
    def matches_codec_period(self) -> bool:
        """Whether the pattern repeats with a codec's 16-pixel blocks, at any phase."""
        if self.period_px > 31.9:
            return True
        return near_codec_period(1 / self.period_px, self.profile_length)

    @property
    def on_codec_grid(self) -> bool:
        """Whether the transform blocks of a codec would have their edges at exactly these positions."""
        offset = min(self.phase_px, self.period_px - self.phase_px)
        return round(self.period_px, 1) in _MIN_CODEC_SHARPNESS and offset < 0.5

    @property
    def margin(self) -> float:
        """How far the evidence exceeds that of pictures without blocks; 0 is the threshold."""
        sharp = _MIN_CODEC_SHARPNESS[round(self.period_px)] if self.on_codec_grid else _MIN_SHARPNESS
        # In a long profile even the scale of a ruler fits: the lattice must explain part of the variance.
        fit = max(MIN_FIT_EXPECTED if self.expected else MIN_FIT, _MIN_CORRELATION * sqrt(self.profile_length))
        # The fewer the edges, the more easily they coincide with a few strong outlines by chance.
        fit += max(0.0, self.period_px - 16) / 4
        return min(4 * (self.sharpness - sharp), 2 * (self.fit - fit))


def near_codec_period(edges_per_px: float, length: int) -> bool:
    """Whether edges this frequent repeat after 16 pixels, as far as a profile of `length` samples can show."""
    rounds = CODEC_PERIOD_PX * edges_per_px
    tolerance = min(MAX_CODEC_TOLERANCE, _CODEC_DRIFT_PX * rounds / max(length, 1))
    return abs(rounds - round(rounds)) < tolerance


def is_scorable(luma: Plane) -> bool:
    """Whether `luma`, (height, width), has sides of at least 13 px and is not flat; otherwise it counts as clean."""
    height, width = luma.shape
    if min(height, width) < MIN_SIDE_PX:
        return False
    first = luma[0, 0]
    return bool(first != luma[height // 2, width // 2] or (luma != first).any())


def best_lattice(profile: Floats) -> Lattice | None:
    """The lattice that fits `profile`, (length,), best; None for a flat profile."""
    return _best(profile, _candidates(profile))


def lattice_at(profile: Floats, period_px: float) -> Lattice | None:
    """The lattice of exactly this period that fits `profile`, (length,), best; None for a flat profile."""
    freq = 1 / period_px
    phase = float(_rank(np.array([freq]), *_spectrum(profile))[1][0])
    return _best(profile, [(freq, phase)])


def lattice_with_integer_period(profile: Floats, period: int) -> Lattice | None:
    """The lattice of this integer period, if one position in the period stands out of `profile`, (length,)."""
    rounds = profile.size // period
    if rounds < 4:
        return None
    sums = profile[: rounds * period].reshape(rounds, period).sum(axis=0)
    second, first = np.sort(sums)[-2:].tolist()
    if first <= 0 or second > 0.5 * first:  # finer blocks have edges between these as well
        return None
    offset = int(sums.argmax())
    edges = profile[offset::period]
    if any(min(means) < 0.5 * max(means) for means in ([float(edges[k::m].mean()) for k in range(m)] for m in (2, 3))):
        return None  # coarser blocks have no edge at every second or third position
    phase = offset + 1
    return _best(profile, [(1 / period, (phase - profile.size // 2 - 1) / period)])


def _candidates(profile: Floats) -> list[tuple[float, float]]:
    """(edges per pixel, phase in periods) of the few lattices that explain the peaks of the spectrum best."""
    length = profile.size
    spectrum, size = _spectrum(profile)
    freq = _frequencies(np.abs(spectrum), size)
    freq = freq[(freq <= 1 / MIN_BLOCK_PX) & (freq >= max(1 / MAX_BLOCK_PX, 3 / length))]
    order, phase = _rank(freq, spectrum, size)
    chosen: list[int] = []
    for i in order[: 4 * _MAX_CANDIDATES].tolist():
        if all(abs(freq[i] - freq[other]) * length > 0.3 for other in chosen):
            chosen.append(i)
        if len(chosen) == _MAX_CANDIDATES:
            break
    return [(float(freq[i]), float(phase[i])) for i in chosen]


def _rank(
    freq: NDArray[np.float64], spectrum: NDArray[np.complexfloating[Any, Any]], size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The indices of `freq`, strongest first, and the phase of each: 0..1 of its period, from the profile's middle."""
    cycles = freq[:, None] * _HARMONICS
    bins = np.rint((cycles - np.rint(cycles)) * size).astype(np.intp)
    waves = spectrum[np.abs(bins)]
    waves = np.where(bins < 0, waves.conj(), waves)
    # Above half a cycle per pixel a harmonic is an alias of a lower one.
    distinct = np.maximum(1, np.floor(0.5 / freq + 0.01))[:, None] >= _HARMONICS
    sums = (np.where(distinct, waves, 0) @ _WAVES).real
    strength = sums.max(axis=1) / np.sqrt(distinct.sum(axis=1))
    phase = sums.argmax(axis=1) / _PHASES
    return np.argsort(-strength), phase


def _spectrum(profile: Floats) -> tuple[NDArray[np.complexfloating[Any, Any]], int]:
    """The zero-padded spectrum of the profile and its size; phases count from the middle, so that they vary slowly."""
    size = 2 << (profile.size - 1).bit_length()
    half = profile.size // 2
    centred = np.zeros(size, np.float32)
    centred[: profile.size - half] = profile[half:]
    centred[size - half :] = profile[:half]
    return np.fft.rfft(centred), size


def _frequencies(strength: Floats, size: int) -> NDArray[np.float64]:
    """Edges per pixel that explain the highest peaks: as one of the harmonics, or aliased at the Nyquist frequency."""
    low = int(size / MAX_BLOCK_PX)
    padded = np.append(strength, strength[-2])
    inner = padded[low:]
    top = np.flatnonzero((inner[1:-1] >= inner[:-2]) & (inner[1:-1] >= inner[2:])) + 1 + low
    if top.size > _MAX_PEAKS:
        top = top[np.argpartition(padded[top], -_MAX_PEAKS)[-_MAX_PEAKS:]]
    left, mid, right = padded[top - 1], padded[top], padded[top + 1]
    freq = (top + 0.5 * (left - right) / np.minimum(left - 2 * mid + right, -1e-9)) / size
    return np.concatenate([(freq[:, None] / _HARMONICS).ravel(), 1 - freq, (1 - freq) / 2])


def _best(profile: Floats, candidates: list[tuple[float, float]]) -> Lattice | None:
    """The candidate that fits `profile`, (length,), best; None for a flat profile or no candidates."""
    profile = profile - profile.mean()
    energy = sqrt(float(np.dot(profile, profile)) / profile.size)
    if energy < 1e-3:
        return None
    profile = profile / energy
    middle = profile.size // 2 + 1
    tried = [_fit_lattice(profile, 1 / freq, phase / freq + middle) for freq, phase in candidates]
    if not tried:
        return None
    best = max(tried, key=lambda lattice: lattice.fit)
    shift = 1 / (_snap_to_fraction(best.period_px, profile.size)[1] or 6)
    near = [_fit_lattice(profile, best.period_px, best.phase_px + s) for s in (-shift, shift) if shift < 1]
    return max([best, *near], key=lambda lattice: lattice.fit)


def _fit_lattice(profile: Floats, period: float, phase: float) -> Lattice:
    period, phase, fit = measure_fit(profile, period, phase)
    return Lattice(period, phase, fit, profile_length=profile.size)


def measure_fit(profile: Floats, period: float, phase: float) -> tuple[float, float, float]:
    """Refined period and phase of a lattice near these, and its fit to `profile`, (length,), of unit variance."""
    period, denominator = _snap_to_fraction(period, profile.size)
    if denominator:
        return _snapped_fit(profile, period, phase, denominator)
    refined = _refined_fit(profile, period, phase)
    simple = round(2 * period) / 2
    if abs(simple - period) * profile.size < _NEARLY_EXACT_PX * period:
        # In blocks that cover a part of the picture, an exact size fits hardly better than one close to it.
        exact = _snapped_fit(profile, simple, refined[1], 1 if simple == round(simple) else 2)
        if exact[2] > _NEARLY_AS_GOOD * refined[2]:
            return exact
    return refined


def _snapped_fit(profile: Floats, period: float, phase: float, denominator: int) -> tuple[float, float, float]:
    """The same for a period that is a fraction with this denominator."""
    # Between these phases the rounded edges do not change: the middle represents all of them.
    phase = (round((phase + 0.5) * denominator - 0.5) + 0.5) / denominator - 0.5
    phase %= period
    # The edges repeat after `stride` pixels: each of the few in one round is a plain slice.
    stride = round(period * denominator)
    firsts = {floor(phase + period * k - 0.5) % stride for k in range(denominator)}
    slices = [profile[first::stride] for first in firsts]
    on, count = sum(float(np.add.reduce(each)) for each in slices), sum(each.size for each in slices)
    return period, phase, _fit_of(on, count, profile.size)


def _refined_fit(profile: Floats, period: float, phase: float) -> tuple[float, float, float]:
    """The best of the periods and phases near these whose edges, once rounded, are at other places.

    Edges of a fractional period change places with hundredths of a pixel: the spectrum alone is not exact enough.
    """
    length = profile.size
    count = floor(length / period)
    nearest = round((length / 2 - phase) / period)
    middle = phase + nearest * period  # an edge near the middle: turning the lattice about it keeps phases comparable
    order = np.arange(count) - count // 2
    periods = period * (1 + _DRIFTS_PX / length)
    lines = (order * periods[:, None])[:, None, :] + (_SHIFTS_PX[:, None] + (middle - 0.5))
    indices = np.floor(lines).astype(np.intp)
    sums = np.take(profile, indices, mode="clip").sum(axis=2)
    drift = int(sums.max(axis=1).argmax())
    best, equal = float(periods[drift]), _SHIFTS_PX[sums[drift] >= sums[drift].max() - _SAME_SUM]
    first = (middle + float(equal.mean())) % best  # the middle of those with the same edges represents them
    edges = edge_indices(length, best, first)
    return best, first, _fit_of(float(np.add.reduce(profile[edges])), edges.size, length)


def _fit_of(on: float, count: int, length: int) -> float:
    """The fit of `count` edges that hold `on` of a profile of unit variance."""
    return on * sqrt(length / (count * (length - count))) if 0 < count < length else 0.0


def _snap_to_fraction(period: float, length: int) -> tuple[float, int]:
    """A small fraction that cannot be distinguished from `period` over `length` pixels, and its denominator; or 0."""
    for denominator in range(1, 9):
        exact = round(period * denominator) / denominator
        if abs(exact - period) < 0.3 * period / length:
            return exact, denominator
    return period, 0


def remove_codec_period(profile: Floats) -> Floats:
    """`profile`, (length,), minus the part that repeats every 16 pixels, as a codec's blocks do."""
    rounds = profile.size // CODEC_PERIOD_PX
    if not rounds:
        return profile
    full = rounds * CODEC_PERIOD_PX
    periodic = np.full(rounds, 1 / rounds, np.float32) @ profile[:full].reshape(-1, CODEC_PERIOD_PX)
    rest = np.empty_like(profile)
    np.subtract(profile[:full].reshape(-1, CODEC_PERIOD_PX), periodic, out=rest[:full].reshape(-1, CODEC_PERIOD_PX))
    np.subtract(profile[full:], periodic[: profile.size - full], out=rest[full:])
    return rest


def edge_indices(length: int, period: float, phase: float) -> NDArray[np.intp]:
    """Indices 0..length - 1 of a profile where the lattice has its edges: index i lies before pixel i + 1."""
    positions = phase % period + period * np.arange(-1, int(length / period) + 2) - 0.5
    edges: NDArray[np.intp] = np.floor(positions).astype(np.intp)
    inside: NDArray[np.intp] = edges[(edges >= 0) & (edges < length)]
    return inside
