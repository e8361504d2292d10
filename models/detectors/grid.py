"""The classical detector `grid`: folds the gradients of luma over candidate block sizes.

Nearest-neighbour enlargement leaves steps of luma at evenly spaced columns and rows and next to none between.
The gradients along each axis are summed into a profile. The peaks of its spectrum propose block sizes, and the
one whose edges correlate best with the profile is chosen. The verdict depends on how much stronger the gradients are
on those edges than between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import exp
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.backends.checks import check_luma
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict

from .edge_contrast import sharpness, spread_and_coverage
from .lattice import (
    MIN_FIT,
    MIN_FIT_EXPECTED,
    Floats,
    Lattice,
    best_lattice,
    is_scorable,
    lattice_at,
    lattice_with_integer_period,
    remove_codec_period,
)

_BANDS = 6
_LINES = 32
"""Per band: a few hundred lines in all give the same result as the full picture."""
_CLIP_LEVELS = 16.0
"""One hard outline must not outweigh hundreds of faint block edges."""
_HIGH_PASS_PX = 65

_HOPELESS_MARGIN = -2.0
_CERTAIN_MARGIN = 1.0
_MAX_ASPECT = 2.1
_MIN_SPREAD = 0.13
_MIN_BLOCKY_COVERAGE = 0.8


class Grid:
    """Finds the lattice of nearest-neighbour blocks by its even spacing, without any learning."""

    name = "grid"

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Score `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        `chroma` is ignored.
        """
        check_luma(luma, max_value)
        if not is_scorable(luma):
            return Verdict(0.0)
        gradients_x = _gradients_along_rows(luma, max_value)
        x = _find(gradients_x)
        if x is None or _hopeless(x):
            return Verdict(_score(x.margin) if x else 0.0)
        gradients_y = _gradients_along_columns(luma, max_value)
        square = _square(gradients_y, x)
        if square is not None:
            return _verdict(replace(x, expected=True), square)
        y = _find(gradients_y)
        # One axis alone is a fence, a staircase, line doubling or banding: blocks have both.
        if y is None:
            return Verdict(0.0)
        if max(x.margin, y.margin) >= 0 or abs(x.period_px - y.period_px) < 0.01 * x.period_px:
            x, y = _refine(gradients_x, x, y), _refine(gradients_y, y, x)
        return _verdict(x, y)


def profiles_and_lattices(luma: Plane, *, max_value: int = 255) -> tuple[tuple[Floats, Lattice | None], ...]:
    """For x and y of `luma`: the gradient profile, (side - 1,), and the best lattice of that axis alone."""
    axes = _gradients_along_rows(luma, max_value), _gradients_along_columns(luma, max_value)
    return tuple((gradients.profile, _find(gradients)) for gradients in axes)


def _score(margin: float) -> float:
    return 1 / (1 + exp(-max(-30.0, min(30.0, margin))))


def _hopeless(x: Lattice) -> bool:
    """Whether the verdict is the same whatever the other axis shows."""
    has_lattice = x.fit > MIN_FIT and not x.matches_codec_period
    return x.margin < _HOPELESS_MARGIN and x.coverage < _MIN_BLOCKY_COVERAGE and not has_lattice


def _verdict(x: Lattice, y: Lattice) -> Verdict:
    margin = min(x.margin, y.margin)
    short, long = sorted((x.period_px, y.period_px))
    square = long < 1.01 * short
    if not square:
        # Two different sizes fit by chance more easily than one.
        margin = margin - 1 if long < _MAX_ASPECT * short else min(margin, 0) - 1
    score = _score(margin)
    spread = min(x.spread, y.spread)
    blocks = Blocks(x.period_px, y.period_px, x.phase_px, y.phase_px) if min(x.fit, y.fit) > MIN_FIT else None
    if margin >= 0 and spread >= _MIN_SPREAD:
        return Verdict(score, Kind.PIXELATED, Blocks(x.period_px, y.period_px, x.phase_px, y.phase_px))
    if margin >= 0:
        return Verdict(min(score, 0.49), Kind.MOSAIC, blocks)
    if blocks is None or not square:
        return Verdict(score)
    if x.on_codec_grid and y.on_codec_grid and min(x.coverage, y.coverage) > _MIN_BLOCKY_COVERAGE:
        return Verdict(score, Kind.BLOCKY, blocks)
    return Verdict(score, Kind.CLEAN if x.matches_codec_period else Kind.SOFT, blocks)


