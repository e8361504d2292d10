"""Looking for the one lattice that explains the steps along both axes: blocks are nearly always square.

Each axis alone proposes block sizes by the peaks of its spectrum, as in `lattice`; all are scored on both axes, and
the sum decides. A codec leaves a lattice of its own: where that comes first, a second look leaves its rhythm out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .lattice import CODEC_PX, LARGEST_BLOCK_PX, SMALLEST_BLOCK_PX, Floats, Lattice, fitted

Pair = tuple[Lattice, Lattice]

_HARMONICS = np.arange(1, 9)
_TURNS = 32
_ANGLES = 2 * np.pi * np.outer(_HARMONICS, np.arange(_TURNS) / _TURNS)
_WAVES = np.stack([np.cos(_ANGLES), -np.sin(_ANGLES)], axis=1).reshape(-1, _TURNS).astype(np.float32)
"""Real and imaginary parts of 8 harmonics, in turn → their sum at 32 places of a period."""

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
    """The lattices along x and y of `Steps.profile`s, (width - 1,) and (height - 1,); None where nothing repeats."""
    spectra = _Spectra(x, y)
    freq = spectra.proposals()
    if not freq.size or not x.any() or not y.any():
        return None
    best = _best(x, y, spectra.scored(freq))
    if not all(lattice.in_codec_rhythm for lattice in best):
        return best
    if max(lattice.period_px for lattice in best) < _FINEST_CODEC_PX:
        return best
    return _beside_codec(x, y, spectra, freq, best) or _below_codec(x, y, best) or best


@dataclass(frozen=True, slots=True)
class _Scored:
    """Edges as dense as `freq` a pixel, (n,), and how well they explain the steps."""

    freq: NDArray[np.float64]
    places: Floats
    """Along x and y, at 32 places of a period: (2, n, 32)."""
    score: Floats
    """The best of them, about as `Lattice.fit`: (2, n)."""

    def lattice(self, profile: Floats, axis: int, i: int) -> Lattice:
        """The lattice of proposal `i`, measured on `profile`."""
        turn, freq = int(self.places[axis, i].argmax()) / _TURNS, float(self.freq[i])
        return fitted(profile, 1 / freq, turn / freq + profile.size // 2 + 1)


class _Spectra:
    """The spectra of both profiles over the same frequencies, phases counted from the middle of each."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.lengths = x.size, y.size
        self.size = 2 << (max(self.lengths) - 1).bit_length()
        centred = np.zeros((2, self.size), np.float32)
        for row, profile in zip(centred, (x, y), strict=True):
            half = profile.size // 2
            row[: profile.size - half] = profile[half:]
            row[self.size - half :] = profile[:half]
        self.waves = np.fft.rfft(centred)

    def proposals(self) -> NDArray[np.float64]:
        """Edges per pixel that explain the highest peaks, with and without a codec's rhythm."""
        freq = np.concatenate([_explained(strength, self.size) for strength in np.abs(self.waves)])
        least = max(1 / LARGEST_BLOCK_PX, 3 / min(self.lengths))
        return freq[(freq <= 1 / SMALLEST_BLOCK_PX) & (freq >= least)]

    def scored(self, freq: NDArray[np.float64], *, quiet: bool = False) -> _Scored:
        """How well edges as dense as `freq`, (n,), explain the steps; `quiet`: without a codec's rhythm."""
        cycles = freq[:, None] * _HARMONICS
        bins = np.rint((cycles - np.rint(cycles)) * self.size).astype(np.intp)
        # Beyond half a cycle per pixel a harmonic repeats the lower ones.
        told = np.clip((0.5 / freq + 0.01).astype(np.intp), 1, _HARMONICS.size)
        weights = np.empty((*bins.shape, 2), np.float32)
        weights[..., 0] = told[:, None] >= _HARMONICS
        np.copysign(weights[..., 0], bins, out=weights[..., 1])  # a negative frequency is the positive one's mirror
        bins = np.abs(bins)
        if quiet:
            weights *= _outside_rhythm(self.size)[bins][..., None]
        waves = np.take(self.waves, bins, axis=1).view(np.float32).reshape(2, *weights.shape) * weights
        places = (waves.reshape(-1, 2 * _HARMONICS.size) @ _WAVES).reshape(2, freq.size, _TURNS)
        norm = np.sqrt(2 / (told * np.array(self.lengths)[:, None]))
        return _Scored(freq, places, places.max(axis=2) * norm.astype(np.float32))


