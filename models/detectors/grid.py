"""The classical method: the gradients of luma, folded over candidate block sizes.

Nearest-neighbour enlargement leaves steps of luma at evenly spaced columns and rows and next to none between.
The steps along each axis are summed into a profile. The peaks of its spectrum propose block sizes, and the
one whose edges correlate best with the profile is chosen. How much harder the steps are on those edges than
between them decides.
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

from .lattice import (
    FIT,
    FIT_EXPECTED,
    Floats,
    Lattice,
    best_lattice,
    lattice_at,
    lattice_of_whole_blocks,
    sharpness,
    spread_and_cover,
    without_rhythm,
)
from .size_check import is_measurable

_BANDS = 6
_LINES = 32
"""Per band: a few hundred lines in all tell as much as the whole picture."""
_CLIP_LEVELS = 16.0
"""One hard outline must not outweigh hundreds of faint block edges."""
_HIGH_PASS_PX = 65

_HOPELESS = -2.0
_SURE = 1.0
_LONGEST_ASPECT = 2.1
_LARGE_PART = 0.13
_BLOCKY = 0.8


class Grid:
    """Finds the lattice of nearest-neighbour blocks by its even spacing, without any learning."""

    name = "grid"

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Judge `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides."""
        check_luma(luma, max_value)
        if not is_measurable(luma):
            return Verdict(0.0)
        steps_x = _steps_along_rows(luma, max_value)
        x = _find(steps_x)
        if x is None or _hopeless(x):
            return Verdict(_score(x.margin) if x else 0.0)
        steps_y = _steps_along_columns(luma, max_value)
        square = _square(steps_y, x)
        if square is not None:
            return _judge(replace(x, expected=True), square)
        y = _find(steps_y)
        # One axis alone is a fence, a staircase, line doubling or banding: blocks have both.
        if y is None:
            return Verdict(0.0)
        if max(x.margin, y.margin) >= 0 or abs(x.period_px - y.period_px) < 0.01 * x.period_px:
            x, y = _find_again(steps_x, x, y), _find_again(steps_y, y, x)
        return _judge(x, y)


def along_axes(luma: Plane, *, max_value: int = 255) -> tuple[tuple[Floats, Lattice | None], ...]:
    """What the verdict on `luma` begins with, for x and y: the profile of steps, (side - 1,), and its best lattice."""
    steps = _steps_along_rows(luma, max_value), _steps_along_columns(luma, max_value)
    return tuple((each.profile, _find(each)) for each in steps)


def _score(margin: float) -> float:
    return 1 / (1 + exp(-max(-30.0, min(30.0, margin))))


def _hopeless(x: Lattice) -> bool:
    """Whether nothing that the other axis may show can change the verdict."""
    telling = x.fit > FIT and not x.in_codec_rhythm
    return x.margin < _HOPELESS and x.cover < _BLOCKY and not telling


def _judge(x: Lattice, y: Lattice) -> Verdict:
    margin = min(x.margin, y.margin)
    short, long = sorted((x.period_px, y.period_px))
    alike = long < 1.01 * short
    if not alike:
        # Two sizes that differ are easier come by.
        margin = margin - 1 if long < _LONGEST_ASPECT * short else min(margin, 0) - 1
    score = _score(margin)
    least = min(x.spread, y.spread)
    blocks = Blocks(x.period_px, y.period_px, x.phase_px, y.phase_px) if min(x.fit, y.fit) > FIT else None
    if margin >= 0 and least >= _LARGE_PART:
        return Verdict(score, Kind.PIXELATED, Blocks(x.period_px, y.period_px, x.phase_px, y.phase_px))
    if margin >= 0:
        return Verdict(min(score, 0.49), Kind.MOSAIC, blocks)
    if blocks is None or not alike:
        return Verdict(score)
    if x.on_codec_grid and y.on_codec_grid and min(x.cover, y.cover) > _BLOCKY:
        return Verdict(score, Kind.BLOCKY, blocks)
    return Verdict(score, Kind.CLEAN if x.in_codec_rhythm else Kind.SOFT, blocks)


