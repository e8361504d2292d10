"""Analysis of each picture before deinterlacing: combs, field order, and what changed in which field."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import combs
from .bwdif import FieldOrderReader
from .combs import SLIGHT, Luma
from .modes import DeinterlaceCounts, FieldOrder
from .picture import TimedPicture

_CONTRADICTION = 3.0
"""Ratio of comb energies, reported order over the other, from which the reported one is wrong; up to 2.2 if right."""
_MIN_ENERGY = 100_000.0
"""Comb energy that is no evidence yet."""
_MEMORY = 0.9
"""Weight of the past in the estimate of the field order, per combed picture."""


class OrderEstimate:
    """Estimates the field order: the later field of a picture combs less with the earlier one of the next."""

    def __init__(self) -> None:
        self._top = self._bottom = 0.0

    @property
    def order(self) -> FieldOrder:
        """The order so far; top field first if there is no evidence."""
        return FieldOrder.BOTTOM if self._bottom < self._top else FieldOrder.TOP

    def contradicts(self, reported: FieldOrder) -> bool:
        """Whether the pictures are clearly of the other order: files are often labelled wrongly."""
        right, wrong = (self._top, self._bottom) if reported is FieldOrder.TOP else (self._bottom, self._top)
        return right > _CONTRADICTION * wrong + _MIN_ENERGY

    def add(self, previous: Luma, current: Luma) -> None:
        """Add the evidence of two successive pictures."""
        self._top = _MEMORY * self._top + combs.comb_energy(combs.weave(current, previous))
        self._bottom = _MEMORY * self._bottom + combs.comb_energy(combs.weave(previous, current))


@dataclass(frozen=True, slots=True)
class Analysed:
    """A picture and what was measured on it."""

    timed: TimedPicture
    luma: Luma
    score: float
    """Comb score, 0..1."""
    flagged: FieldOrder | None
    """The field order that the decoder reports; None for a picture that it calls progressive."""
    measured: OrderEstimate
    """The field order by all pictures that have been analysed."""
    field_changes: tuple[float, float] | None
    """Change of the top and the bottom field since the previous picture; None if there is none to compare."""

    @property
    def pts(self) -> int:
        """Presentation time in ticks of the source."""
        return self.timed.pts

    @property
    def order(self) -> FieldOrder:
        """The field order to go by: as reported unless the pictures contradict it, else as measured.

        What has been analysed counts, so also pictures that follow.
        """
        if self.flagged is None or self.measured.contradicts(self.flagged):
            return self.measured.order
        return self.flagged

    @property
    def changes(self) -> tuple[float, float] | None:
        """Change of the first and the second field since the previous picture."""
        if self.field_changes is None or self.order is FieldOrder.TOP:
            return self.field_changes
        return self.field_changes[::-1]


class FieldAnalysis:
    """Measures pictures in presentation order."""

    def __init__(self, counts: DeinterlaceCounts) -> None:
        """`counts`: where the time taken is added."""
        self._counts = counts
        self._read_order = FieldOrderReader()
        self._measured = OrderEstimate()
        self._previous: Luma | None = None

    def __call__(self, pictures: Iterable[TimedPicture]) -> Iterator[Analysed]:
        """Analyse every picture."""
        for timed in pictures:
            started = time.perf_counter()
            analysed = self._analyse(timed)
            self._counts.busy_s += time.perf_counter() - started
            yield analysed

    def _analyse(self, timed: TimedPicture) -> Analysed:
        luma = combs.sample_luma(timed.picture)
        previous, self._previous = self._previous, luma
        if previous is not None and previous.shape != luma.shape:
            previous = None
        score = combs.comb_score(luma, previous)
        flagged = self._read_order(timed.picture)
        if previous is not None and score >= SLIGHT:
            self._measured.add(previous, luma)
        changes = None if previous is None else combs.field_changes(luma, previous)
        return Analysed(timed, luma, score, flagged, self._measured, changes)
