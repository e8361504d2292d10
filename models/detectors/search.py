"""Search for the lattice that explains the gradients along both axes at once: blocks are nearly always square.

Each axis alone proposes block sizes by the peaks of its spectrum, as in `lattice`; all are scored on both axes, and
the sum decides. A codec leaves a lattice of its own: where that one wins, a second search leaves its period out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from .lattice import (
    CODEC_PERIOD_PX,
    MAX_BLOCK_PX,
    MAX_CODEC_TOLERANCE,
    MIN_BLOCK_PX,
    Floats,
    Lattice,
    measure_fit,
    remove_codec_period,
)

LatticePair = tuple[Lattice, Lattice]
"""Along x and along y."""
_Fit = tuple[float, float, float]
"""Period, phase and fit."""

_HARMONICS = np.arange(1, 9)
_PHASES = 32
_ANGLES = 2 * np.pi * np.outer(_HARMONICS, np.arange(_PHASES) / _PHASES)
_WAVES = np.stack([np.cos(_ANGLES), -np.sin(_ANGLES)], axis=1).reshape(-1, _PHASES).astype(np.float32)
"""Maps the real and imaginary parts of 8 harmonics, interleaved, to their sum at 32 phases of a period."""
_DISTINCT = np.maximum(np.arange(9), 1)[:, None] >= _HARMONICS
"""Row n selects the first n harmonics, but at least the first one: (9, 8)."""
_NORMS = np.sqrt(2 / np.maximum(np.arange(9), 1)).astype(np.float32)
_SLOPES, _STARTS = np.array([*1 / _HARMONICS, -1, -1 / 2]), np.array([0] * _HARMONICS.size + [1, 1 / 2])
"""A peak at f is explained by slope · f + start edges per pixel: as one of the harmonics, or as one that is aliased at
the Nyquist frequency."""

_MAX_PEAKS = 4
_MAX_SORTED = 24
_MAX_CANDIDATES = 3
_LEAK_BINS = 2

_MIN_CODEC_PX = 3.9
_MIN_SECOND_FIT = 12.0
"""Sum of both fits that a lattice beside a codec's must reach to rule out chance."""
_MIN_SECOND_SHARE = {True: 0.5, False: 0.2}
"""And as a share of the codec's own: for lattices of 4 px, which leak more, and for larger ones."""
_OBLONG_GAIN, _OBLONG_SHARE, _OBLONG_CODEC_SHARE = 3.0, 0.1, 0.4
"""How much better two block sizes must explain the gradients than one: blocks that are not square are rare."""
_MIN_OBLONG_FIT, _MAX_ASPECT = 4.5, 2.2
_MIN_FINER_FITS = ((2.0, 5.0), (4.0, 8.0))
"""(block size, fit): how far the edges of blocks of 2 or 4 px below a codec's grid of 8 must stand out, along both axes
together."""
_MIN_SHARE_OF_2_PX = 0.5
"""How strong the edges of blocks of 2 px must be that no block of 4 px has, against those that it has."""
_WEAK_FIT = 11.0


