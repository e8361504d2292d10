"""Looking for the one lattice that explains the steps along both axes: blocks are nearly always square.

Each axis alone proposes block sizes by the peaks of its spectrum, as in `lattice`; all are scored on both axes, and
the sum decides. A codec leaves a lattice of its own: where that comes first, a second look leaves its rhythm out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from .lattice import CODEC_PX, LARGEST_BLOCK_PX, SMALLEST_BLOCK_PX, Floats, Lattice, measured, without_rhythm

Pair = tuple[Lattice, Lattice]
_Measured = tuple[float, float, float]
"""Period, phase and fit."""

_HARMONICS = np.arange(1, 9)
_TURNS = 32
_ANGLES = 2 * np.pi * np.outer(_HARMONICS, np.arange(_TURNS) / _TURNS)
_WAVES = np.stack([np.cos(_ANGLES), -np.sin(_ANGLES)], axis=1).reshape(-1, _TURNS).astype(np.float32)
"""Real and imaginary parts of 8 harmonics, in turn → their sum at 32 places of a period."""
_TOLD = np.maximum(np.arange(9), 1)[:, None] >= _HARMONICS
"""Which of the harmonics 0 to 8 of them are, (9, 8), as the first always is."""
_NORMS = np.sqrt(2 / np.maximum(np.arange(9), 1)).astype(np.float32)
_SLOPES, _STARTS = np.array([*1 / _HARMONICS, -1, -1 / 2]), np.array([0] * _HARMONICS.size + [1, 1 / 2])
"""What explains a peak at f are edges as dense as slope · f + start: it is a harmonic, or one folded back at the
Nyquist rate."""

_PEAKS = 4
_SORTED = 24
_TRIED = 3
_LEAK_BINS = 2

_FINEST_CODEC_PX = 3.9
_QUIET_FIT = 12.0
"""What both fits together must reach, beside a codec's rhythm, for chance to be ruled out."""
_QUIET_SHARE = {True: 0.5, False: 0.2}
"""And which share of the codec's own: for lattices of 4 px, which leak more, and for larger ones."""
_OBLONG_GAIN, _OBLONG_SHARE, _OBLONG_CODEC_SHARE = 3.0, 0.1, 0.4
"""How much better two block sizes must explain the steps than one: blocks that are not square are rare."""
_OBLONG_FIT, _LONGEST_ASPECT = 4.5, 2.2
_FINER_FITS = ((2.0, 5.0), (4.0, 8.0))
"""Blocks of 2 or 4 px below a codec's grid of 8: how far their edges must stand out, along both axes together."""
_WEAK_FIT = 11.0


def search(x: Floats, y: Floats) -> Pair | None:
    """The lattices along x and y of `GradientProfiles.profile`s, (width - 1,) and (height - 1,); None where nothing repeats."""
    spectra = _Spectra(x, y)
    freq = spectra.proposals()
    if not freq.size or not x.any() or not y.any():
        return None
    scored = spectra.scored(freq)
    best = _best(x, y, scored)
    if not all(lattice.in_codec_rhythm for lattice in best):
        return best
    if max(lattice.period_px for lattice in best) < _FINEST_CODEC_PX:
        return best
    return _beside_codec(x, y, spectra, scored, best) or _below_codec(x, y, best) or best