@dataclass(frozen=True)
class _Steps:
    """Absolute differences of neighbouring pixels along one axis, in a few bands across it."""

    raw: list[NDArray[Any]]
    """Per band, (lines, places) or its transpose as `across` says, in levels of the picture."""
    across: int
    """Which axis of `raw` counts the lines."""
    to_levels: float
    """Factor that makes 8-bit levels of them."""
    clipped: Floats
    """The steps, clipped, averaged over each band's lines: (bands, places), in 8-bit levels."""

    @classmethod
    def between(cls, pairs: list[tuple[Plane, Plane]], *, across: int, max_value: int) -> _Steps:
        """Measure the steps from each band to the same band moved on by a pixel."""
        raw = [cv2.absdiff(one, other) for one, other in pairs]
        clip = _CLIP_LEVELS * max_value / 255
        clipped = np.empty((len(raw), raw[0].shape[1 - across]), np.float32)
        for row, steps in zip(clipped, raw, strict=True):
            # A sum, as OpenCV's average of 8-bit values takes a slow path.
            capped = cv2.threshold(steps, clip, clip, cv2.THRESH_TRUNC)[1]
            total = cv2.reduce(capped, across, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
            np.multiply(total.ravel(), 255 / max_value / steps.shape[across], out=row)
        return cls(raw, across, 255 / max_value, clipped)

    @cached_property
    def power(self) -> Floats:
        """Mean square of the unclipped steps, from a third of the lines: (bands, places), 8-bit levels."""
        lines = (min(steps.shape[self.across] for steps in self.raw) + 2) // 3
        few = [steps[:lines] if self.across == 0 else cv2.transpose(steps[:, :lines]) for steps in self.raw]
        sums = [cv2.reduce(cv2.multiply(f, f, dtype=cv2.CV_32F), 0, cv2.REDUCE_SUM) for f in few]
        return np.concatenate(sums) * np.float32(self.to_levels**2 / lines)

    @cached_property
    def profile(self) -> Floats:
        """The steps with slow changes taken out, averaged over the bands: (places,)."""
        window = min(_HIGH_PASS_PX, self.clipped.shape[1] // 2 * 2 - 1)
        relief: Floats = (self.clipped - cv2.blur(self.clipped, (window, 1))).mean(axis=0)
        return relief


def _steps_along_rows(luma: Plane, max_value: int) -> _Steps:
    bands = [luma[a : b : max(1, (b - a) // _LINES)] for a, b in _bands(luma.shape[0])]
    return _Steps.between([(b[:, 1:], b[:, :-1]) for b in bands], across=0, max_value=max_value)


def _steps_along_columns(luma: Plane, max_value: int) -> _Steps:
    # Single columns far apart would touch every cache line of the picture: narrow bands tell as much.
    half = _LINES // 2
    middles = [(max(a, (a + b) // 2 - half), min(b, (a + b) // 2 + half)) for a, b in _bands(luma.shape[1])]
    return _Steps.between([(luma[1:, a:b], luma[:-1, a:b]) for a, b in middles], across=1, max_value=max_value)


def _bands(length: int) -> list[tuple[int, int]]:
    """Up to 6 equal parts of 0..length."""
    count = max(1, min(_BANDS, length // 16))
    bounds = [length * i // count for i in range(count + 1)]
    return list(pairwise(bounds))


def _find(steps: _Steps) -> Lattice | None:
    """The best lattice in `steps`: looked for again without the codec's own rhythm if that comes first."""
    profile = steps.profile
    first = _measured(best_lattice(profile), steps)
    if first is None or not first.in_codec_rhythm or first.margin >= 0:
        return first
    quiet = without_rhythm(profile)
    second = _measured(best_lattice(quiet), steps)
    return second if second and not second.in_codec_rhythm and second.margin > first.margin else first


def _square(steps: _Steps, other: Lattice) -> Lattice | None:
    """The lattice of square whole blocks, where both axes are sure of it: the commonest case, and no search."""
    if other.margin < _SURE or not other.period_px.is_integer():
        return None
    found = lattice_of_whole_blocks(steps.profile, round(other.period_px))
    if found is None or found.fit < FIT_EXPECTED:
        return None
    # Both axes see the same cells of the picture: one spread tells for both.
    found = replace(
        found, sharpness=sharpness(steps.power, found), spread=other.spread, cover=other.cover, expected=True
    )
    return found if found.margin >= _SURE else None


def _find_again(steps: _Steps, found: Lattice, other: Lattice) -> Lattice:
    """`found`, or the lattice that the other axis leads us to expect where that explains `steps` better."""
    period, places = other.period_px, steps.clipped.shape[1]
    drift = abs(found.period_px - period) * places / period
    if drift < 0.01 * places:
        found = replace(found, expected=True)
    if drift < 0.3:
        return found
    profile = steps.profile if other.in_codec_rhythm else without_rhythm(steps.profile)
    again = _measured(lattice_at(profile, period), steps)
    if again is None:
        return found
    again = replace(again, expected=True)
    better = again.fit > found.fit if found.margin >= 0 else again.margin > found.margin
    return again if better and again.margin >= min(0.0, found.margin) else found


def _measured(lattice: Lattice | None, steps: _Steps) -> Lattice | None:
    """`lattice` with sharpness and spread, which are worth measuring only where it fits."""
    if lattice is None or lattice.fit < FIT_EXPECTED:
        return lattice
    lattice = replace(lattice, sharpness=sharpness(steps.power, lattice))
    if lattice.margin < _HOPELESS and not lattice.on_codec_grid:
        return lattice
    spread, cover = spread_and_cover(steps.clipped, lattice)
    return replace(lattice, spread=spread, cover=cover)