def search(x: Floats, y: Floats) -> LatticePair | None:
    """The lattices along x and y of two gradient profiles, (width - 1,) and (height - 1,); None if neither repeats.

    `x`, `y`: as `GradientProfiles.profile`.
    """
    spectra = _Spectra(x, y)
    freq = spectra.candidates()
    if not freq.size or not x.any() or not y.any():
        return None
    scored = spectra.score(freq)
    best = _best(x, y, scored)
    if not all(lattice.matches_codec_period for lattice in best):
        return best
    if max(lattice.period_px for lattice in best) < _MIN_CODEC_PX:
        return best
    return _beside_codec(x, y, spectra, scored, best) or _below_codec(x, y, best) or best


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Frequencies of edges and how well they explain both profiles."""

    freq: NDArray[np.float64]
    """Edges per pixel, (n,)."""
    harmonics: NDArray[np.intp]
    """Number of harmonics that are not aliases of lower ones, those above half a cycle per pixel: (n,)."""
    bins: NDArray[np.intp]
    """Indices of the harmonics in the spectra; 0, where the spectra are 0, for those that do not count: (n, 8)."""
    sums: Floats
    """Sum of the harmonics along x and y, at 32 phases of a period: (2, n, 32)."""
    score: Floats
    """The highest of them, about as `Lattice.fit`: (2, n)."""

    def measure(self, profile: Floats, axis: int, i: int) -> _Fit:
        """Period, phase and fit of candidate `i` on `profile`."""
        phase, freq = int(self.sums[axis, i].argmax()) / _PHASES, float(self.freq[i])
        return measure_fit(profile, 1 / freq, phase / freq + profile.size // 2 + 1)


class _Spectra:
    """The spectra of both profiles over the same frequencies; phases count from the middle of each profile."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.lengths = x.size, y.size
        self.size = size = 2 << (max(self.lengths) - 1).bit_length()
        centred = np.zeros((2, size), np.float32)
        for row, profile in zip(centred, (x, y), strict=True):
            half = profile.size // 2
            row[: profile.size - half] = profile[half:]
            row[size - half :] = profile[:half]
        self.waves = np.empty((2, size), np.complex64)
        """All frequencies, in the order of a FFT (negative ones at the end): (2, size)."""
        numbers = self.waves.view(np.float32)
        # OpenCV leaves out the imaginary parts that are 0: of the first, which is not needed, and of the middle one.
        cv2.dft(centred, dst=numbers[:, 1 : size + 1], flags=cv2.DFT_ROWS)
        self.waves[:, 0] = 0
        numbers[:, size + 1] = 0
        np.conjugate(self.waves[:, size // 2 - 1 : 0 : -1], out=self.waves[:, size // 2 + 1 :])

    def candidates(self) -> NDArray[np.float64]:
        """Edges per pixel that explain the highest peaks, with and without those of a codec's period."""
        low = int(self.size / MAX_BLOCK_PX)
        strength = np.abs(self.waves[:, low : self.size // 2 + 2])
        increasing = strength[:, 1:] >= strength[:, :-1]
        peaks = increasing[:, :-1] > increasing[:, 1:]
        found = []
        for line, at in zip(strength, peaks, strict=True):
            for i in _highest_peaks(at, line[1:-1], low + 1, self.size):
                left, middle, right = line[i : i + 3].tolist()
                found.append(low + 1 + i + 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9))
        freq: NDArray[np.float64] = (np.array(found)[:, None] * (_SLOPES / self.size) + _STARTS).reshape(-1)
        lowest = max(1 / MAX_BLOCK_PX, 3 / min(self.lengths))
        return freq[(freq <= 1 / MIN_BLOCK_PX) & (freq >= lowest)]

    def score(self, freq: NDArray[np.float64]) -> _Candidates:
        """How well edges of these frequencies, (n,), explain the profiles."""
        harmonics = (0.5 / freq + 0.01).astype(np.intp)
        cycles = freq[:, None] * (_HARMONICS * self.size)
        cycles *= np.take(_DISTINCT, harmonics, axis=0, mode="clip")
        return self._score(freq, harmonics, np.rint(cycles).astype(np.intp))

    def score_without_codec(self, candidates: _Candidates, which: NDArray[np.bool_]) -> _Candidates:
        """The score of `which`, (n,), of the candidates when a codec's period is left out of the spectra."""
        bins = candidates.bins[which]
        return self._score(
            candidates.freq[which],
            candidates.harmonics[which],
            bins * np.take(_outside_codec_period(self.size), bins, mode="wrap"),
        )

    def _score(self, freq: NDArray[np.float64], harmonics: NDArray[np.intp], bins: NDArray[np.intp]) -> _Candidates:
        waves = np.take(self.waves, bins, axis=1, mode="wrap").view(np.float32)
        sums = (waves.reshape(-1, 2 * _HARMONICS.size) @ _WAVES).reshape(2, freq.size, _PHASES)
        norm = np.take(_NORMS, harmonics, mode="clip") * _inverse_roots(self.lengths)
        return _Candidates(freq, harmonics, bins, sums, sums.max(axis=2) * norm)


@lru_cache(maxsize=32)
def _inverse_roots(lengths: tuple[int, int]) -> Floats:
    """1 over the square root of each: (2, 1)."""
    return np.array([[1 / sqrt(length)] for length in lengths], np.float32)


@lru_cache(maxsize=32)
def _outside_codec_period(size: int) -> NDArray[np.bool_]:
    """False for those of `size` frequencies, negative ones at the end, that repeat after a codec's 16 pixels."""
    centres = np.rint(np.arange(-8, 9) * size / CODEC_PERIOD_PX).astype(np.intp)
    near = centres[centres != 0, None] + np.arange(-_LEAK_BINS, _LEAK_BINS + 1)
    found = np.ones(size, np.bool_)
    found[near % size] = False
    return found


@lru_cache(maxsize=32)
def _in_codec_period(size: int) -> frozenset[int]:
    """The frequencies that `_outside_codec_period` leaves out."""
    return frozenset(np.flatnonzero(~_outside_codec_period(size)).tolist())


def _highest_peaks(peaks: NDArray[np.bool_], strength: Floats, first: int, size: int) -> Iterable[int]:
    """Indices of the few highest `peaks`, (n,), and of the few highest outside a codec's period.

    `first`: the frequency that index 0 stands for.
    """
    indices = peaks.nonzero()[0]
    heights = strength[indices]
    if indices.size > _MAX_SORTED:
        some = heights.argpartition(indices.size - _MAX_SORTED)[-_MAX_SORTED:]
        indices, heights = indices[some], heights[some]
    ordered = indices[heights.argsort()[::-1]].tolist()
    of_codec = _in_codec_period(size)
    others = [i for i in ordered if i + first not in of_codec]
    return dict.fromkeys([*ordered[:_MAX_PEAKS], *others[:_MAX_PEAKS]])


def _best(x: Floats, y: Floats, candidates: _Candidates) -> LatticePair:
    """The pair of one block size that fits best; or of two, where they fit far better."""
    freq, score = candidates.freq, candidates.score
    tried = [
        (candidates.measure(x, 0, i), candidates.measure(y, 1, i))
        for i in _highest_scores(freq, score[0] + score[1], max(x.size, y.size))
    ]
    best = _lattices(x, y, max(tried, key=lambda pair: pair[0][2] + pair[1][2]))
    i, j = (int(number) for number in score.argmax(axis=1))
    gain = max(_OBLONG_GAIN, _OBLONG_SHARE * _fit(best))
    hopeless = float(score[0, i] + score[1, j]) - _fit(best) < 0.7 * gain or abs(freq[i] - freq[j]) < 0.01 * freq[i]
    if hopeless or not 1 / _MAX_ASPECT < freq[i] / freq[j] < _MAX_ASPECT:
        return best
    oblong = _lattices(x, y, (candidates.measure(x, 0, i), candidates.measure(y, 1, j)))
    if any(lattice.on_codec_grid for lattice in oblong):
        gain = max(gain, _OBLONG_CODEC_SHARE * _fit(best))
    weakest = min(lattice.fit for lattice in oblong)
    return oblong if weakest > _MIN_OBLONG_FIT and _fit(oblong) - _fit(best) > gain else best


def _lattices(x: Floats, y: Floats, pair: tuple[_Fit, _Fit]) -> LatticePair:
    return Lattice(*pair[0], profile_length=x.size), Lattice(*pair[1], profile_length=y.size)


def _fit(pair: LatticePair) -> float:
    return pair[0].fit + pair[1].fit


def _highest_scores(freq: NDArray[np.float64], score: Floats, length: int) -> list[int]:
    """Indices of the few highest scores whose frequencies can be distinguished over `length` pixels."""
    order = (-score).argsort()[: 4 * _MAX_CANDIDATES]
    chosen: dict[int, float] = {}
    for i, cycles in zip(order.tolist(), freq[order].tolist(), strict=True):
        if all(abs(cycles - other) * length > 0.3 for other in chosen.values()):
            chosen[i] = cycles
        if len(chosen) == _MAX_CANDIDATES:
            break
    return list(chosen)


def _beside_codec(
    x: Floats, y: Floats, spectra: _Spectra, candidates: _Candidates, codec: LatticePair
) -> LatticePair | None:
    """A second lattice beside the codec's, if it fits well along both axes together."""
    # Where a codec's own lattice fits best, one close to it is that lattice in a part of the picture.
    rounds = CODEC_PERIOD_PX * candidates.freq
    outside = np.abs(rounds - np.rint(rounds)) > MAX_CODEC_TOLERANCE
    if not outside.any():
        return None
    scored = spectra.score_without_codec(candidates, outside)
    share = _MIN_SECOND_SHARE[min(lattice.period_px for lattice in codec) < 4.1]
    min_fit = max(_MIN_SECOND_FIT, share * _fit(codec))
    if float((scored.score[0] + scored.score[1]).max()) < 0.8 * min_fit:
        return None
    found = _best(_without_codec(x), _without_codec(y), scored)
    return found if _fit(found) > min_fit and not found[0].matches_codec_period else None


def _without_codec(profile: Floats) -> Floats:
    """`profile` without a codec's period, at unit variance again."""
    rest = remove_codec_period(profile)
    return rest * np.float32(1 / (sqrt(float(np.dot(rest, rest)) / rest.size) + 1e-6))


def _below_codec(x: Floats, y: Floats, codec: LatticePair) -> LatticePair | None:
    """Blocks of 2 or 4 px at phase 0, every fourth or second edge of which is one of the codec's 8×8 blocks."""
    gridded = [lattice.on_codec_grid and lattice.period_px > 7.9 for lattice in codec]
    if not any(gridded) or not all(on or lattice.fit < _WEAK_FIT for on, lattice in zip(gridded, codec, strict=True)):
        return None
    evidence = [_finer_fits(profile) for profile in (x, y)]
    for which, (period, min_fit) in enumerate(_MIN_FINER_FITS):
        fits = [each[which] for each in evidence]
        if sum(fits) > min_fit and min(fits) > 1:
            found = [
                replace(lattice, period_px=period, phase_px=0.0, fit=f) for lattice, f in zip(codec, fits, strict=True)
            ]
            return found[0], found[1]
    return None


def _finer_fits(profile: Floats) -> tuple[float, float]:
    """How far edges of blocks of 2 and of 4 px stand out between those of an 8×8 grid, in standard errors."""
    rounds = profile.size // 8
    means = (np.full(rounds, 1 / rounds, np.float32) @ profile[: rounds * 8].reshape(-1, 8)).tolist()
    odd = (means[0] + means[2] + means[4] + means[6]) / 4
    others = (4 * odd + means[1] + means[5]) / 6
    two = min(means[1], means[5]) - odd
    if two < _MIN_SHARE_OF_2_PX * (means[3] - odd):  # the middle of a transform block of 4 px, not an edge
        two = 0.0
    return two * sqrt(rounds / (1 + 1 / 4)), (means[3] - others) * sqrt(rounds / (1 + 1 / 6))