@dataclass(frozen=True)
class _Gradients:
    """Absolute differences of neighbouring pixels along one axis, in a few bands across it."""

    raw: list[NDArray[Any]]
    """Per band, (lines, length) or its transpose, depending on `across`; in levels of the picture."""
    across: int
    """Which axis of `raw` counts the lines."""
    to_levels: float
    """Factor that converts to 8-bit levels."""
    clipped: Floats
    """The gradients, clipped, averaged over the lines of each band: (bands, length), in 8-bit levels."""

    @classmethod
    def between(cls, pairs: list[tuple[Plane, Plane]], *, across: int, max_value: int) -> _Gradients:
        """Measure the differences of each band to the same band shifted by one pixel."""
        raw = [cv2.absdiff(one, other) for one, other in pairs]
        clip = _CLIP_LEVELS * max_value / 255
        clipped = np.empty((len(raw), raw[0].shape[1 - across]), np.float32)
        for row, gradients in zip(clipped, raw, strict=True):
            # A sum, as OpenCV's average of 8-bit values takes a slow path.
            capped = cv2.threshold(gradients, clip, clip, cv2.THRESH_TRUNC)[1]
            total = cv2.reduce(capped, across, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
            np.multiply(total.ravel(), 255 / max_value / gradients.shape[across], out=row)
        return cls(raw, across, 255 / max_value, clipped)

    @cached_property
    def power(self) -> Floats:
        """Mean square of the unclipped gradients, over a third of the lines: (bands, length), 8-bit levels."""
        lines = (min(band.shape[self.across] for band in self.raw) + 2) // 3
        few = [band[:lines] if self.across == 0 else cv2.transpose(band[:, :lines]) for band in self.raw]
        sums = [cv2.reduce(cv2.multiply(f, f, dtype=cv2.CV_32F), 0, cv2.REDUCE_SUM) for f in few]
        return np.concatenate(sums) * np.float32(self.to_levels**2 / lines)

    @cached_property
    def profile(self) -> Floats:
        """The clipped gradients after a high-pass filter, averaged over the bands: (length,)."""
        window = min(_HIGH_PASS_PX, self.clipped.shape[1] // 2 * 2 - 1)
        profile: Floats = (self.clipped - cv2.blur(self.clipped, (window, 1))).mean(axis=0)
        return profile


def _gradients_along_rows(luma: Plane, max_value: int) -> _Gradients:
    bands = [luma[a : b : max(1, (b - a) // _LINES)] for a, b in _bands(luma.shape[0])]
    return _Gradients.between([(b[:, 1:], b[:, :-1]) for b in bands], across=0, max_value=max_value)


def _gradients_along_columns(luma: Plane, max_value: int) -> _Gradients:
    # Single columns far apart would touch every cache line of the picture: narrow bands give the same result.
    half = _LINES // 2
    middles = [(max(a, (a + b) // 2 - half), min(b, (a + b) // 2 + half)) for a, b in _bands(luma.shape[1])]
    return _Gradients.between([(luma[1:, a:b], luma[:-1, a:b]) for a, b in middles], across=1, max_value=max_value)


def _bands(length: int) -> list[tuple[int, int]]:
    """The bounds of up to 6 equal parts of 0..length."""
    count = max(1, min(_BANDS, length // 16))
    bounds = [length * i // count for i in range(count + 1)]
    return list(pairwise(bounds))


def _find(gradients: _Gradients) -> Lattice | None:
    """The best lattice along one axis; searched again without the codec's own period if that one wins."""
    profile = gradients.profile
    first = _with_contrast(best_lattice(profile), gradients)
    if first is None or not first.matches_codec_period or first.margin >= 0:
        return first
    second = _with_contrast(best_lattice(remove_codec_period(profile)), gradients)
    return second if second and not second.matches_codec_period and second.margin > first.margin else first


def _square(gradients: _Gradients, other: Lattice) -> Lattice | None:
    """The lattice of square blocks of an integer size, where both axes are certain of it: the commonest case, and
    without a search."""
    if other.margin < _CERTAIN_MARGIN or not other.period_px.is_integer():
        return None
    found = lattice_with_integer_period(gradients.profile, round(other.period_px))
    if found is None or found.fit < MIN_FIT_EXPECTED:
        return None
    # Both axes see the same cells of the picture: the spread of one holds for both.
    found = replace(
        found, sharpness=sharpness(gradients.power, found), spread=other.spread, coverage=other.coverage, expected=True
    )
    return found if found.margin >= _CERTAIN_MARGIN else None


def _refine(gradients: _Gradients, found: Lattice, other: Lattice) -> Lattice:
    """`found`, or a lattice with the period of the other axis where that explains the gradients better."""
    period, length = other.period_px, gradients.clipped.shape[1]
    drift = abs(found.period_px - period) * length / period
    if drift < 0.01 * length:
        found = replace(found, expected=True)
    if drift < 0.3:
        return found
    profile = gradients.profile if other.matches_codec_period else remove_codec_period(gradients.profile)
    again = _with_contrast(lattice_at(profile, period), gradients)
    if again is None:
        return found
    again = replace(again, expected=True)
    better = again.fit > found.fit if found.margin >= 0 else again.margin > found.margin
    return again if better and again.margin >= min(0.0, found.margin) else found


def _with_contrast(lattice: Lattice | None, gradients: _Gradients) -> Lattice | None:
    """`lattice` with sharpness, spread and coverage; they are measured only where the lattice fits."""
    if lattice is None or lattice.fit < MIN_FIT_EXPECTED:
        return lattice
    lattice = replace(lattice, sharpness=sharpness(gradients.power, lattice))
    if lattice.margin < _HOPELESS_MARGIN and not lattice.on_codec_grid:
        return lattice
    spread, coverage = spread_and_coverage(gradients.clipped, lattice)
    return replace(lattice, spread=spread, coverage=coverage)
