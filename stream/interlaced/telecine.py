"""Inverse telecine: finds 3:2 pulldown by its repeated fields, and plans the film frames.

Pulldown spreads four film frames A B C D over ten fields, so over five pictures: A/A B/B B/C C/D D/D. The first field
of the third picture repeats that of the second, and the second field of the fifth repeats that of the fourth. C is
made of the first field of the fourth picture and the second field of the third.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from . import combs
from .analysis import Analysed
from .combs import PLAIN
from .modes import FieldOrder

CYCLE = 5
LOOKAHEAD = 3 * CYCLE
"""Pictures that must be known to plan the first of them: a partial cycle and two full ones."""

_RATES = Fraction(29), Fraction(31)
_NTSC = Fraction(30_000, 1001)
_NOISE = 0.05
"""Mean squared change of a field, in levels, that counts as none."""
_STILL = 0.5
"""The same, below which a cycle without repeated fields is taken for a still scene."""
_CLEAR, _PROBABLE, _FAINT = 2.0, 1.0, 0.5
"""Evidence of repeated fields: binary logarithms of how much less they change than the other field of the picture."""
_MAX_UNCLEAR = 2
"""Cycles in a row that may lack evidence, as coarse coding hides it."""
_MAX_DRIFT_S = Fraction(1, 120)
_FIRST_FIELD_REPEATS, _SECOND_FIELD_REPEATS = 2, 4


class Making(Enum):
    """How an output picture is made from a source picture."""

    PASS = "pass"
    """Unchanged."""
    BWDIF = "bwdif"
    """Deinterlaced."""
    WEAVE = "weave"
    """Its first field and the second field of the picture before."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output picture to be made from a source picture."""

    making: Making
    time: Fraction | None = None
    """Presentation time in output ticks; None: that of the source picture."""
    duration: int = 0
    """Duration in output ticks; 0: that of the source picture, or its share of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one source picture."""

    outputs: tuple[Output, ...]
    order: FieldOrder | None = None
    """Field order for the deinterlacer; None: not deinterlaced."""
    film: bool = False
    """Whether the outputs are film frames."""


def film_step_s(rate: Fraction | None) -> Fraction | None:
    """Seconds per film frame of telecined video of that mean rate; None if the rate is not one of telecined video."""
    if rate is None or not _RATES[0] <= rate <= _RATES[1]:
        return None
    nominal = Fraction(30) if abs(rate - 30) < Fraction(1, 100) else _NTSC
    return Fraction(CYCLE, CYCLE - 1) / nominal