@dataclass(frozen=True, slots=True)
class _Scored:
    """Edges as dense as `freq` a pixel, (n,), and how well they explain the steps."""

    freq: NDArray[np.float64]
    told: NDArray[np.intp]
    """How many harmonics say something new, (n,): beyond half a cycle per pixel they repeat the lower ones."""
    bins: NDArray[np.intp]
    """Where these stand in the spectra, and 0, where there is nothing, for the others: (n, 8)."""
    places: Floats
    """Along x and y, at 32 places of a period: (2, n, 32)."""
    score: Floats
    """The best of them, about as `Lattice.fit`: (2, n)."""

    def measured(self, profile: Floats, axis: int, i: int) -> _Measured:
        """Period, phase and fit of proposal `i` on `profile`."""
        turn, freq = int(self.places[axis, i].argmax()) / _TURNS, float(self.freq[i])
        return measured(profile, 1 / freq, turn / freq + profile.size // 2 + 1)


class _Spectra:
    """The spectra of both profiles over the same frequencies, phases counted from the middle of each."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.lengths = x.size, y.size
        self.size = size = 2 << (max(self.lengths) - 1).bit_length()
        centred = np.zeros((2, size), np.float32)
        for row, profile in zip(centred, (x, y), strict=True):
            half = profile.size // 2
            row[: profile.size - half] = profile[half:]
            row[size - half :] = profile[:half]
        self.waves = np.empty((2, size), np.complex64)
        """Of all frequencies, negative ones from behind: (2, size)."""
        numbers = self.waves.view(np.float32)
        # OpenCV leaves out the imaginary parts that are 0: of the first, which is not asked for, and of the middle one.
        cv2.dft(centred, dst=numbers[:, 1 : size + 1], flags=cv2.DFT_ROWS)
        self.waves[:, 0] = 0
        numbers[:, size + 1] = 0
        np.conjugate(self.waves[:, size // 2 - 1 : 0 : -1], out=self.waves[:, size // 2 + 1 :])

    def proposals(self) -> NDArray[np.float64]:
        """Edges per pixel that explain the highest peaks, with and without a codec's rhythm."""
        low = int(self.size / LARGEST_BLOCK_PX)
        strength = np.abs(self.waves[:, low : self.size // 2 + 2])
        rising = strength[:, 1:] >= strength[:, :-1]
        peaks = rising[:, :-1] > rising[:, 1:]
        found = []
        for line, at in zip(strength, peaks, strict=True):
            for place in _highest_peaks(at, line[1:-1], low + 1, self.size):
                left, middle, right = line[place : place + 3].tolist()
                found.append(low + 1 + place + 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9))
        freq: NDArray[np.float64] = (np.array(found)[:, None] * (_SLOPES / self.size) + _STARTS).reshape(-1)
        least = max(1 / LARGEST_BLOCK_PX, 3 / min(self.lengths))
        return freq[(freq <= 1 / SMALLEST_BLOCK_PX) & (freq >= least)]

    def scored(self, freq: NDArray[np.float64]) -> _Scored:
        """How well edges as dense as `freq`, (n,), explain the steps."""
        told = (0.5 / freq + 0.01).astype(np.intp)
        cycles = freq[:, None] * (_HARMONICS * self.size)
        cycles *= np.take(_TOLD, told, axis=0, mode="clip")
        return self._scored(freq, told, np.rint(cycles).astype(np.intp))

    def scored_quiet(self, known: _Scored, which: NDArray[np.bool_]) -> _Scored:
        """How well `which`, (n,), of the known ones do without a codec's rhythm."""
        bins = known.bins[which]
        return self._scored(
            known.freq[which], known.told[which], bins * np.take(_outside_rhythm(self.size), bins, mode="wrap")
        )

    def _scored(self, freq: NDArray[np.float64], told: NDArray[np.intp], bins: NDArray[np.intp]) -> _Scored:
        waves = np.take(self.waves, bins, axis=1, mode="wrap").view(np.float32)
        places = (waves.reshape(-1, 2 * _HARMONICS.size) @ _WAVES).reshape(2, freq.size, _TURNS)
        norm = np.take(_NORMS, told, mode="clip") * _roots(self.lengths)
        return _Scored(freq, told, bins, places, places.max(axis=2) * norm)


@lru_cache(maxsize=32)
def _roots(lengths: tuple[int, int]) -> Floats:
    """1 over the root of each: (2, 1)."""
    return np.array([[1 / sqrt(length)] for length in lengths], np.float32)


@lru_cache(maxsize=32)
def _outside_rhythm(size: int) -> NDArray[np.bool_]:
    """False for those of `size` frequencies, negative ones from behind, that repeat after a codec's 16 pixels."""
    centres = np.rint(np.arange(-8, 9) * size / CODEC_PX).astype(np.intp)
    near = centres[centres != 0, None] + np.arange(-_LEAK_BINS, _LEAK_BINS + 1)
    found = np.ones(size, np.bool_)
    found[near % size] = False
    return found


@lru_cache(maxsize=32)
def _in_rhythm(size: int) -> frozenset[int]:
    """The frequencies that `_outside_rhythm` leaves out."""
    return frozenset(np.flatnonzero(~_outside_rhythm(size)).tolist())


def _highest_peaks(peaks: NDArray[np.bool_], strength: Floats, first: int, size: int) -> Iterable[int]:
    """The places of the few highest `peaks`, (n,), of frequencies `first` and on; and of those beside a codec's."""
    places = peaks.nonzero()[0]
    heights = strength[places]
    if places.size > _SORTED:
        some = heights.argpartition(places.size - _SORTED)[-_SORTED:]
        places, heights = places[some], heights[some]
    ordered = places[heights.argsort()[::-1]].tolist()
    rhythm = _in_rhythm(size)
    quiet = [place for place in ordered if place + first not in rhythm]
    return dict.fromkeys([*ordered[:_PEAKS], *quiet[:_PEAKS]])


def _best(x: Floats, y: Floats, found: _Scored) -> Pair:
    """The pair of one block size that fits best; or of two, where they fit far better."""
    freq, score = found.freq, found.score
    tried = [
        (found.measured(x, 0, i), found.measured(y, 1, i))
        for i in _highest(freq, score[0] + score[1], max(x.size, y.size))
    ]
    best = _lattices(x, y, max(tried, key=lambda pair: pair[0][2] + pair[1][2]))
    i, j = (int(number) for number in score.argmax(axis=1))
    gain = max(_OBLONG_GAIN, _OBLONG_SHARE * _fit(best))
    hopeless = float(score[0, i] + score[1, j]) - _fit(best) < 0.7 * gain or abs(freq[i] - freq[j]) < 0.01 * freq[i]
    if hopeless or not 1 / _LONGEST_ASPECT < freq[i] / freq[j] < _LONGEST_ASPECT:
        return best
    oblong = _lattices(x, y, (found.measured(x, 0, i), found.measured(y, 1, j)))
    if any(lattice.on_codec_grid for lattice in oblong):
        gain = max(gain, _OBLONG_CODEC_SHARE * _fit(best))
    weakest = min(lattice.fit for lattice in oblong)
    return oblong if weakest > _OBLONG_FIT and _fit(oblong) - _fit(best) > gain else best


def _lattices(x: Floats, y: Floats, pair: tuple[_Measured, _Measured]) -> Pair:
    return Lattice(*pair[0], places=x.size), Lattice(*pair[1], places=y.size)


def _fit(pair: Pair) -> float:
    return pair[0].fit + pair[1].fit


def _highest(freq: NDArray[np.float64], score: Floats, length: int) -> list[int]:
    """The places of the few highest scores that can be told apart over `length` pixels."""
    order = (-score).argsort()[: 4 * _TRIED]
    chosen: dict[int, float] = {}
    for i, cycles in zip(order.tolist(), freq[order].tolist(), strict=True):
        if all(abs(cycles - known) * length > 0.3 for known in chosen.values()):
            chosen[i] = cycles
        if len(chosen) == _TRIED:
            break
    return list(chosen)


def _beside_codec(x: Floats, y: Floats, spectra: _Spectra, known: _Scored, codec: Pair) -> Pair | None:
    """A lattice beside the codec's that both axes are sure of."""
    cycles = CODEC_PX * known.freq
    outside = np.abs(cycles - np.rint(cycles)) > 0.05
    if not outside.any():
        return None
    scored = spectra.scored_quiet(known, outside)
    share = _QUIET_SHARE[min(lattice.period_px for lattice in codec) < 4.1]
    least = max(_QUIET_FIT, share * _fit(codec))
    if float((scored.score[0] + scored.score[1]).max()) < 0.8 * least:
        return None
    found = _best(_quiet(x), _quiet(y), scored)
    return found if _fit(found) > least and not found[0].in_codec_rhythm else None


def _quiet(profile: Floats) -> Floats:
    """`profile` without a codec's rhythm, at unit variance again."""
    quiet = without_rhythm(profile)
    return quiet * np.float32(1 / (sqrt(float(np.dot(quiet, quiet)) / quiet.size) + 1e-6))


def _below_codec(x: Floats, y: Floats, codec: Pair) -> Pair | None:
    """Blocks of 2 or 4 px from the corner on, whose every fourth or second edge is one of the codec's 8×8 blocks."""
    gridded = [lattice.on_codec_grid and lattice.period_px > 7.9 for lattice in codec]
    if not any(gridded) or not all(on or lattice.fit < _WEAK_FIT for on, lattice in zip(gridded, codec, strict=True)):
        return None
    evidence = [_finer(profile) for profile in (x, y)]
    for which, (period, least) in enumerate(_FINER_FITS):
        fits = [each[which] for each in evidence]
        if sum(fits) > least and min(fits) > 1:
            found = [
                replace(lattice, period_px=period, phase_px=0.0, fit=f) for lattice, f in zip(codec, fits, strict=True)
            ]
            return found[0], found[1]
    return None


def _finer(profile: Floats) -> tuple[float, float]:
    """How far the places of blocks of 2 and of 4 px stand out of those between an 8×8 grid's, in standard errors."""
    rounds = profile.size // 8
    means = (np.full(rounds, 1 / rounds, np.float32) @ profile[: rounds * 8].reshape(-1, 8)).tolist()
    odd = (means[0] + means[2] + means[4] + means[6]) / 4
    others = (4 * odd + means[1] + means[5]) / 6
    two = min(means[1], means[5]) - odd
    return two * sqrt(rounds / (1 + 1 / 4)), (means[3] - others) * sqrt(rounds / (1 + 1 / 6))