@lru_cache(maxsize=32)
def _outside_rhythm(size: int) -> Floats:
    """0 for those of the size // 2 + 1 frequencies that repeat after a codec's 16 pixels, else 1."""
    centres = np.rint(np.arange(1, 9) * size / CODEC_PX).astype(np.intp)
    near = centres[:, None] + np.arange(-_LEAK_BINS, _LEAK_BINS + 1)
    found = np.ones(size // 2 + 1, np.float32)
    found[near[near <= size // 2]] = 0
    return found


def _explained(strength: Floats, size: int) -> NDArray[np.float64]:
    """Edges per pixel that explain the highest peaks: as any harmonic, or folded back at the Nyquist rate."""
    low = int(size / LARGEST_BLOCK_PX)
    padded = np.append(strength[low:], strength[-2])
    rising = padded[1:] >= padded[:-1]
    peaks = np.flatnonzero(rising[:-1] > rising[1:]) + 1
    heights = padded[peaks]
    if peaks.size > _SORTED:
        some = np.argpartition(heights, -_SORTED)[-_SORTED:]
        peaks, heights = peaks[some], heights[some]
    ordered = peaks[np.argsort(-heights)]
    quiet = ordered[_outside_rhythm(size)[ordered + low] > 0]
    top = np.array(list(dict.fromkeys([*ordered[:_PEAKS].tolist(), *quiet[:_PEAKS].tolist()])), np.intp)
    left, mid, right = padded[top - 1], padded[top], padded[top + 1]
    freq = (top + low + 0.5 * (left - right) / np.minimum(left - 2 * mid + right, -1e-9)) / size
    return np.concatenate([(freq[:, None] / _HARMONICS).ravel(), 1 - freq, (1 - freq) / 2])


def _best(x: Floats, y: Floats, found: _Scored) -> Pair:
    """The pair of one block size that fits best; or of two, where they fit far better."""
    freq, score = found.freq, found.score
    pairs = [
        (found.lattice(x, 0, i), found.lattice(y, 1, i))
        for i in _highest(freq, score[0] + score[1], max(x.size, y.size))
    ]
    best = max(pairs, key=_fit)
    i, j = (int(number) for number in score.argmax(axis=1))
    gain = max(_OBLONG_GAIN, _OBLONG_SHARE * _fit(best))
    hopeless = float(score[0, i] + score[1, j]) - _fit(best) < 0.7 * gain or abs(freq[i] - freq[j]) < 0.01 * freq[i]
    if hopeless or not 1 / _LONGEST_ASPECT < freq[i] / freq[j] < _LONGEST_ASPECT:
        return best
    oblong = found.lattice(x, 0, i), found.lattice(y, 1, j)
    if any(lattice.on_codec_grid for lattice in oblong):
        gain = max(gain, _OBLONG_CODEC_SHARE * _fit(best))
    weakest = min(lattice.fit for lattice in oblong)
    return oblong if weakest > _OBLONG_FIT and _fit(oblong) - _fit(best) > gain else best


def _fit(pair: Pair) -> float:
    return pair[0].fit + pair[1].fit


def _highest(freq: NDArray[np.float64], score: Floats, length: int) -> list[int]:
    """The places of the few highest scores that can be told apart over `length` pixels."""
    chosen: list[int] = []
    for i in np.argsort(-score)[: 4 * _TRIED].tolist():
        if all(abs(freq[i] - freq[known]) * length > 0.3 for known in chosen):
            chosen.append(i)
        if len(chosen) == _TRIED:
            break
    return chosen


def _beside_codec(x: Floats, y: Floats, spectra: _Spectra, freq: NDArray[np.float64], codec: Pair) -> Pair | None:
    """A lattice beside the codec's that both axes are sure of."""
    cycles = CODEC_PX * freq
    freq = freq[np.abs(cycles - np.rint(cycles)) > 0.05]
    if not freq.size:
        return None
    scored = spectra.scored(freq, quiet=True)
    share = _QUIET_SHARE[min(lattice.period_px for lattice in codec) < 4.1]
    least = max(_QUIET_FIT, share * _fit(codec))
    if float((scored.score[0] + scored.score[1]).max()) < 0.8 * least:
        return None
    found = _best(_without_rhythm(x), _without_rhythm(y), scored)
    return found if _fit(found) > least and not found[0].in_codec_rhythm else None


def _without_rhythm(profile: Floats) -> Floats:
    whole = profile[: profile.size // CODEC_PX * CODEC_PX].reshape(-1, CODEC_PX)
    if not len(whole):
        return profile
    quiet: Floats = profile - np.resize(whole.mean(axis=0), profile.size)
    return quiet / np.float32(sqrt(float(np.dot(quiet, quiet)) / quiet.size) + 1e-6)


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
    means = np.roll(profile[: rounds * 8].reshape(-1, 8).mean(axis=0), 1).tolist()
    odd = (means[1] + means[3] + means[5] + means[7]) / 4
    others = (4 * odd + means[2] + means[6]) / 6
    two = min(means[2], means[6]) - odd
    return two * sqrt(rounds / (1 + 1 / 4)), (means[4] - others) * sqrt(rounds / (1 + 1 / 6))