class FilmPlanner:
    """Plans the film frames of telecined stretches, cycle by cycle."""

    def __init__(self, step_s: Fraction, *, time_base: Fraction, scale: int) -> None:
        """`step_s`: seconds per film frame; `time_base`: of the source; `scale`: output ticks per source tick."""
        self._step = step_s / time_base * scale
        self._scale = scale
        self._tolerance = _MAX_DRIFT_S / time_base * scale
        self._picture = step_s / time_base * Fraction(CYCLE - 1, CYCLE)
        self._locked = False
        self._unclear = 0
        self._next: Fraction | None = None

    def plan(self, window: Sequence[Analysed]) -> list[Plan]:
        """Plans for the first pictures of `window`; empty if the first is not part of telecined film.

        `window`: up to `LOOKAHEAD` pictures, fewer only at the end.
        """
        if self._locked:
            if self._continues(window[:CYCLE]):
                return self._cycle(window[:CYCLE], 0)
            self._locked, self._next, self._unclear = False, None, 0
        start = next((k for k in range(CYCLE) if self._starts(window, k)), None)
        if start is None or (start and not _fits(window[:start], CYCLE - start)):
            return []
        self._locked = True
        return self._cycle(window[:start] if start else window[:CYCLE], (CYCLE - start) % CYCLE)

    def _starts(self, window: Sequence[Analysed], start: int) -> bool:
        """Whether two cycles of telecined film follow from number `start` on."""
        first, second = window[start : start + CYCLE], window[start + CYCLE : start + 2 * CYCLE]
        if len(second) < CYCLE or not (self._is_regular(first) and self._is_regular(second)):
            return False
        if max(_change(first[place]) for place in (_FIRST_FIELD_REPEATS, _SECOND_FIELD_REPEATS)) < _STILL:
            return False
        evidence = _evidence(first), _evidence(second)
        return max(evidence) >= _CLEAR and min(evidence) >= _PROBABLE and _fits(first, 0) and _fits(second, 0)

    def _continues(self, cycle: Sequence[Analysed]) -> bool:
        """Whether telecined film goes on for another cycle, or for a part of one at the end."""
        evidence = _evidence(cycle)
        if not self._is_regular(cycle) or evidence <= -_FAINT or not _fits(cycle, 0):
            return False
        still = all(_change(picture) < _STILL for picture in cycle)
        self._unclear = 0 if still or evidence >= _FAINT else self._unclear + 1
        return self._unclear <= _MAX_UNCLEAR

    def _is_regular(self, cycle: Sequence[Analysed]) -> bool:
        span = cycle[-1].pts - cycle[0].pts
        return abs(span - (len(cycle) - 1) * self._picture) <= self._picture / 2

    def _cycle(self, pictures: Sequence[Analysed], phase: int) -> list[Plan]:
        """Plans for the part of a cycle that begins at `phase`."""
        first = Fraction(pictures[0].pts * self._scale)
        start = first - phase * self._picture * self._scale if self._next is None else self._next
        if phase == 0 and abs(start - first) > self._tolerance:
            start = first
        self._next = start + (CYCLE - 1) * self._step
        plans = _PLANS if len(pictures) + phase == CYCLE else (*_PLANS[: len(pictures) - 1], _LAST[len(pictures) - 1])
        made = []
        for number, picture in enumerate(pictures):
            kinds = plans[phase + number] if number or not phase else _FIRST[phase]
            if picture.score >= PLAIN:  # coarse coding has left combs even in a complete film frame
                kinds = tuple((Making.BWDIF if making is Making.PASS else making, film) for making, film in kinds)
            earliest = first if phase else start  # nothing is shown before its stretch begins
            outputs = tuple(
                Output(making, max(earliest, start + film * self._step), round(self._step)) for making, film in kinds
            )
            order = None
            if any(making is Making.BWDIF for making, _ in kinds):
                # alone at the end of a stretch, the second field is what is new
                alone = phase + number in (2, 3) and not (number == 0 and phase)
                order = picture.order.opposite if alone else picture.order
            made.append(Plan(outputs, order, film=True))
        return made


_Kinds = tuple[tuple[Making, int], ...]

_PLANS: tuple[_Kinds, ...] = (((Making.PASS, 0),), ((Making.PASS, 1),), (), ((Making.WEAVE, 2),), ((Making.PASS, 3),))
"""What becomes of the pictures of a cycle: how, and which film frame of the cycle it is."""
_FIRST: dict[int, _Kinds] = {
    1: ((Making.PASS, 1),),
    2: ((Making.BWDIF, 1),),
    3: ((Making.BWDIF, 2),),
    4: ((Making.PASS, 3),),
}
"""The same for the first picture of a stretch that begins in the middle of a cycle: by that place."""
_LAST: tuple[_Kinds, ...] = (
    ((Making.PASS, 0),),
    ((Making.PASS, 1),),
    ((Making.BWDIF, 2),),
    ((Making.WEAVE, 2), (Making.BWDIF, 3)),
)
"""The same for the last picture of a video that ends in the middle of a cycle."""


def _change(picture: Analysed) -> float:
    return max(picture.changes or (0.0, 0.0))


def _evidence(cycle: Sequence[Analysed]) -> float:
    """How clearly fields repeat where pulldown repeats them: positive if they do, negative if others do."""
    total = 0.0
    for place, sign in ((_FIRST_FIELD_REPEATS, -1), (_SECOND_FIELD_REPEATS, 1)):
        changes = cycle[place].changes if place < len(cycle) else None
        if changes is not None:
            total += sign * math.log2((changes[0] + _NOISE) / (changes[1] + _NOISE))
    return total


def _fits(pictures: Sequence[Analysed], phase: int) -> bool:
    """Whether the pictures of a cycle from `phase` on show fewer combs where film frames are complete."""
    mixed = [picture.score for number, picture in enumerate(pictures, phase) if number in (2, 3)]
    limit = max(PLAIN, max(mixed, default=0.0) / 2)
    previous: Analysed | None = None
    for number, picture in enumerate(pictures, phase):
        if number in (0, 1, 4) and picture.score >= limit:
            return False
        if number == 3 and previous and combs.comb_score(_woven(picture, previous), previous.luma) >= limit:
            return False
        previous = picture
    return True


def _woven(picture: Analysed, previous: Analysed) -> combs.Luma:
    """The first field of a picture and the second field of the one before."""
    if picture.order is FieldOrder.TOP:
        return combs.weave(picture.luma, previous.luma)
    return combs.weave(previous.luma, picture.luma)
